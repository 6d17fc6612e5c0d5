# The builder as it started: wait for cloud-init, look for room, make the folder that files are uploaded to.
# In: INFRA_ROOM, the MB that what is uploaded and unpacked takes at least. An upload would not say that the disk is full.
set -eu

if command -v cloud-init >/dev/null 2>&1; then
  cloud-init status --wait >/dev/null || echo "cloud-init ended with an error; see /var/log/cloud-init.log" >&2
fi

free=$(df -Pk / | awk 'NR == 2 { print int($4 / 1024) }')
echo "free on /: ${free} MB"
if [ "$free" -lt "$INFRA_ROOM" ]; then
  echo "No space left on device: / has ${free} MB free, and ${INFRA_ROOM} MB are needed to begin with" >&2
  exit 1
fi

rm -rf /tmp/infra-bake
install -d -m 0700 -o "${SUDO_UID:-0}" -g "${SUDO_GID:-0}" /tmp/infra-bake
