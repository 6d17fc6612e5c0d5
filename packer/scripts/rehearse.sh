# The stand-in for a Chef client where there is none. It converges NOTHING; only the embedded AWS is ever given it.
set -eu

echo "REHEARSAL: there is no Chef client on this machine; NOTHING was converged and NOTHING was tested"
echo "REHEARSAL: the image that comes of this is good for trying infra, and for nothing else"
printf '{"status": "rehearsed", "updated": [], "total": 0, "exit": 0, "seconds": 0}\n' >/tmp/infra-bake/report.json
cp /tmp/infra-bake/report.json /var/lib/infra/report.json
