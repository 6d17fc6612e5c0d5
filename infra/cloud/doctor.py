"""``infra doctor``: is everything there that this cluster needs? One line a check, each with what to do.

The checks of the machine need neither a network nor a ``cluster.yaml``; those of the account run side by side, each
with a deadline, and one that cannot be made says so instead of stopping the others.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from infra.errors import InfraError, Problem, Unreachable
from infra.spec.load import Loaded
from infra.spec.models import Cluster

Status = Literal["ok", "warn", "fail", "skip"]
Job = Callable[[], "Check | Sequence[Check]"]
DEADLINE = 30.0


@dataclass(frozen=True, slots=True)
class Check:
    """One line: its stable ``name``, the region it is of ('' for none), how it went, what was found, what to do."""

    name: str
    status: Status
    what: str
    fix: str = ""
    why: str = ""
    region: str = ""

    def data(self) -> dict[str, str]:
        return {
            "name": self.name,
            "region": self.region,
            "status": self.status,
            "what": self.what,
            "why": self.why,
            "fix": self.fix,
        }


def examine(file: Path, endpoint: str | None) -> list[Check]:
    """Every check, in the order to read them. Raises nothing of its own: what goes wrong is a check's line."""
    from infra.cloud import doctor_account, doctor_machine

    loaded, checks = read(file, endpoint)
    cluster = loaded.cluster if loaded else None
    checks = [*doctor_machine.examine(cluster, file), *checks]
    if loaded is not None and loaded.cluster.aws is not None:
        checks += doctor_account.examine(loaded)
    return checks


def read(file: Path, endpoint: str | None) -> tuple[Loaded | None, list[Check]]:
    """The cluster if there is one, and whether it is valid."""
    from infra.spec.load import load
    from infra.spec.rules import check

    if not file.exists():
        what = f"no {file}: only this machine is checked"
        return None, [Check("file", "skip", what, "write one: infra init")]
    try:
        loaded = load(file, endpoint)
    except InfraError as error:
        return None, [wrong(error.problems, "file", "fail", f"see all of it: infra validate -f {file}")]
    found = check(loaded)
    errors = [problem for problem in found if problem.level == "error"]
    if errors:
        return loaded, [wrong(errors, "file", "fail", f"see all of it: infra validate -f {file}")]
    if found:
        return loaded, [wrong(found, "file", "warn", f"see all of it: infra validate -f {file}")]
    return loaded, [Check("file", "ok", f"{file} is valid: cluster {loaded.cluster.cluster}{_parts(loaded.cluster)}")]


def wrong(problems: Sequence[Problem], name: str, status: Status, more: str = "", region: str = "") -> Check:
    """Problems as one line: the first, and how many more there are."""
    first = problems[0]
    rest = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
    what = f"{first.where}: {first.what}" if first.where else first.what
    fix = "; ".join(part for part in (first.fix, more if rest else "") if part)
    return Check(name, status, f"{what}{rest}", fix, first.why, region)


def guarded(
    name: str, job: Job, *, region: str = "", status: Status = "fail", deadline: float = DEADLINE
) -> list[Check]:
    """A job's checks. When it cannot be made: one check of that name that says why."""
    from infra.cloud.aws import within

    try:
        found = within(deadline, "the check took too long", job)
    except InfraError as error:
        return [wrong(error.problems, name, status, region=region)]
    except OSError as error:
        failed = Unreachable(error.strerror or str(error), fix="check the network and this machine's file system")
        return [wrong(failed.problems, name, status, region=region)]
    return [found] if isinstance(found, Check) else list(found)


def side_by_side(jobs: Iterable[Callable[[], list[Check]]]) -> list[Check]:
    """Run guarded jobs at once; their checks in the jobs' order."""
    with ThreadPoolExecutor(8, thread_name_prefix="doctor") as pool:
        return [check for found in pool.map(lambda job: job(), jobs) for check in found]


def healthy(checks: Iterable[Check]) -> bool:
    return all(check.status != "fail" for check in checks)


def data(checks: Sequence[Check]) -> dict[str, Any]:
    return {"healthy": healthy(checks), "checks": [check.data() for check in checks]}


def _parts(cluster: Cluster) -> str:
    counts = {
        "region": len(cluster.aws.regions) if cluster.aws else 0,
        "pool": len(cluster.pools),
        "host": len(cluster.hosts),
        "metal group": len(cluster.metal),
    }
    said = [f"{count} {name}{'s' if count > 1 else ''}" for name, count in counts.items() if count]
    return f", {', '.join(said)}" if said else ""
