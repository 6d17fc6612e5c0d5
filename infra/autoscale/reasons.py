"""Decisions in words: why a machine is bought, why a pod waits. The same code tells the log and ``explain``."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from infra.autoscale.market import Option
from infra.autoscale.quantity import words
from infra.autoscale.room import Ints
from infra.autoscale.shapes import BESIDE, Shape
from infra.autoscale.snapshot import ONLY_IN_FLIGHT
from infra.autoscale.world import World

TOLD = 3


def asks(shape: Shape) -> str:
    """What a pod of the shape asks for, without what every pod does."""
    said = [
        f"{words(name, amount)} {name}" if "/" in name or name not in ("cpu", "memory") else words(name, amount)
        for name, amount in shape.needs.requests
        if name != "pods" and not name.startswith(BESIDE)
    ]
    return ", ".join(said) or "nothing in particular"


def bought_for(world: World, option: Option, loads: Mapping[int, int], homes: Mapping[str, str]) -> str:
    """Why machines of an option are bought: for whom, and what they ask for."""
    total = sum(loads.values())
    largest = sorted(loads, key=lambda place: (-loads[place], place))
    said = [f"{loads[place]} like {world.shapes[place].pods[0].key} ({asks(world.shapes[place])})" for place in largest]
    text = f"for {total} {'pod' if total == 1 else 'pods'}: {'; '.join(said[:TOLD])}"
    if len(said) > TOLD:
        text += f"; and {len(said) - TOLD} more kinds"
    gangs = sorted({gang.name for place in loads if (gang := world.shapes[place].needs.gang) is not None})
    if gangs:
        where = f" whole in {homes.get(gangs[0]) or 'one place'}" if len(gangs) == 1 else ""
        text += f"; gang {gangs[0]}{where}" if len(gangs) == 1 else f"; {len(gangs)} gangs, each whole in one place"
    return text


def waits(world: World, place: int) -> str:
    """Why a shape's pods find no place: each reason with how many machines or offers it rules out."""
    shape, request = world.shapes[place], world.requests[place]
    nodes: Counter[str] = Counter()
    for row in range(len(world.first_free)):
        nodes[_no(world, place, int(world.room.kind[row]), world.room.free[row], request, "taken")] += 1
    offers: Counter[str] = Counter()
    for option in world.market.options:
        why = _no(world, place, option.kind, option.capacity, request, "too small")
        group = world.market.groups[option.group]
        if not why and not world.market.left[option.pool]:
            which = f"pool {group.pool}" if group.pool else f"group {group.name}"
            why = f"the {which} is at its maximum of {group.maximum}"
        offers[why or "it could be bought"] += 1
    for _, offer in world.market.starved:
        offers[f"{offer.place} has no capacity now"] += 1
    for offer in world.market.closed:
        if offer.closed != ONLY_IN_FLIGHT:
            offers[offer.closed] += 1
    parts = [_told("machine", nodes), _told("offer", offers)]
    return f"it asks for {asks(shape)}; " + "; ".join(part for part in parts if part) if any(parts) else "no machines"


def _no(world: World, place: int, kind: int, free: Ints, request: Ints, short: str) -> str:
    why = world.kinds.why_not(world.shapes[place].needs, kind)
    if why:
        return why
    for axis, name in enumerate(world.room.axes):
        if request[axis] and free[axis] < request[axis]:
            return f"{'a pod that it may not be beside is there' if name.startswith(BESIDE) else f'{name} {short}'}"
    return ""


def _told(what: str, reasons: Counter[str]) -> str:
    some = [(why, count) for why, count in reasons.most_common() if why]
    said = [f"{count} {what}{'' if count == 1 else 's'}: {why}" for why, count in some[: TOLD + 1]]
    return ", ".join(said)
