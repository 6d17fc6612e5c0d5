# shellcheck shell=sh disable=SC2015
# job: `run` converges, tests and records, apart from any connection; `follow ID SEEN SECONDS` tells how it goes.
# It lies beside what it works with, in /var/lib/infra/job: `job` (key value), `node.json` (the record to be), `log`,
# `pid` (with the moment it began, because pids are used again), and at its end `rc`: STAGE CODE.
set -u
state=/var/lib/infra job=/var/lib/infra/job
PATH=$PATH:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/opt/cinc/bin:/opt/chef/bin
export PATH

of() { sed -n "s/^$1 //p" $job/job 2>/dev/null; }
began() { sed 's/.*) //' "/proc/$1/stat" 2>/dev/null | cut -d' ' -f20; }

# ended STAGE CODE: the job's last word, whole or not at all.
ended() {
    printf '%s %s\n' "$1" "$2" >$job/rc.new && sync $job/rc.new && mv $job/rc.new $job/rc
    exit 0
}
stage() { echo "$1" >$job/stage; }

# The baseline that drift is measured by. A machine that still differs after a converge to what it had already keeps
# the old one: what no converge mends is for a person to look at.
baseline() { # digest before
    manifest=$state/policy/$digest/bin/manifest
    [ -x "$manifest" ] || return 0
    if [ "$1" = "$digest" ] && [ -s $state/manifest.tsv ]; then
        timeout 300 "$manifest" --against $state/manifest.tsv >$job/left 2>>$job/log || :
        [ ! -s $job/left ] || return 0
    fi
    timeout 300 "$manifest" --save >>$job/log 2>&1 || echo "infra: the manifest could not be saved" >>$job/log
}

run() {
    echo "$$ $(began $$)" >$job/pid.new && mv $job/pid.new $job/pid
    exec >>$job/log 2>&1 </dev/null
    trap '' HUP
    cd /
    umask 022
    LC_ALL=C.UTF-8 DEBIAN_FRONTEND=noninteractive
    export LC_ALL DEBIAN_FRONTEND
    digest=$(of digest) mode=$(of mode) license=$(of license)
    [ -z "$license" ] || export CHEF_LICENSE="$license"
    home=$state/policy/$digest
    before=$(sed -n 's/^  "digest": "\([^"]*\)".*/\1/p' $state/node.json 2>/dev/null)
    option=
    if [ "$mode" = why-run ]; then
        option=--why-run
    else
        # From here on it is not what it was, and not yet what it will be.
        if [ -f $state/node.json ]; then
            sed 's/"converged": "[^"]*"/"converged": ""/' $state/node.json >$state/.node.new &&
                mv $state/.node.new $state/node.json || ended record 1
        fi
        if [ -e $job/mend ]; then
            stage mend
            echo 'infra: the converge before this one was cut off: dpkg --configure -a'
            timeout 1800 dpkg --configure -a --force-confdef --force-confold </dev/null || :
        fi
    fi
    stage converge
    code=0
    # shellcheck disable=SC2086
    "$home/bin/converge" --client "$(of client)" --deadline "$(of deadline)" $option 2>$job/err || code=$?
    cat $job/err
    [ $code = 0 ] && [ "$mode" = converge ] || ended converge $code
    stage smoke
    timeout 900 "$home/bin/smoke" --json >$job/smoke.json 2>$job/err || code=$?
    cat $job/err
    [ $code = 0 ] || ended smoke $code
    stage record
    sed "s/@CONVERGED@/$(date -u +%Y-%m-%dT%H:%M:%SZ)/" $job/node.json >$state/.node.new &&
        chmod 0644 $state/.node.new && sync $state/.node.new && mv $state/.node.new $state/node.json || ended record 1
    baseline "$before"
    ended record 0
}

# What stands where, on one line each, as long as it works: a sign of life at least every five seconds.
beat() {
    last='' silent=0
    while :; do
        now=$(cat $job/stage 2>/dev/null)$(printf '\t')$(cat /run/infra/converge.*/current 2>/dev/null | tail -n 1)
        silent=$((silent + 1))
        if [ "$now" != "$last" ] || [ $silent -ge 5 ]; then
            printf '+ %s\n' "$now" || return 0
            last=$now silent=0
        fi
        sleep 1
    done
}

follow() { # id seen seconds
    if [ "$(of id)" != "$1" ]; then
        echo "= state gone"
        return
    fi
    pid='' start=''
    # shellcheck disable=SC2034
    [ ! -f $job/pid ] || read -r pid start <$job/pid
    beat &
    beat=$!
    trap 'kill $beat 2>/dev/null' EXIT
    boot=$(cat /proc/sys/kernel/random/boot_id)
    if [ "$(of boot)" = "$boot" ] && [ ! -f $job/rc ] && [ "$(began "$pid")" = "$start" ]; then
        timeout "$3" tail --pid="$pid" -s 0.2 -n "+$(($2 + 1))" -f $job/log 2>/dev/null | sed -u 's/^/|/'
    else
        tail -n "+$(($2 + 1))" $job/log 2>/dev/null | sed 's/^/|/'
    fi
    kill $beat 2>/dev/null
    echo
    if [ -f $job/rc ]; then
        echo "= state ended $(cat $job/rc)"
        report=report.json
        [ "$(of mode)" = converge ] || report=why-run.json
        sed 's/^/r|/' $state/$report 2>/dev/null
        sed 's/^/s|/' $job/smoke.json 2>/dev/null
        sed 's/^/d|/' $job/left 2>/dev/null
    elif [ "$(of boot)" != "$boot" ]; then
        echo "= state rebooted $boot"
    elif [ "$(began "$pid")" = "$start" ]; then
        echo "= state running"
    else
        # A system on its way down took the job with it, and us in a moment: whoever looks again finds its next start.
        sleep 3
        case $(systemctl is-system-running 2>/dev/null) in
            stopping | unknown) echo "= state running" ;;
            *) echo "= state lost" ;;
        esac
    fi
    echo
}

word=$1
shift
"$word" "$@"
