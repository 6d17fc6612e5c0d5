# shellcheck shell=sh
# plane: what a physical machine has of the Kubernetes control plane, and what is done about it. As root, by /bin/sh.
#   look                what part it has, as lines of KEY, TAB, VALUE
#   claim MAKER         the same, after it was noted that MAKER makes the cluster, where nothing was noted yet
#   clear               take away what an attempt that did not come to its end has left
#   make                make the cluster, or join it, as the blob "given" says
#   invite [NEW KEEP…]  what another machine needs to join, in base64: it is secret
#   admin               the administrators' kubeconfig, in base64
set -u
PATH=$PATH:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
export PATH
root=${INFRA_PREFIX-}
lib=${INFRA_KUBE_LIB:-/usr/local/lib/infra} state=$root/var/lib/infra/kube etc=$root/etc/kubernetes

say() { printf '%s\t%s\n' "$1" "$2"; }

look() {
    part=none
    [ ! -x "$lib/control-plane" ] || [ ! -r "$root/etc/infra/control-plane.json" ] || say able yes
    if [ -e "$etc/kubelet.conf" ]; then part=node; fi
    if [ -e "$etc/manifests/kube-apiserver.yaml" ]; then part=half; fi
    if [ $part = half ] && [ -e "$etc/kubelet.conf" ] && [ -e "$state/done" ]; then part=plane; fi
    say part $part
    if [ -e "$root/run/infra/control-plane.lock" ] && ! flock -n "$root/run/infra/control-plane.lock" true; then say busy yes; fi
    if [ $part = plane ] && [ -x "$lib/kube-address" ] && "$lib/kube-address" check; then say ready yes; fi
    [ ! -r "$state/maker" ] || say maker "$(cat "$state/maker")"
}

how=$1
shift
case $how in
    look) look ;;
    claim)
        mkdir -p "$state" && chmod 0700 "$state"
        (set -C && printf '%s\n' "$1" >"$state/maker") 2>/dev/null
        look
        ;;
    make)
        umask 077
        mkdir -p "$root/run/infra" && file=$(mktemp "$root/run/infra/given.XXXXXX") || exit 73
        trap 'rm -f "$file"' EXIT
        trap 'exit 143' TERM INT HUP PIPE
        infra_blob given >"$file" || exit
        "$lib/control-plane" --given "$file" 2>&1
        code=$?
        # What a join changes is no drift.
        manifest=$root/var/lib/infra/policy/current/bin/manifest
        [ $code != 0 ] || [ ! -x "$manifest" ] || timeout 300 "$manifest" --save >/dev/null 2>&1 || :
        exit $code
        ;;
    clear) "$lib/control-plane" --clear 2>&1 ;;
    invite)
        found=$("$lib/control-plane" --invite "$@") || exit
        printf %s "$found" | base64 -w 0
        ;;
    admin) base64 -w 0 "$etc/admin.conf" ;;
    *) exit 64 ;;
esac
