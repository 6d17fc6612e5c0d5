"""What must be seen to before anything is planned: machines that never join, that broke, that spot takes back."""

from __future__ import annotations

from infra.autoscale.controller.decisions import Decision
from infra.autoscale.controller.failures import back_off
from infra.autoscale.controller.hands import Hands, annotated
from infra.autoscale.controller.leaving import end_machine, send_off
from infra.autoscale.controller.notes import FLEET, IDLE_SINCE, JOINED, Leaving, Why, notes_of, seconds_of
from infra.autoscale.controller.observe import lacks, settled
from infra.autoscale.controller.settings import Settings
from infra.autoscale.controller.state import State
from infra.autoscale.controller.view import Seat, View
from infra.autoscale.ports import Raw
from infra.autoscale.shrink import keeps

NOTES_A_LOOP = 100
"""Annotations that are no intents are written so many at a time: none of them is urgent."""


def look_after(view: View, state: State, hands: Hands, settings: Settings) -> None:
    """Send off what cannot work, and let its place rest."""
    patience = settings.join_minutes * 60
    for seat in view.seats.values():
        berth, machine = seat.berth, seat.machine
        if berth is None or machine is None or berth.blind:
            continue
        if seat.leaving is not None and seat.leaving.why != "spare":
            continue
        if machine.state == "interrupted":
            why = "spot takes the machine back"
            send_off(seat, Leaving("interrupted", view.now, why, machine.id, berth.id), hands, "interrupted")
            continue
        since = state.unready.get(machine.id)
        if machine.state == "leaving" or since is None or view.now - since < patience:
            continue
        if seat.ready:
            _incomplete(view, seat, state, hands, settings)
        elif not any(keeps(pod) and pod.key not in view.deleting for pod in seat.pods):
            joined = JOINED in notes_of(seat.raw)
            kind: Why = "not-ready" if joined else "never-joined"
            words = f"it was not ready for {settings.join_minutes:g} minutes"
            text = words if joined else f"{words} and never before"
            send_off(seat, Leaving(kind, view.now, text, machine.id, berth.id), hands)
            if not joined:
                back_off(berth.id, text, view.now, view.now, berth, view, state, hands, settings)
    for berth in view.seen():
        for machine in list(berth.flying):
            if view.now - state.unready.get(machine.id, view.now) >= patience:
                text = f"it did not join within {settings.join_minutes:g} minutes"
                back_off(berth.id, text, view.now, view.now, berth, view, state, hands, settings)
                end_machine(berth, machine.id, machine.id, text, False, {}, hands)
                state.unready.pop(machine.id, None)


def _incomplete(view: View, seat: Seat, state: State, hands: Hands, settings: Settings) -> None:
    """A node that is ready and lacks what was promised is a node all the same; more like it are not bought for now."""
    if seat.berth is not None:
        missing = ", ".join(lacks(seat)) or "a taint of its start is still there, and what it waits for"
        why = f"{seat.name} is ready, but {missing} never came"
        back_off(seat.berth.id, why, view.now, view.now, seat.berth, view, state, hands, settings)


class Idle:
    """Since when nodes have no work. Kept here, and on the nodes for who comes after us."""

    def __init__(self) -> None:
        self._since: dict[str, float] = {}

    def update(self, view: View, needed: set[str]) -> None:
        """To be called once a loop, when it is known which nodes waiting work is planned on."""
        fresh: dict[str, float] = {}
        for name, seat in view.seats.items():
            if seat.machine is None or seat.pods or seat.name in needed or seat.leaving is not None:
                continue
            said = seconds_of(seat.raw, IDLE_SINCE)
            known = self._since.get(name, view.now if said is None else min(said, view.now))
            fresh[name] = known
        self._since = fresh

    def since(self, name: str) -> float | None:
        return self._since.get(name)

    def write(self, view: View, state: State, hands: Hands, patience: float) -> None:
        """Bring the nodes' annotations up to date, as many as a loop may."""
        left = NOTES_A_LOOP
        for seat in view.seats.values():
            notes = self._wanted(seat, state, view.now, patience)
            if not notes or not left:
                continue
            left -= 1

            def change(raw: Raw, notes: dict[str, str | None] = notes) -> Raw:
                return annotated(notes)

            hands.change(None, seat.raw, change)

    def _wanted(self, seat: Seat, state: State, now: float, patience: float) -> dict[str, str | None]:
        """What a node's annotations are to become."""
        if seat.berth is None or seat.machine is None or seat.berth.blind or seat.leaving is not None or seat.gone:
            return {}
        there = notes_of(seat.raw)
        wanted: dict[str, str | None] = {}
        if there.get(FLEET) != seat.berth.id:
            wanted[FLEET] = seat.berth.id
        over = now - state.unready.get(seat.machine.id, now) >= patience
        if JOINED not in there and seat.ready and (settled(seat) or over):
            wanted[JOINED] = f"{now:.0f}"
        since = self._since.get(seat.name)
        if since is None and IDLE_SINCE in there:
            wanted[IDLE_SINCE] = None
        if since is not None and seconds_of(seat.raw, IDLE_SINCE) != round(since):
            wanted[IDLE_SINCE] = f"{since:.0f}"
        return wanted


def note_blind(view: View, hands: Hands) -> None:
    for region, why in sorted(view.blind.items()):
        hands.note(Decision("blind", region, why, done=not hands.dry))
