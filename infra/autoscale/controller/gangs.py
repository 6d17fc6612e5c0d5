"""Gangs' launches: what was asked for them, and what is given back when it came only in part.

The plan of the loop decides: machines of such a launch that it has no use for go, whether the gang has found a place
elsewhere or waits. What other work is to run on stays.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping

from infra.autoscale.controller.decisions import Decision
from infra.autoscale.controller.hands import Hands
from infra.autoscale.controller.leaving import send_off
from infra.autoscale.controller.notes import Leaving
from infra.autoscale.controller.state import Asked, State
from infra.autoscale.controller.view import Berth, Seat, View
from infra.autoscale.plan import Plan
from infra.autoscale.ports import FleetId, Machine
from infra.autoscale.snapshot import Snapshot

NEW, FLYING = ": new, ", ": in flight, "
"""How a plan calls machines that are no nodes."""


def used_flights(plan: Plan) -> dict[FleetId, int]:
    """How many machines in flight of each fleet the plan has work for."""
    found: dict[FleetId, int] = defaultdict(int)
    for name in set(plan.placements.values()):
        fleet, sign, _ = name.partition(FLYING)
        if sign:
            found[FleetId(fleet)] += 1
    return dict(found)


def give_back(view: View, state: State, plan: Plan, flying: Collection[str], hands: Hands) -> None:
    """Machines of launches that fell short and that nothing is planned on: given back, without waiting to be idle.

    ``flying``: the names of machines in flight that the plan has work for.
    """
    members = _members(view)
    used, names = used_flights(plan), {*plan.placements.values(), *flying}
    for gang, asked in sorted(state.gangs.items()):
        waiting, bound = members.get(gang, (0, 0))
        short = _short(view, asked)
        if not waiting and (bound or not short):
            # It runs, or it is no more: then its machines are as idle as any.
            del state.gangs[gang]
            continue
        if not short:
            continue
        for name, one in sorted(asked.items()):
            berth = view.berths.get(FleetId(name))
            if berth is not None and not berth.blind:
                _return(view, gang, berth, one.count, used.get(berth.id, 0), names, hands)
        del state.gangs[gang]


def _members(view: View) -> Mapping[str, tuple[int, int]]:
    """Waiting and bound pods by gang."""
    found: dict[str, tuple[int, int]] = defaultdict(lambda: (0, 0))
    for pod in view.pods:
        if pod.needs.gang is not None:
            waiting, bound = found[pod.needs.gang.name]
            found[pod.needs.gang.name] = (waiting + (not pod.node), bound + bool(pod.node))
    return found


def _short(view: View, asked: Mapping[str, Asked]) -> bool:
    """Whether a fleet wants less by now than was asked of it, which is so when it could not launch."""
    for name, one in asked.items():
        berth = view.berths.get(FleetId(name))
        if berth is None and FleetId(name).region not in view.blind:
            return True
        if berth is not None and not berth.blind and berth.desired < one.desired:
            return True
    return False


def _return(view: View, gang: str, berth: Berth, count: int, used: int, names: set[str], hands: Hands) -> None:
    why = f"the launch for the gang {gang} was only partly filled, and nothing else needs it"
    rest = max(0, min(count, berth.desired - berth.fleet.minimum))
    spare: list[Machine] = sorted(berth.flying, key=lambda one: (one.node in names, -one.launched, one.id))
    for machine in spare[: max(0, min(len(berth.flying) - used, rest))]:
        rest -= 1
        decision = Decision("give-back", machine.id, why, fleet=berth.id)
        if hands.terminate(decision, berth.id, machine.id):
            berth.lost(machine.id, lowered=True)
    seats = [seat for seat in view.of(berth) if _empty(seat) and seat.name not in names]
    seats.sort(key=lambda seat: (-(seat.machine.launched if seat.machine else 0.0), seat.name))
    for seat in seats[:rest]:
        machine_id = seat.machine.id if seat.machine else ""
        send_off(seat, Leaving("gang", view.now, why, machine_id, berth.id), hands, kind="give-back")


def _empty(seat: Seat) -> bool:
    alive = seat.machine is not None and seat.machine.state in ("pending", "in-service")
    return alive and not seat.pods and seat.leaving is None and not seat.cordoned


def launches(snapshot: Snapshot, plan: Plan, desired: Mapping[str, int]) -> dict[str, dict[str, Asked]]:
    """What the plan buys for gangs: by gang and fleet. ``desired`` are the numbers that are going to be asked for."""
    gangs = {pod.key: pod.needs.gang.name for pod in snapshot.pods if pod.needs.gang is not None and not pod.node}
    machines: dict[str, dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
    for key, gang in gangs.items():
        fleet, new, number = plan.placements.get(key, "").partition(NEW)
        if new and fleet in desired:
            machines[gang][fleet].add(number)
    return {
        gang: {fleet: Asked(desired[fleet], len(some)) for fleet, some in sorted(by.items())}
        for gang, by in sorted(machines.items())
    }
