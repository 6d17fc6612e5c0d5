"""A recording stand-in for the Chef client: a real package with a real ``/opt/cinc/bin/cinc-client`` that converges
nothing. It sits at the boundary where `chef/bin/converge` calls the client, and nowhere else.

Each call is recorded on the machine in /var/lib/standin/calls (a line each: what it was called with), and what it does
is what a test told it through /var/lib/standin/told, a file of shell that it reads:

    resources="package[a] file[/b]"   names of resources that it says it changed (left out: one, the first time only)
    sleep=20                          so long it works, saying a line a second
    fail="package[nvidia]"            it fails at that resource, with its last lines on the way
    code=37                           what it ends with; once=1: code and fail are for the first time only
    hook="touch /tmp/x"               run in the middle of it
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from tests.bed import deb
from tests.bed.machine import Machine

VERSION = "18.5.0-1"
CALLS = "/var/lib/standin/calls"
SCRIPT = r"""#!/bin/sh
# STAND-IN: it converges nothing; it records how it was called and does what it was told.
set -u
why=false config='' json=''
mkdir -p /var/lib/standin
echo "$*" >>/var/lib/standin/calls
while [ $# -gt 0 ]; do
    case $1 in
        --why-run) why=true ;;
        -c) config=$2 && shift ;;
        -j) json=$2 && shift ;;
        --version) echo 'Cinc Client: 18.5.0' && exit 0 ;;
    esac
    shift
done
resources='' sleep=0 fail='' code=0 once='' hook='' loud=''
[ ! -f /var/lib/standin/told ] || . /var/lib/standin/told
[ -r "$json" ] || exit 43
# The folder that report.rb of the real client would be given.
work=$(sed -n 's/.*Infra::Report.new("\(.*\)").*/\1/p' "$config")
if [ -z "$resources" ] && [ ! -e /var/lib/standin/done ]; then resources='file[/etc/standin.conf]'; fi
echo 'STAND-IN: nothing is converged here'
[ -z "$loud" ] || seq 1 "$loud"
first=${fail:-${resources%% *}}
printf %s "$first" >"$work/current"
for second in $(seq 1 "$sleep"); do
    echo "at $first: second $second"
    sleep 1
done
[ -z "$hook" ] || sh -c "$hook"
if [ -n "$once" ] && [ -e /var/lib/standin/once ]; then code=0 fail=''; fi
[ -z "$once" ] || : >/var/lib/standin/once
list=
count=0
for name in $resources; do
    list="$list${list:+,}
    {\"resource\": \"$name\", \"action\": \"create\", \"cookbook\": \"standin\", \"recipe\": \"default\",
     \"where\": \"\", \"depth\": 0, \"seconds\": 0.1}"
    count=$((count + 1))
    $why || echo "  * $name action create"
done
failed=null
if [ -n "$fail" ]; then
    echo "E: Unable to locate package" && echo "FATAL: $fail had an error"
    failed="{\"resource\": \"$fail\", \"action\": \"install\", \"cookbook\": \"standin\", \"recipe\": \"default\",
     \"where\": \"standin/recipes/default.rb:7\", \"class\": \"Mixlib::ShellOut::ShellCommandFailed\",
     \"message\": \"Expected process to exit with [0], but received '100'\nE: Unable to locate package\"}"
    [ "$code" != 0 ] || code=1
fi
cat >"$work/summary.json" <<END
{
  "client": "STAND-IN 18.5.0",
  "total": $((count + 3)),
  "updated_count": $count,
  "updated": [$list],
  "failed": $failed
}
END
[ -z "$fail" ] || printf 'at: %s\n' "$fail" >"$work/failed.txt"
if [ "$code" = 0 ] || [ "$code" = 37 ]; then $why || : >/var/lib/standin/done; fi
exit "$code"
"""


@dataclass(frozen=True)
class StandIn:
    """The package, and its digest as cluster.yaml pins it."""

    path: Path
    sha256: str

    def told(self, machine: Machine, text: str = "") -> None:
        """What it is to do on that machine from now on."""
        machine.run("rm -f /var/lib/standin/once")
        machine.put(text + "\n", "/var/lib/standin/told")

    def calls(self, machine: Machine) -> list[str]:
        """How it was called there so far."""
        return machine.run(f"cat {CALLS} 2>/dev/null || :").out.splitlines()


def build(folder: Path, version: str = VERSION) -> StandIn:
    """The package, made in ``folder``."""
    path = deb.build(folder, "cinc", version, files={"/opt/cinc/bin/cinc-client": SCRIPT})
    return StandIn(path, hashlib.sha256(path.read_bytes()).hexdigest())
