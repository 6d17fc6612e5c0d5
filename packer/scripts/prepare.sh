# The builder as it started: wait for cloud-init, look for room, make the folder that files are uploaded to.
set -eu

if command -v cloud-init >/dev/null 2>&1; then
  cloud-init status --wait >/dev/null || echo "cloud-init ended with an error; see /var/log/cloud-init.log" >&2
fi

free=$(df -Pk / | awk 'NR == 2 { print int($4 / 1024) }')
echo "free on /: ${free} MB"

rm -rf /tmp/infra-bake
install -d -m 0700 -o "${SUDO_UID:-0}" -g "${SUDO_GID:-0}" /tmp/infra-bake
