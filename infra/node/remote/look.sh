# look: what this machine says of itself, as lines of "key<TAB>value". Changes nothing.
#
# Everything is read by the shell itself, and nothing needs root: a look at fifty machines must cost little more than
# fifty logins, and sudo alone costs as much as a login. With the argument "health" it also starts df and systemctl.
set -u
LC_ALL=C
PATH=$PATH:/usr/sbin:/usr/bin:/sbin:/bin
export LC_ALL PATH

say() {
    printf '%s\t%s\n' "$1" "$2"
}

# first FILE: its first line in $line, "" when there is none.
first() {
    line=
    if [ -r "$1" ]; then
        IFS= read -r line <"$1" || :
    fi
} 2>/dev/null

# lines KEY FILE: each line of a file under that key.
lines() {
    [ -r "$2" ] || return 0
    while IFS= read -r line || [ -n "$line" ]; do
        say "$1" "$line"
    done <"$2"
}

state=/var/lib/infra

lines node "$state/node.json"
link=$(readlink "$state/policy/current" 2>/dev/null) || link=
say current "$link"

# The report is for root; what of it is for everybody stands beside it, in one line. Without its list of what was
# updated: after a first converge that has thousands of lines.
tab='	'
if [ -r "$state/report.json" ]; then
    sed -e '/^  "updated": \[$/,/^  \],\{0,1\}$/d' -e "s/^/report$tab/" "$state/report.json"
    echo # its last line may lack its end
elif [ -r "$state/status" ]; then
    lines status "$state/status"
elif [ -e "$state/report.json" ]; then
    say status hidden
fi

if [ -f "$state/manifest.tsv" ]; then say baseline yes; else say baseline no; fi
[ ! -e "$state/drained" ] || say drained yes
[ ! -e /etc/kubernetes/kubelet.conf ] || say joined yes
[ ! -e "$state/kube/done" ] || say plane yes
if [ -e /run/reboot-required ]; then say reboot yes; else say reboot no; fi

# Who converges, or did last: the words in the lock stay when its owner is gone.
first /run/infra/converge.lock
case $line in
    'process '*)
        pid=${line#process }
        pid=${pid%%,*}
        if [ -d "/proc/$pid" ] && ! flock -n -s /run/infra/converge.lock true 2>/dev/null; then
            say busy "$line"
        fi
        ;;
esac

first /proc/sys/kernel/random/boot_id && say boot "$line"
first /proc/uptime && say uptime "${line%% *}"
first /proc/sys/kernel/osrelease && say kernel "$line"
first /proc/sys/kernel/hostname && say hostname "$line"
if [ -r /etc/os-release ]; then
    while IFS= read -r line || [ -n "$line" ]; do
        case $line in
            ID=* | VERSION_ID=*)
                value=${line#*=}
                value=${value#\"}
                say "os.${line%%=*}" "${value%\"}"
                ;;
        esac
    done </etc/os-release
fi

# By PCI id, as the bus has them: a driver that is not there, or does not start, hides nothing.
for device in /sys/bus/pci/devices/*; do
    first "$device/vendor"
    [ "$line" = 0x10de ] || continue
    first "$device/class"
    case $line in
        0x03*) ;;
        *) continue ;;
    esac
    first "$device/device"
    say gpu "10de:${line#0x}"
done
first /proc/driver/nvidia/version
[ -z "$line" ] || say driver "$line"
for device in /proc/driver/nvidia/gpus/*; do
    [ ! -d "$device" ] || say driven "${device##*/}"
done

# Not by writing: who is not root may not.
while read -r _ place _ options _; do
    case $place in
        / | /var | /var/lib)
            case ,$options, in
                *,ro,*) say var "read-only $place" ;;
                *) say var "writable $place" ;;
            esac
            ;;
    esac
done </proc/mounts
if [ "${1-}" = health ]; then
    # The device as well as the place: two names of one file system are one.
    df -P / /var /home 2>/dev/null | while read -r device _ _ _ used place; do
        case $used in
            [0-9]*%) say disk "$device ${used%\%} $place" ;;
        esac
    done
    if [ -d /run/systemd/system ]; then
        systemctl list-units --failed --plain --no-legend --no-pager 2>/dev/null | while read -r unit _; do
            say failed "$unit"
        done
    fi
fi
say end end
