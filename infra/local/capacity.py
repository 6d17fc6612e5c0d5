"""How much the embedded AWS has to give, and how long things take in it: rules that are set from outside.

Without any (as it starts, and after a reset) it has everything at once. There is no such thing for AWS itself.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields
from typing import Any

from infra.errors import UsageError
from infra.local import inventory

FIX = (
    'write: {"limits": [{"region": "us-west-2", "type": "p4d.24xlarge", "machines": 0}, {"market": "spot", "vcpus": 64}'
    '], "pending_seconds": 30}'
)


@dataclass(frozen=True, slots=True)
class Limit:
    """What fits all four patterns (``*`` is any; market is spot or on-demand) has room for so many ``machines``, or
    is under a quota of ``vcpus``. ``code`` says how AWS refuses more, where the usual code is not meant."""

    region: str = "*"
    zone: str = "*"
    type: str = "*"
    market: str = "*"
    machines: int | None = None
    vcpus: int | None = None
    code: str = ""


@dataclass(frozen=True, slots=True)
class Rules:
    """``pending_seconds``: from launch to running. ``retry_seconds``: until a group that was refused tries again.
    ``notice_seconds``: from a spot machine's notice to its end."""

    limits: tuple[Limit, ...] = ()
    pending_seconds: float = 0.0
    retry_seconds: float = 30.0
    notice_seconds: float = 120.0

    def data(self) -> dict[str, Any]:
        return asdict(self)


def parse(value: Any, where: str) -> Rules:
    """Raises UsageError for what is not of that form."""
    given = _known(value, Rules, where)
    limits = given.pop("limits", [])
    if not isinstance(limits, list | tuple):
        raise UsageError("limits is a list", where=where, fix=FIX)
    for name, seconds in given.items():
        if isinstance(seconds, bool) or not isinstance(seconds, int | float) or seconds < 0:
            raise UsageError(f"{name} is a number of seconds", where=where, fix=FIX)
    return Rules(tuple(_limit(item, f"{where}: limits[{n}]") for n, item in enumerate(limits)), **given)


def _limit(value: Any, where: str) -> Limit:
    given = _known(value, Limit, where)
    amounts = [given[name] for name in ("machines", "vcpus") if given.get(name) is not None]
    whole = [amount for amount in amounts if isinstance(amount, int) and not isinstance(amount, bool) and amount >= 0]
    if len(amounts) != 1 or not whole:
        raise UsageError("a limit is a number of machines or of vcpus", where=where, fix=FIX)
    texts = [given[name] for name in ("region", "zone", "type", "market", "code") if name in given]
    if not all(isinstance(text, str) for text in texts):
        raise UsageError("region, zone, type, market and code are texts", where=where, fix=FIX)
    return Limit(**given)


def _known(value: Any, kind: type[Any], where: str) -> dict[str, Any]:
    names = [item.name for item in fields(kind)]
    if not isinstance(value, dict) or not set(value) <= set(names):
        raise UsageError(f"it may have: {', '.join(names)}", where=where, fix=FIX)
    return dict(value)


def read() -> Rules:
    """What holds now in the running embedded AWS. LocalError when it does not run."""
    return parse(inventory.ask("GET", "/capacity"), "the embedded AWS")


def write(rules: Rules) -> None:
    """From now on this holds; what runs already stays."""
    inventory.ask("POST", "/capacity", rules.data())


def interrupt(instances: Iterable[str]) -> list[str]:
    """Tell these spot machines that they end after the notice; those that there are (others are left alone)."""
    answer = inventory.ask("POST", "/interruptions", {"instances": sorted(instances)})
    found: Any = answer["interrupted"]
    return [str(name) for name in found]
