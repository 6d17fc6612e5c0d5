# Converge the policy with the very script that every other machine runs. In: INFRA_CLIENT (cinc or chef).
set -u
PATH=$PATH:/opt/cinc/bin:/opt/chef/bin # the packages link themselves into /usr/bin, but not all do

client=$(command -v "${INFRA_CLIENT}-client" || true)
if [ -z "$client" ]; then
  echo "there is no ${INFRA_CLIENT}-client on this machine" >&2
  exit 1
fi
code=0
/var/lib/infra/policy/current/bin/converge --client "$client" || code=$?
[ ! -f /var/lib/infra/report.json ] || cp /var/lib/infra/report.json /tmp/infra-bake/report.json
exit "$code"
