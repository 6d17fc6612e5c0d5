"""Machines on their way out, one step at a time, each of which can be the last before a crash.

    intent and cordon (one write)  →  evictions, loop by loop  →  empty: terminate, then delete the Node

A node is only terminated in a later loop than the one that cordoned it: its list of pods is then younger than the
cordon. One that is needed again gets both back in one write.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Literal

from infra.autoscale.controller.decisions import Decision
from infra.autoscale.controller.hands import Hands, annotated
from infra.autoscale.controller.notes import FINAL, IDLE_SINCE, LEAVING, Leaving, leaving_of, notes_of
from infra.autoscale.controller.view import Berth, Seat, View
from infra.autoscale.ports import Raw
from infra.autoscale.shrink import keeps
from infra.autoscale.snapshot import Pod


def send_off(
    seat: Seat,
    leaving: Leaving,
    hands: Hands,
    kind: Literal["leave", "give-back", "interrupted"] = "leave",
    cost: float = 0.0,
) -> bool:
    """Write the intent and the cordon."""

    def change(raw: Raw) -> Raw | None:
        there = leaving_of(raw) == leaving and (raw.get("spec") or {}).get("unschedulable")
        return None if there else annotated({LEAVING: leaving.dumps()}, unschedulable=True)

    pods = tuple(pod.key for pod in seat.pods)
    decision = Decision(kind, seat.name, leaving.reason, cost=-cost, fleet=leaving.fleet, node=seat.name, pods=pods)
    if not hands.change(decision, seat.raw, change):
        return False
    seat.leaving = leaving
    return True


def stay(seat: Seat, why: str, hands: Hands) -> bool:
    """Take the intent and the cordon away. A node whose intent somebody else removed keeps its cordon."""

    def change(raw: Raw) -> Raw | None:
        if LEAVING not in notes_of(raw):
            return None
        return annotated({LEAVING: None, IDLE_SINCE: None}, unschedulable=False)

    fleet = seat.berth.id if seat.berth else ""
    if not hands.change(Decision("uncordon", seat.name, why, fleet=fleet, node=seat.name), seat.raw, change):
        return False
    seat.leaving, seat.cordoned = None, False
    return True


def go_on(view: View, needed: Collection[str], unused: dict[str, int], hands: Hands) -> None:
    """The next step of every machine that was leaving when the loop began. ``needed``: nodes that the plan has work
    for; ``unused``: machines in flight that it has none for, by fleet."""
    for seat in list(view.seats.values()):
        if seat.gone:
            _forget(seat, "its machine is gone", hands)
        elif seat.leaving is not None and leaving_of(seat.raw) is not None:
            _step(view, seat, seat.leaving, seat.name in needed, unused, hands)


def _step(view: View, seat: Seat, leaving: Leaving, needed: bool, unused: dict[str, int], hands: Hands) -> None:
    berth, machine = seat.berth, seat.machine
    if machine is None or berth is None or berth.blind:
        away = leaving.fleet.split("/", 1)[0] in view.blind
        if not away and machine is None and leaving.why not in FINAL:
            stay(seat, "its machine is in no fleet any more", hands)
        return
    if machine.state == "leaving":
        return
    final = leaving.why in FINAL or machine.state == "interrupted"
    if not final:
        kept = next((why for pod in seat.pods if (why := keeps(pod)) and pod.key not in view.deleting), "")
        full = berth.desired <= berth.fleet.minimum
        why = "waiting pods are to run on it" if needed else kept
        why = why or (f"the group {berth.id} is at its minimum" if full else "")
        why = why or ("" if seat.cordoned else "somebody uncordoned it")
        if why:
            stay(seat, why, hands)
            return
    if not seat.cordoned:
        send_off(seat, leaving, hands)
        return
    left = [pod for pod in seat.pods if not _lost(seat, pod, view)]
    for pod in left:
        if pod.key not in view.deleting:
            why = f"its machine {seat.name} is going: {leaving.reason}"
            hands.evict(Decision("evict", pod.key, why, fleet=berth.id, node=seat.name), pod.namespace, pod.name)
    if not left:
        _end(seat, berth, machine.id, leaving, unused, hands)


def _lost(seat: Seat, pod: Pod, view: View) -> bool:
    """A pod that only waits for a kubelet that answers no more to say that it is over."""
    return not seat.ready and pod.key in view.deleting


def _end(seat: Seat, berth: Berth, machine: str, leaving: Leaving, unused: dict[str, int], hands: Hands) -> None:
    if end_machine(berth, machine, seat.name, leaving.reason, leaving.why == "interrupted", unused, hands):
        _forget(seat, "its machine was given back", hands)


def end_machine(
    berth: Berth, machine: str, subject: str, why: str, wanted: bool, unused: dict[str, int], hands: Hands
) -> bool:
    """Terminate; the group launches another when its minimum wants it, or (``wanted``) when there is work for it."""
    another = berth.desired <= berth.fleet.minimum or (wanted and not unused.get(berth.id, 0))
    decision = Decision("replace" if another else "terminate", subject, why, fleet=berth.id, node=subject)
    act = hands.replace if another else hands.terminate
    if not act(decision, berth.id, machine):
        return False
    berth.lost(machine, lowered=not another)
    if wanted and not another:
        unused[berth.id] -= 1
    return True


def _forget(seat: Seat, why: str, hands: Hands) -> None:
    fleet = seat.berth.id if seat.berth else ""
    hands.forget(Decision("forget", seat.name, why, fleet=fleet, node=seat.name), seat.name)
