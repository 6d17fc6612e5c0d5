# Say what this machine is, take everything off it that must not be in an image, and look that it is gone.
# In: INFRA_CLIENT. SSH's host keys and our own key go here: nothing connects again after this script.
set -eu

sed "s/@CONVERGED@/$(date -u +%Y-%m-%dT%H:%M:%SZ)/" /tmp/infra-bake/node.json >/var/lib/infra/node.json
chmod 0644 /var/lib/infra/node.json
rm -rf /tmp/infra-bake
/var/lib/infra/policy/current/bin/seal
[ "$INFRA_CLIENT" = rehearsal ] || /var/lib/infra/policy/current/bin/smoke --image
sync
