"""A machine in AWS as its tags describe it, and the name that it has here. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

CloudKind = Literal["host", "pool", "control-plane"]
LEAST = 6  # digits of an instance id in a pool machine's name


@dataclass(frozen=True, slots=True)
class Instance:
    """One instance that is pending or running.

    ``group`` is the pool or host that its tags name; ``label`` its tag ``Name`` without the cluster's name.
    ``launched`` is UTC ISO. ``health`` is AWS's word for it: ``ok``, ``initializing``, ``impaired``, a group's
    ``Unhealthy`` or lifecycle state such as ``Terminating:Wait``; "" when nobody asked.
    """

    id: str
    region: str
    kind: CloudKind
    group: str
    profile: str = ""
    label: str = ""
    state: str = "running"
    type: str = ""
    image: str = ""
    private: str = ""
    public: str = ""
    zone: str = ""
    launched: str = ""
    health: str = ""

    @property
    def address(self) -> str:
        return self.public or self.private


def names(instances: Sequence[Instance], taken: Iterable[str]) -> dict[str, str]:
    """Instance id -> its name: unique, and none of ``taken`` (the physical machines have the first right).

    A pool's machine is called after its pool and the end of its id: six digits, or more where six are not enough. A
    host and a machine of the control plane have the name of their tag; of two with the same one the newer has it (the
    older is about to go), the other is called as a pool's machine is.
    """
    used = set(taken)
    found: dict[str, str] = {}
    numbered = [item for item in instances if item.kind != "pool" and item.label]
    for item in sorted(numbered, key=lambda item: (item.launched, item.id), reverse=True):
        if item.label not in used:
            used.add(item.label)
            found[item.id] = item.label
    others = sorted((item for item in instances if item.id not in found), key=lambda item: item.id)
    ids: dict[str, list[str]] = {}
    for item in others:
        ids.setdefault(item.group or item.kind, []).append(_digits(item.id))
    for item in others:
        stem, digits = item.group or item.kind, _digits(item.id)
        length = LEAST
        while length < len(digits) and (
            sum(other.endswith(digits[-length:]) for other in ids[stem]) > 1 or f"{stem}-{digits[-length:]}" in used
        ):
            length += 1
        found[item.id] = f"{stem}-{digits[-length:]}"
        used.add(found[item.id])
    return found


def _digits(ident: str) -> str:
    return ident.removeprefix("i-")
