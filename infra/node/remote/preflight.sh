# shellcheck shell=sh disable=SC2013
# preflight: what this machine is and what state it is in, in one go; it changes nothing. As root, by /bin/sh.
# Arguments: DIGEST of the wanted policy, SECONDS to wait for another package manager, HOSTS to be resolved (a word list),
# HOW: "quick" to stop where it is at that policy, "drift" to do so only when it is as it was left (its manifest is made
# and compared: seconds), "force" never. INFRA_ROOT takes the place of / where files are read.
#
# Out come lines of KEY, TAB, VALUE. `end` comes last: what comes without it was cut off. Where there is nothing to do
# (`same`), or a converge is at work, the rest is not looked at.
set -u
digest=$1 patience=$2 hosts=$3 how=$4
root=${INFRA_ROOT-}
PATH=$PATH:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/opt/cinc/bin:/opt/chef/bin
export PATH
state=$root/var/lib/infra job=$root/var/lib/infra/job

say() { printf '%s\t%s\n' "$1" "$2"; }
have() { command -v "$1" >/dev/null 2>&1; }

# Up to `same` the shell works alone, without a process: most machines of most runs have nothing to do.
read -r boot <"$root/proc/sys/kernel/random/boot_id"
say boot "$boot"
read -r name <"$root/proc/sys/kernel/hostname" 2>/dev/null && say hostname "$name"

# alive PID BEGAN: it is the very process that began then; pids are used again.
alive() {
    { read -r stat <"/proc/$1/stat"; } 2>/dev/null || return 1
    # shellcheck disable=SC2086
    set -- "$2" ${stat##*) }
    [ "${21-}" = "$1" ]
}

# --- Who is at work: a job of ours, or a converge by other means (a pull, a person)
running=false converging=false
if [ -f "$job/job" ]; then
    while read -r key value; do
        say "job.$key" "$value"
        [ "$key" != boot ] || [ "$value" != "$boot" ] || running=maybe
    done <"$job/job"
    if [ -f "$job/rc" ]; then
        read -r value <"$job/rc" && say job.rc "$value"
        running=false
    elif [ $running = maybe ] && { read -r pid began <"$job/pid"; } 2>/dev/null && alive "$pid" "$began"; then
        running=true
    else
        running=false
    fi
fi
say job.running $running
if [ $running = false ] && [ -s "$root/run/infra/converge.lock" ]; then
    read -r holder <"$root/run/infra/converge.lock"
    other=${holder#process } other=${other%%,*}
    if [ -d "/proc/$other" ] && tr '\000' ' ' <"/proc/$other/cmdline" 2>/dev/null | grep -q converge; then
        converging=true
        say converging "$holder"
    fi
fi

# --- What it was brought to
text() { value=${line#*: } value=${value%,} value=${value#\"} value=${value%\"}; }
at='' converged='' whole=''
if [ -f "$state/node.json" ]; then
    while IFS= read -r line || [ -n "$line" ]; do
        whole="$whole $line"
        case $line in
            '  "digest":'*) text && at=$value ;;
            '  "converged":'*) text && converged=$value ;;
        esac
    done <"$state/node.json"
    say node "$whole"
fi
status=none code='' reported=
if [ -f "$state/report.json" ]; then
    while IFS= read -r line; do
        case $line in
            '  "status":'*) text && status=$value ;;
            '  "exit":'*) text && code=$value ;;
            '  "digest":'*) text && reported=$value && break ;;
        esac
    done <"$state/report.json"
    say report "$status $code $reported"
fi
drained=false
[ ! -e "$state/drained" ] || drained=true
say drained $drained
[ ! -e "$root/etc/kubernetes/kubelet.conf" ] || say kubelet yes
[ ! -e "$state/kube/done" ] || say plane yes
reboot=no
if [ -f "$root/run/reboot-required" ]; then
    while read -r line || [ -n "$line" ]; do
        case $line in 'infra: '*) reboot=yes ;; esac
    done <"$root/run/reboot-required"
fi
say reboot $reboot
if [ $running = true ] || [ $converging = true ]; then # what holds dpkg's lock is then what is at work
    say end ok
    exit 0
fi
if [ "$how" != force ] && [ $drained = false ] && [ $reboot = no ] &&
    [ "$at" = "$digest" ] && [ -n "$converged" ] &&
    { [ "$status" = none ] || [ "$status $reported" = "converged $digest" ]; }; then
    manifest=$state/policy/$digest/bin/manifest drift=
    if [ "$how" = drift ] && [ -x "$manifest" ] && [ -s "$state/manifest.tsv" ]; then
        drift=$("$manifest" --against "$state/manifest.tsv" 2>/dev/null | tr '\t' ' ' | head -n 50)
    fi
    if [ -z "$drift" ]; then
        say same yes
        say end ok
        exit 0
    fi
    printf '%s\n' "$drift" | while read -r line; do say drift "$line"; done
fi

# --- The system
say clock "$(date +%s)"
sed -n 's/^\(ID\|VERSION_ID\|PRETTY_NAME\)="\{0,1\}\([^"]*\)"\{0,1\}$/os.\1 \2/p' "$root/etc/os-release" |
    while read -r key value; do say "$key" "$value"; done
say arch "$(uname -m)"
say kernel "$(uname -r)"
say memory "$(awk '/^MemTotal:/ { print $2 }' "$root/proc/meminfo")"
for place in / /var; do
    say "free$place" "$(df -Pk "$root$place" 2>/dev/null | awk 'NR == 2 { print $4 }')"
    say "inodes$place" "$(df -Pi "$root$place" 2>/dev/null | awk 'NR == 2 { print $4 }')"
    folder=$root$place
    [ $place = / ] || folder=$root/var/lib
    if trial=$(mktemp "$folder/.infra.XXXXXX" 2>&1) && echo infra >"$trial" 2>/dev/null; then
        say "writable$place" yes
    else
        say "writable$place" "no: $trial"
    fi
    rm -f "$trial" 2>/dev/null
done
have systemctl && [ -d "$root/run/systemd/system" ] && say systemd yes
missing=
for tool in flock timeout tail sed awk tar sha256sum dpkg; do have $tool || missing="$missing $tool"; done
[ -z "$missing" ] || say missing "${missing# }"

# --- The client
for name in cinc chef; do
    version=$(dpkg-query -W -f '${db:Status-Status} ${Version}' $name 2>/dev/null) || continue
    case $version in "installed "*) say "client.$name" "${version#installed }" ;; esac
done
client=$(command -v cinc-client || command -v chef-client) && say client.program "$client"
[ ! -f "$state/client" ] || say client.sha256 "$(cat "$state/client")"
[ ! -d "$state/policy/$digest" ] || say policy yes

# --- GPUs: by PCI id, never by name
for device in "$root"/sys/bus/pci/devices/*/; do
    [ "$(cat "$device/vendor" 2>/dev/null)" = 0x10de ] || continue
    case $(cat "$device/class" 2>/dev/null) in
        0x0300* | 0x0302*) say gpu "$(basename "$device") $(sed 's/^0x//' "$device/device")" ;;
    esac
done
! grep -q '^nouveau ' "$root/proc/modules" 2>/dev/null || say nouveau yes
loaded=$(sed -n 's/^NVRM version:.* \([0-9]\{3\}\.[0-9.]*\) .*/\1/p' "$root/proc/driver/nvidia/version" 2>/dev/null)
[ -z "$loaded" ] || say driver "$loaded"
for file in /usr/bin/nvidia-uninstall /usr/bin/nvidia-installer; do
    [ -e "$root$file" ] && ! dpkg -S "$file" >/dev/null 2>&1 && say runfile "$file"
done
secure=$(od -An -tu1 -j4 -N1 "$root"/sys/firmware/efi/efivars/SecureBoot-* 2>/dev/null | tr -d ' ')
if [ "$secure" = 1 ]; then
    say secureboot on
    key=$root/var/lib/shim-signed/mok/MOK.der
    if have mokutil && [ -f "$key" ] && mokutil --test-key "$key" 2>&1 | grep -q 'already enrolled'; then
        say secureboot.key enrolled
    fi
fi

# --- Others that would manage it
for pair in /etc/puppetlabs/puppet/puppet.conf:Puppet /etc/puppet/puppet.conf:Puppet /etc/salt/minion:Salt \
    /var/cfengine/policy_server.dat:CFEngine /etc/chef/client.pem:Chef /etc/cinc/client.pem:Cinc; do
    [ ! -e "$root${pair%%:*}" ] || say manager "${pair#*:} ${pair%%:*}"
done

# --- Names: what its own apt and the policy fetch from; behind a proxy, the proxy's alone
proxy=$(apt-config dump 2>/dev/null | sed -n 's/^Acquire::https\{0,1\}::Proxy "\([^"]*\)";/\1/p' | head -n 1)
if [ -n "$proxy" ]; then
    hosts='' own=$(echo "$proxy" | sed 's|^[a-z]*://||; s|^.*@||; s|[:/].*||')
else
    own=$(cat "$root"/etc/apt/sources.list "$root"/etc/apt/sources.list.d/* 2>/dev/null | grep -v '^#' |
        grep -oE 'https?://[^/ :]+' | sed 's|.*/||' | sort -u)
fi
for host in $own; do
    { timeout 10 getent ahosts "$host" >/dev/null 2>&1 || say unresolved "$host"; } &
done
for host in $hosts; do
    { timeout 10 getent ahosts "$host" >/dev/null 2>&1 || say unresolved.policy "$host"; } &
done
wait

# --- The package manager: whoever holds its lock has its time
holder() {
    for lock in /var/lib/dpkg/lock-frontend /var/lib/dpkg/lock /var/lib/apt/lists/lock; do
        [ -e "$root$lock" ] || continue
        inode=$(stat -c %i "$root$lock")
        for pid in $(awk -v inode="$inode" '$2 != "->" { split($6, at, ":"); if (at[3] == inode) print $5 }' /proc/locks); do
            for fd in /proc/"$pid"/fd/*; do
                if [ "$(readlink "$fd" 2>/dev/null)" = "$root$lock" ]; then
                    echo "$pid $(tr '\000' ' ' <"/proc/$pid/cmdline" 2>/dev/null | cut -c1-200)"
                    return
                fi
            done
        done
    done
}
waited=0
while found=$(holder) && [ -n "$found" ] && [ "$waited" -lt "$patience" ]; do
    [ $((waited % 10)) != 0 ] || say waiting "$found"
    sleep 1
    waited=$((waited + 1))
done
if [ -n "$found" ]; then
    say locked "$found"
elif ls "$root"/var/lib/dpkg/updates/[0-9]* >/dev/null 2>&1 ||
    grep -qE '^Status: [a-z-]+ [a-z-]+ (half-installed|half-configured|unpacked)$' "$root/var/lib/dpkg/status" 2>/dev/null; then
    say interrupted "$(awk '/^Package:/ { name = $2 } /^Status: .* (half-installed|half-configured|unpacked)$/ { print name }' \
        "$root/var/lib/dpkg/status" | head -n 10 | tr '\n' ' ')"
fi
say end ok
