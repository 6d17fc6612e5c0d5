# The smoke test of the machine as it now is: a line a check. One that fails means no image.
set -u
exec /var/lib/infra/policy/current/bin/smoke
