"""The annotations that the controller writes on nodes, and how they are read: leniently."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from math import isfinite
from typing import Any, Literal, cast, get_args

LEAVING, IDLE_SINCE, FLEET, JOINED = "infra/leaving", "infra/idle-since", "infra/fleet", "infra/joined"
"""``infra/fleet``: from then on the node is known as the fleet's, also when its machine is gone. ``infra/joined``: it
was ready once, with all that its fleet promises; when it is not any more, it is broken and not joining."""

Why = Literal["spare", "gang", "interrupted", "never-joined", "not-ready"]
FINAL = ("interrupted", "never-joined", "not-ready")
"""Reasons from which there is no way back."""


@dataclass(frozen=True, slots=True)
class Leaving:
    """The intent that a machine goes: written before anything is done about it, in one write with the cordon."""

    why: Why
    since: float
    reason: str
    machine: str
    fleet: str

    def dumps(self) -> str:
        raw = {"why": self.why, "since": self.since, "reason": self.reason}
        return json.dumps({**raw, "machine": self.machine, "fleet": self.fleet}, sort_keys=True)


def notes_of(raw: Mapping[str, Any]) -> Mapping[str, Any]:
    meta = raw.get("metadata")
    notes = meta.get("annotations") if isinstance(meta, dict) else None
    return notes if isinstance(notes, dict) else {}


def leaving_of(raw: Mapping[str, Any]) -> Leaving | None:
    """The intent on a node; what somebody garbled is an intent all the same, of a machine that is spare."""
    text = notes_of(raw).get(LEAVING)
    if text is None:
        return None
    try:
        said = json.loads(text)
        why = said.get("why")
        return Leaving(
            cast(Why, why if why in get_args(Why) else "spare"),
            float(said.get("since") or 0),
            str(said.get("reason") or "its annotation says so"),
            str(said.get("machine") or ""),
            str(said.get("fleet") or ""),
        )
    except (ValueError, TypeError, AttributeError, RecursionError):
        return Leaving("spare", 0.0, "its annotation says so", "", "")


def seconds_of(raw: Mapping[str, Any], key: str) -> float | None:
    """A time that an annotation holds, in seconds since the epoch."""
    try:
        found = float(notes_of(raw)[key])
        return found if isfinite(found) else None
    except (KeyError, ValueError, TypeError):
        return None
