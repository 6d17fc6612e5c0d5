"""What outlives a restart and is said nowhere else: one JSON document in a ConfigMap. What is lost with it is patience.

Everything else is read off the world in each loop: desired capacities, machines, nodes and their annotations.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field, fields
from math import isfinite
from typing import Any

from infra.autoscale.ports import Fleet, FleetId, Machine
from infra.autoscale.snapshot import Place, Taint

VERSION = 1


@dataclass(slots=True)
class Backoff:
    """Nothing is bought until ``until`` (our clock). ``count`` failures in a row, the last ``since`` (the clock of who
    told it). ``fleets`` are those whose own launch failed and that were not raised since."""

    until: float
    since: float
    count: int
    why: str
    fleets: list[str] = field(default_factory=list)


@dataclass(slots=True)
class Watermark:
    """The newest failure that was dealt with, and all of that very second."""

    when: float
    ids: list[str]


@dataclass(slots=True)
class Flight:
    """A fleet with machines on their way, as it was last seen: for the time that its region does not answer."""

    since: float
    fleet: Fleet


@dataclass(slots=True)
class Asked:
    """What was asked of a fleet for a gang: ``count`` machines more, which made ``desired``."""

    desired: int
    count: int


@dataclass(slots=True)
class State:
    """``unready``: since when a machine is there without a node that is ready, by its id. ``unfilled``: since when a
    fleet has fewer machines than it wants. ``told``: fingerprints of what was refused and told."""

    backoffs: dict[str, Backoff] = field(default_factory=dict)
    failures: dict[str, Watermark] = field(default_factory=dict)
    unready: dict[str, float] = field(default_factory=dict)
    unfilled: dict[str, float] = field(default_factory=dict)
    flights: dict[str, Flight] = field(default_factory=dict)
    gangs: dict[str, dict[str, Asked]] = field(default_factory=dict)
    told: dict[str, float] = field(default_factory=dict)

    def dumps(self) -> str:
        raw = {"version": VERSION, **_fields(self)}
        return json.dumps(raw, sort_keys=True, separators=(",", ":"), default=_fields)


def _fields(one: Any) -> dict[str, Any]:
    """A dataclass as JSON has it; quicker than ``asdict``, which copies all that is within."""
    return {part.name: getattr(one, part.name) for part in fields(one)}


def key_of(place: Place) -> str:
    return "|".join(place)


def place_of(key: str) -> Place | None:
    """The place of a backoff; None for a fleet's."""
    parts = key.split("|")
    return Place(*parts) if len(parts) == 4 else None


def loads(text: str) -> tuple[State, str]:
    """The state in a text, and a warning: what cannot be read is begun anew."""
    if not text:
        return State(), ""
    try:
        raw = json.loads(text)
        if raw["version"] != VERSION:
            return State(), f"it is of version {raw['version']}, and {VERSION} is what is understood here"
        return _state(raw), ""
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        return State(), f"it cannot be read ({type(error).__name__}: {error})"


def _state(raw: dict[str, Any]) -> State:
    return State(
        backoffs={
            str(key): Backoff(
                _number(one["until"]), _number(one["since"]), int(one["count"]), str(one["why"]), _texts(one["fleets"])
            )
            for key, one in raw["backoffs"].items()
        },
        failures={
            str(key): Watermark(_number(one["when"]), _texts(one["ids"])) for key, one in raw["failures"].items()
        },
        unready={str(key): _number(when) for key, when in raw["unready"].items()},
        unfilled={str(key): _number(when) for key, when in raw["unfilled"].items()},
        flights={str(key): Flight(_number(one["since"]), _fleet(one["fleet"])) for key, one in raw["flights"].items()},
        gangs={
            str(gang): {str(key): Asked(int(one["desired"]), int(one["count"])) for key, one in some.items()}
            for gang, some in raw["gangs"].items()
        },
        told={str(key): _number(when) for key, when in raw["told"].items()},
    )


def _number(raw: object) -> float:
    if isinstance(raw, bool) or not isinstance(raw, int | float):
        raise TypeError(f"{raw!r} is not a number")
    if not isfinite(raw):
        raise ValueError(f"{raw} is no time")
    return float(raw)


def _texts(raw: object) -> list[str]:
    if not isinstance(raw, list):
        raise TypeError(f"{raw!r} is not a list")
    return [str(one) for one in raw]


def _fleet(raw: dict[str, Any]) -> Fleet:
    return Fleet(
        id=FleetId(raw["id"]),
        pool=str(raw["pool"]),
        types=tuple(_texts(raw["types"])),
        zones=tuple(_texts(raw["zones"])),
        market=raw["market"],
        minimum=int(raw["minimum"]),
        maximum=int(raw["maximum"]),
        desired=int(raw["desired"]),
        labels={str(key): str(value) for key, value in raw["labels"].items()},
        taints=tuple(Taint(*_texts(one)) for one in raw["taints"]),
        resources={str(key): str(value) for key, value in raw["resources"].items()},
        machines=tuple(Machine(**one) for one in raw["machines"]),
        pool_maximum=int(raw["pool_maximum"]),
    )
