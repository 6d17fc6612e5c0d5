# What is on the machine, for the image's bill of materials.
set -eu
cd /tmp/infra-bake

if [ -x /var/lib/infra/policy/current/bin/smoke ]; then
  /var/lib/infra/policy/current/bin/smoke --packages >packages.tsv
else
  # shellcheck disable=SC2016
  dpkg-query -W -f 'dpkg\t\t${Package}\t${Version}\t${Architecture}\n' >packages.tsv
fi
[ -f report.json ] || echo '{}' >report.json
chown -R "${SUDO_UID:-0}:${SUDO_GID:-0}" .
echo "$(wc -l <packages.tsv) packages"
