"""Launches that failed: their place backs off, and what was asked for in vain is not asked for any more."""

from __future__ import annotations

from collections.abc import Iterable

from infra.autoscale.controller.decisions import Decision
from infra.autoscale.controller.hands import Hands
from infra.autoscale.controller.offers import Offers
from infra.autoscale.controller.settings import Settings
from infra.autoscale.controller.state import Backoff, State, Watermark, key_of, place_of
from infra.autoscale.controller.view import Berth, View
from infra.autoscale.ports import Failure, Machine
from infra.autoscale.snapshot import Place

OF_THE_PLACE = frozenset(
    {
        *("InsufficientInstanceCapacity", "InsufficientHostCapacity", "InsufficientCapacity", "UnfulfillableCapacity"),
        *("InsufficientReservedInstanceCapacity", "ReservationCapacityExceeded", "SpotMaxPriceTooLow"),
        *("MaxSpotInstanceCountExceeded", "VcpuLimitExceeded", "InstanceLimitExceeded", "Unsupported"),
    }
)
"""What EC2 says of a place, whoever asks. All else (an image that is gone, no right) is the group's own trouble."""
FORGET = 3600.0
"""Seconds after which a backoff that is over is no longer remembered."""


def settle(view: View, state: State, offers: Offers, hands: Hands, settings: Settings) -> None:
    """Deal with every failure that is new, once."""
    _resume(view, state, hands)
    for berth in view.seen():
        fresh = _fresh(berth, state)
        # What is told for the first time happened just now, unless this is the first time that we ask: then by its
        # own time, for it may be old. Our clock need not be the cloud's.
        first = berth.id not in state.failures
        keys = {_key(berth, failure, offers): failure for failure in reversed(fresh)}
        for key, failure in keys.items():
            if not any(_in(key, berth, one) and one.launched > failure.when for one in berth.alive.values()):
                why = failure.message or failure.code or "the launch failed"
                begin = min(failure.when, view.now) if first else view.now
                back_off(key, why, begin, failure.when, berth, view, state, hands, settings)
        _patience(berth, view, state, offers, hands, settings)
        if berth.unfilled and _in_vain(berth, bool(fresh), view, state, offers):
            lower(berth, hands, f"{berth.unfilled} of {berth.desired} could not be launched")
            berth.vain = berth.unfilled
        newest = fresh[0].when if fresh else 0.0
        if fresh or berth.id not in state.failures:
            state.failures[berth.id] = Watermark(newest, sorted(one.id for one in fresh if one.when == newest))


def back_off(
    key: str,
    why: str,
    begin: float,
    since: float,
    berth: Berth,
    view: View,
    state: State,
    hands: Hands,
    settings: Settings,
) -> None:
    """A place, or a fleet, rests from ``begin``: twice as long as the last time. One that rests already rests no longer
    for it. ``since`` is when it failed, by the clock that machines' launches are told in."""
    old = state.backoffs.get(key)
    if old is not None and old.until > view.now:
        if berth.id not in old.fleets:
            old.fleets = sorted([*old.fleets, berth.id])
        old.since = max(old.since, since)
        return
    count = old.count + 1 if old is not None else 1
    minutes = min(settings.backoff_minutes * 2 ** min(count - 1, 16), settings.backoff_most)
    until = begin + minutes * 60
    state.backoffs[key] = Backoff(until, since, count, why, [berth.id])
    if until > view.now:
        place = place_of(key)
        hands.note(
            Decision("back-off", str(place or key), why, fleet=berth.id, place=place, until=until, done=not hands.dry)
        )


def lower(berth: Berth, hands: Hands, why: str) -> bool:
    """Ask for no more than there is: the group then stops trying, and chooses no machine to end."""
    floor, before = berth.floor, berth.desired
    if floor >= before:
        return False
    decision = Decision("lower", berth.id, why, before - floor, fleet=berth.id, desired=floor)
    if hands.resize(decision, berth.id, floor):
        berth.desired = floor
        return True
    return False


def _fresh(berth: Berth, state: State) -> list[Failure]:
    """The failures that were not dealt with yet, the newest first."""
    mark = state.failures.get(berth.id)
    some = sorted(berth.fleet.failures, key=lambda one: (one.when, one.id), reverse=True)
    if mark is None:
        return some
    return [one for one in some if one.when > mark.when or (one.when == mark.when and one.id not in mark.ids)]


def _key(berth: Berth, failure: Failure, offers: Offers) -> str:
    """What is to back off: the place that the failure names, or the fleet."""
    if failure.code not in OF_THE_PLACE:
        return berth.id
    fleet = berth.fleet
    first = offers.first(fleet)
    kind = failure.type or (first.type if first else (fleet.types or ("",))[0])
    zone = failure.zone or (fleet.zones[0] if len(fleet.zones) == 1 else "")
    return key_of(Place(fleet.id.region, zone, kind, fleet.market))


def _in(key: str, berth: Berth, machine: Machine) -> bool:
    place = place_of(key)
    if place is None:
        return key == berth.id
    same = (place.region, place.type, place.market) == (berth.id.region, machine.type, machine.market)
    return same and place.zone in ("", machine.zone)


def _in_vain(berth: Berth, fresh: bool, view: View, state: State, offers: Offers) -> bool:
    """Whether what the fleet lacks will not come: its own launch failed, and there is nowhere left to try."""
    mine = [key for key, one in state.backoffs.items() if berth.id in one.fleets and (fresh or one.until > view.now)]
    if berth.id in mine:
        return True
    places = [place for key in mine if (place := place_of(key))]
    if not places:
        return False
    # A group over several zones tries the others by itself: only when all refused is there nowhere left to try.
    zones = berth.fleet.zones
    return any(not place.zone or len(zones) == 1 or offers.starved(place._replace(zone=""), zones) for place in places)


def _patience(berth: Berth, view: View, state: State, offers: Offers, hands: Hands, settings: Settings) -> None:
    """A fleet that lacks machines for long without saying why has failed, too."""
    if not berth.unfilled:
        state.unfilled.pop(berth.id, None)
        return
    since = state.unfilled.setdefault(berth.id, view.now)
    if view.now - since < settings.join_minutes * 60 or berth.floor >= berth.desired:
        return
    first = offers.first(berth.fleet)
    why = f"nothing was launched for {settings.join_minutes:g} minutes"
    back_off(key_of(first) if first else berth.id, why, view.now, view.now, berth, view, state, hands, settings)
    state.unfilled.pop(berth.id, None)


def _resume(view: View, state: State, hands: Hands) -> None:
    """Machines that were launched after the failure end it, when all came that were asked for: a launch that is filled
    in part only will fail again. What is over for long is forgotten."""
    for key, one in list(state.backoffs.items()):
        # A group whose machines come and never join is as bad as one whose do not come.
        some = [
            (b, m)
            for b, m in _alive(view)
            if not b.unfilled and (place_of(key) is not None or m.id not in state.unready)
        ]
        if any(_in(key, berth, machine) and machine.launched > one.since for berth, machine in some):
            del state.backoffs[key]
            if one.until > view.now:
                place = place_of(key)
                hands.note(Decision("resume", str(place or key), "a machine was launched there", place=place))
        elif view.now - one.until > FORGET:
            del state.backoffs[key]
    for name in [name for name in state.failures if name not in view.berths and not view.blind]:
        del state.failures[name]


def _alive(view: View) -> Iterable[tuple[Berth, Machine]]:
    return ((berth, machine) for berth in view.seen() for machine in berth.alive.values())
