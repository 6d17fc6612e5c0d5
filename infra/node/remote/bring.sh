# shellcheck shell=sh disable=SC2015,SC2016,SC2231
# bring: put the client and the policy on this machine where they lack, start the job, and follow it. As root, by /bin/sh
# with infra_blob (client, policy). Whatever is received counts only once it is whole: checked, then renamed.
# Arguments: WHO, DIGEST, MODE (converge or why-run), KIND of client, its SHA256 ("" to take what is here), the text of
# node.json, the text of job.sh, DEADLINE of the converge, CHEF_LICENSE, SECONDS to follow for.
#
# Out come "= key value" lines of ours, then those of job.sh. A refusal is a line "! what": nothing was started then.
set -u
who=$1 digest=$2 mode=$3 kind=$4 sha256=$5 node=$6 script=$7 deadline=$8 license=$9
shift 9
window=$1
PATH=$PATH:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/opt/cinc/bin:/opt/chef/bin
DEBIAN_FRONTEND=noninteractive
export PATH DEBIAN_FRONTEND
state=/var/lib/infra job=/var/lib/infra/job

refuse() {
    printf '! %s\n' "$@"
    exit 1
}
# A file that a full disk or a read-only one did not take ends it here, with the system's own words.
made() { refuse "write $1: $(df -Pk "$1" 2>/dev/null | awk 'NR == 2 { print $4 " KB are free on " $6 }')"; }

mkdir -p $state/policy /run/infra || made $state
for left in $state/policy/.new.* $state/.client.*.deb; do # of uploads that were cut off
    [ -e "$left" ] || continue
    pid=${left%.deb}
    kill -0 "${pid##*.}" 2>/dev/null || rm -rf "$left"
done
work=$state/policy/.new.$$
trap 'rm -rf "$work" "$state/.client.$$.deb"' EXIT

# --- The client, when asked for
if [ -n "$sha256" ] && [ "$(cut -d' ' -f1 $state/client 2>/dev/null)" != "$sha256" ]; then
    echo '= stage client'
    package=$state/.client.$$.deb
    infra_blob client >"$package" || exit
    found=$(sha256sum "$package" | cut -d' ' -f1)
    [ "$found" = "$sha256" ] || refuse "the client's package arrived damaged: its sha256 is $found, not $sha256"
    # Into a file and deaf to a hang-up: a link that is cut here must not leave half a package.
    code=0 tries=0
    while (trap '' HUP PIPE && exec dpkg -i "$package" >/run/infra/client.log 2>&1 8>&- 9>&-) || code=$?; do
        [ $code != 0 ] && [ $tries -lt 30 ] && grep -q ' lock ' /run/infra/client.log || break
        code=0 tries=$((tries + 1)) # somebody else began since the preflight
        sleep 2
    done
    if [ $code != 0 ]; then
        printf '! the client does not install: dpkg -i ended with %s\n' $code
        tail -n 12 /run/infra/client.log | sed 's/^/! /'
        exit 1
    fi
    printf '%s %s\n' "$sha256" "$(dpkg-deb -W --showformat='${Package} ${Version}' "$package")" >$state/.client.new &&
        mv $state/.client.new $state/client || made $state
    rm -f "$package"
fi
[ -n "$kind" ] && client=$(command -v "$kind-client") || client=$(command -v cinc-client || command -v chef-client) ||
    refuse 'there is no cinc-client or chef-client on this machine'

# --- The policy, when it is not here
home=$state/policy/$digest
if [ ! -d "$home" ]; then
    echo '= stage policy'
    mkdir "$work" || made $state
    infra_blob policy >"$work/.tar" || exit
    found=$(sha256sum "$work/.tar" | cut -d' ' -f1)
    [ "$found" = "$digest" ] || refuse "the policy arrived damaged: its sha256 is $found, not $digest"
    mkdir "$work/tree" && tar -xf "$work/.tar" -C "$work/tree" --no-same-owner && sync "$work/tree" || made $state
    mv -T "$work/tree" "$home" 2>/dev/null || [ -d "$home" ] || made $state # somebody else may have been as fast
    rm -rf "$work"
fi

# --- The job: one at a time. Whoever starts one holds the lock while doing so; what runs is known by its pid.
exec 5>>/run/infra/job.lock
flock -w 20 5 || refuse 'another start is at work'
boot=$(cat /proc/sys/kernel/random/boot_id)
of() { sed -n "s/^$1 //p" $job/job 2>/dev/null; }
alive() {
    [ "$(of boot)" = "$boot" ] && [ ! -f $job/rc ] && read -r pid began <$job/pid 2>/dev/null &&
        [ "$(sed 's/.*) //' "/proc/$pid/stat" 2>/dev/null | cut -d' ' -f20)" = "$began" ]
}
if alive; then
    if [ "$(of digest) $(of mode) $(of who)" != "$digest $mode $who" ]; then
        printf '! busy\t%s\t%s\t%s\t%s\n' "$(of who)" "$(of since)" "$(of digest)" "$(of mode)"
        exit 1
    fi
    id=$(of id)
    echo "= attached $id"
else
    id=$(cut -c1-8 /proc/sys/kernel/random/uuid)
    new=$state/.job.new
    rm -rf $new && mkdir -m 0700 $new || made $state
    printf '%s\n' "$script" >$new/run && printf '%s\n' "$node" >$new/node.json && : >$new/log &&
        printf '%s %s\n' id "$id" digest "$digest" mode "$mode" who "$who" since "$(date -u +%Y-%m-%dT%H:%M:%SZ)" \
            boot "$boot" client "$client" deadline "$deadline" license "$license" >$new/job || made $state
    # A converge of ours that never came to its end may have left dpkg in the middle of a package.
    [ ! -f $job/job ] || [ -f $job/rc ] || : >$new/mend
    rm -rf $state/job.1
    [ ! -d $job ] || mv $job $state/job.1
    mv $new $job || made $state
    if [ -d /run/systemd/system ]; then # outside of the session: its end is not the job's
        systemd-run --quiet --collect --unit="infra-job-$id" --description="infra: $mode ${digest}" \
            --property=KillMode=process /bin/sh $job/run run </dev/null >$job/log 2>&1 5>&- 8>&- 9>&- ||
            refuse "systemd-run: $(tail -n 3 $job/log)"
    else
        setsid /bin/sh $job/run run </dev/null >/dev/null 2>&1 5>&- 8>&- 9>&- &
    fi
    tries=0
    while [ ! -s $job/pid ] && [ ! -f $job/rc ] && [ $tries -lt 100 ]; do
        tries=$((tries + 1))
        sleep 0.1
    done
    [ -s $job/pid ] || refuse "the job did not start within 10 s: $(tail -n 3 $job/log)"
    echo "= started $id"
fi
exec 5>&-
/bin/sh $job/run follow "$id" 0 "$window" 8>&- 9>&-
