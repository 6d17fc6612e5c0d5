# shellcheck shell=sh
# join: make this machine a node of the cluster that the blob invitation names. As root, by /bin/sh with infra_blob.
# "! what" says that this machine cannot be a node at all; else the script's own lines come out, and its exit code.
set -u
PATH=$PATH:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
export PATH
root=${INFRA_PREFIX-} join=${INFRA_KUBE_LIB:-/usr/local/lib/infra}/join
[ -x "$join" ] || {
    echo '! its profile has no recipe[kubernetes]'
    exit 0
}
umask 077
mkdir -p "$root/run/infra" && file=$(mktemp "$root/run/infra/invitation.XXXXXX") || exit 73
trap 'rm -f "$file"' EXIT
trap 'exit 143' TERM INT HUP PIPE
infra_blob invitation >"$file" || exit
"$join" --once --given "$file" 2>&1
code=$?
# What a join changes is no drift.
manifest=$root/var/lib/infra/policy/current/bin/manifest
[ $code != 0 ] || [ ! -x "$manifest" ] || timeout 300 "$manifest" --save >/dev/null 2>&1 || :
exit $code
