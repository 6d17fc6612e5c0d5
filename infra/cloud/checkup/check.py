"""One check of the doctor's: its line, its deadline, and several at once."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Literal

from infra.errors import InfraError, Problem, Unreachable

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
