"""The controller: look, see to failures, plan once, act. Each loop begins from what is there, whoever left it so."""

from __future__ import annotations

import copy
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from infra.autoscale.controller import failures, gangs, leaving, telling, upkeep
from infra.autoscale.controller.decisions import Counts, Decision, LoopResult
from infra.autoscale.controller.hands import Hands, could_not, words
from infra.autoscale.controller.lease import Leadership, LostLease
from infra.autoscale.controller.observe import Reader, listing, observe
from infra.autoscale.controller.offers import Offers, Price, backoffs_in_words
from infra.autoscale.controller.promises import Promises
from infra.autoscale.controller.scale_in import ScaleIn
from infra.autoscale.controller.settings import Settings
from infra.autoscale.controller.settling import Settling
from infra.autoscale.controller.state import Flight, State
from infra.autoscale.controller.store import Store
from infra.autoscale.controller.view import Berth, View
from infra.autoscale.plan import Plan, Purchase, plan
from infra.autoscale.ports import Clock, Cloud, FleetId, Kube
from infra.autoscale.seating import flying
from infra.autoscale.snapshot import Snapshot
from infra.errors import CloudError, KubeError


@dataclass
class _Round:
    """What one loop has found out so far."""

    started: float
    dry: bool
    hands: Hands
    state: State = field(default_factory=State)
    seconds: dict[str, float] = field(default_factory=dict)
    view: View | None = None
    snapshot: Snapshot | None = None
    plan: Plan | None = None
    counts: Counts = field(default_factory=Counts)
    stays: dict[str, str] = field(default_factory=dict)
    again: float | None = None
    """When to look again at the latest, in seconds since the epoch."""
    _begun: float = field(default_factory=time.perf_counter)
    _last: float = field(default_factory=time.perf_counter)

    def lap(self, phase: str) -> None:
        now = time.perf_counter()
        self.seconds[phase] = self.seconds.get(phase, 0.0) + now - self._last
        self._last = now

    def result(self, leading: bool, error: str, pause: float) -> LoopResult:
        self.lap("act" if self.plan else "look")
        self.seconds["total"] = self._last - self._begun
        berths = list(self.view.berths.values()) if self.view else []
        return LoopResult(
            started=self.started,
            leading=leading,
            dry_run=self.dry,
            decisions=tuple(self.hands.decisions),
            counts=self.counts,
            seconds=self.seconds,
            error=error,
            pause=pause,
            plan=self.plan,
            snapshot=self.snapshot,
            stays=self.stays,
            desired={berth.id: berth.desired for berth in berths if not berth.blind},
            limits={berth.id: (berth.fleet.minimum, berth.fleet.maximum) for berth in berths},
            backoffs=backoffs_in_words(self.state, self.started),
        )


class Controller:
    """``price`` gives $/h of (region, type, market), 0 when nobody knows.

    Nothing that a port raises leaves ``once``: a loop that cannot go on ends, and says why in its result.
    """

    def __init__(self, kube: Kube, cloud: Cloud, price: Price, clock: Clock, settings: Settings | None = None) -> None:
        self.kube, self.cloud, self.price, self.clock = kube, cloud, price, clock
        self.settings = settings or Settings()
        identity = self.settings.identity or f"{self.settings.name}-{uuid.uuid4().hex[:8]}"
        self.lead = Leadership(kube, clock, self.settings, identity)
        self._store = Store(kube, self.settings)
        self._state: State | None = None
        self._reader = Reader()
        self._idle = upkeep.Idle()
        self._scale_in = ScaleIn(self._idle, self.settings)
        self._settling = Settling(self.settings)
        self._promises = Promises(kube)
        self._failed = 0

    def run(self, told: Callable[[LoopResult], object] | None = None) -> None:
        """Loop until the clock says stop, then let the lead go. ``told`` gets each loop's result."""
        stop = False
        while not stop:
            result = self.once()
            if told is not None:
                told(result)
            stop = self.clock.wait(result.pause)
        try:
            self.lead.release()
        except KubeError:
            return

    def once(self, dry_run: bool = False) -> LoopResult:
        """One loop. A dry run needs no lead, writes nothing, and tells everything, also what was told before."""
        now = self.clock.now()
        hands = Hands(self.kube, self.cloud, self.lead, dry_run)
        turn = _Round(now, dry_run, hands)
        try:
            if not dry_run and not self._leads(hands):
                return turn.result(False, "", self.settings.interval)
            self._loop(turn)
        except LostLease as lost:
            self._state = None
            hands.note(Decision("follow", self.lead.identity, str(lost)))
            return turn.result(False, str(lost), self.settings.interval)
        except (KubeError, CloudError) as error:
            self._failed += 1
            hands.note(could_not("the loop", error))
            pause = min(self.settings.interval * 2 ** min(self._failed, 16), self.settings.slowest_loop)
            return turn.result(self.lead.leads, words(error), max(pause, self.settings.interval))
        self._failed = 0
        pause = self.settings.interval
        if turn.again is not None:
            pause = min(pause, max(1.0, turn.again - self.clock.now()))
        return turn.result(self.lead.leads, "", pause)

    def _leads(self, hands: Hands) -> bool:
        before = self.lead.leads
        leads = self.lead.acquire()
        if leads and not before:
            self._state = None
            hands.note(Decision("lead", self.lead.identity, "it holds the lease"))
        if not leads:
            self._state = None
            hands.note(Decision("follow", self.lead.identity, f"{self.lead.holder or 'another controller'} leads"))
        return leads

    def _loop(self, turn: _Round) -> None:
        hands, settings, now = turn.hands, self.settings, turn.started
        state = turn.state = self._load(turn)
        lists = listing(self.kube)
        sight = self.cloud.look()
        turn.lap("look")
        view = turn.view = observe(self._reader, lists, sight, state, now, settings.join_minutes)
        upkeep.note_blind(view, hands)
        offers = Offers(view, state, self.price)
        turn.lap("read")
        failures.settle(view, state, offers, hands, settings)
        upkeep.look_after(view, state, hands, settings)
        turn.lap("act")
        snapshot = turn.snapshot = self._promises.seated(offers.snapshot())
        found = turn.plan = plan(snapshot)
        if settings.optimize > 0 and found.purchases:
            found = turn.plan = plan(snapshot, settings.optimize)
        turn.counts = _counts(view, snapshot, found)
        turn.lap("plan")
        bought = self._act(turn, view, state, snapshot, found)
        self._promises.keep(snapshot, found, bought, lists.pods, hands)

    def _act(self, turn: _Round, view: View, state: State, snapshot: Snapshot, found: Plan) -> list[Purchase]:
        """Carry out the plan; which of its purchases were made."""
        hands = turn.hands
        for warning in found.warnings:
            hands.note(Decision("warn", "what was seen", warning))
        telling.refusals(snapshot, found, state, hands)
        gangs.give_back(view, state, found, flying(snapshot, found), hands)
        needed = set(found.placements.values())
        used = gangs.used_flights(found)
        unused: dict[str, int] = {berth.id: berth.in_flight - used.get(berth.id, 0) for berth in view.seen()}
        before = {name for name, seat in view.seats.items() if seat.leaving is not None}
        leaving.go_on(view, needed, unused, hands)
        for name in before:
            if view.seats[name].leaving is None:
                self._scale_in.spared[name] = view.now + self.settings.idle_minutes * 60
        bought = self._buy(turn, view, state, snapshot, self._settled(turn, snapshot, found))
        self._idle.update(view, needed)
        moving = not turn.counts.waiting
        turn.stays = self._scale_in.run(view, snapshot, needed, moving, hands)
        self._idle.write(view, state, hands, self.settings.join_minutes * 60)
        self._save(state, hands)
        return bought

    def _settled(self, turn: _Round, snapshot: Snapshot, found: Plan) -> Plan:
        """The plan, without its purchases while new work still arrives."""
        until = None if turn.dry else self._settling.until(snapshot)
        if until is None or not found.purchases:
            return found
        count = sum(one.count for one in found.purchases)
        why = f"new work still arrives: {count} {'machine is' if count == 1 else 'machines are'} not bought yet"
        turn.again = until
        turn.hands.note(Decision("gather", "waiting pods", why, count, found.cost, until=until, done=False))
        return replace(found, purchases=())

    def _buy(self, turn: _Round, view: View, state: State, snapshot: Snapshot, found: Plan) -> list[Purchase]:
        """First the intent, in one write, then fleet by fleet absolute numbers: said twice they buy once."""
        for launch in state.gangs.values():
            for name, asked in launch.items():
                berth = view.berths.get(FleetId(name))
                asked.desired -= berth.ended if berth else 0
        wanted = {one.group: one for one in found.purchases}
        targets = {name: view.berths[FleetId(name)].desired + one.count for name, one in wanted.items()}
        for gang, fleets in gangs.launches(snapshot, found, targets).items():
            state.gangs[gang] = {**state.gangs.get(gang, {}), **fleets}
        _note_flights(view, state, {name: one.count for name, one in wanted.items()})
        for name in wanted:
            for backoff in state.backoffs.values():
                backoff.fleets = [one for one in backoff.fleets if one != name]
        if wanted:
            self._save(state, turn.hands)
        return [
            one
            for name, one in sorted(wanted.items())
            if self._raise(turn, view.berths[FleetId(name)], one, found, state)
        ]

    def _raise(self, turn: _Round, berth: Berth, one: Purchase, found: Plan, state: State) -> bool:
        target = berth.desired + one.count
        sure = found.certificate
        decision = Decision(
            "buy", berth.id, one.reason, one.count, one.cost, sure.bound, sure.gap, berth.id, one.place, desired=target
        )
        if turn.hands.resize(decision, berth.id, target):
            berth.desired = target
            return True
        if turn.view is not None:
            # Whether it was heard or not is seen in the next loop; until then the work is planned elsewhere.
            why = turn.hands.decisions[-1].reason
            now = turn.view.now
            failures.back_off(berth.id, why, now, now, berth, turn.view, state, turn.hands, self.settings)
        return False

    def _load(self, turn: _Round) -> State:
        if turn.dry:
            return copy.deepcopy(self._state) if self._state is not None else self._read(turn)
        if self._state is None:
            self._state = self._read(turn)
        return self._state

    def _read(self, turn: _Round) -> State:
        state, warning = self._store.load()
        if warning:
            turn.hands.note(Decision("warn", self.settings.name, warning))
        return state

    def _save(self, state: State, hands: Hands) -> None:
        if hands.dry:
            return
        text = self._store.news(state)
        if text:
            self.lead.check()
            self._store.save(text)


def _note_flights(view: View, state: State, bought: dict[str, int]) -> None:
    """Keep what is on its way, for the time that its region does not answer."""
    kept = {name: one for name, one in state.flights.items() if FleetId(name).region in view.blind}
    for berth in view.seen():
        count = berth.in_flight + bought.get(berth.id, 0)
        if count:
            old = state.flights.get(berth.id)
            since = view.now if old is None or berth.id in bought else old.since
            slim = replace(berth.fleet, machines=tuple(berth.flying), failures=(), desired=count)
            kept[berth.id] = Flight(since, slim)
    state.flights = kept
    for name in bought:
        state.unfilled.pop(name, None)


def _counts(view: View, snapshot: Snapshot, found: Plan) -> Counts:
    waiting = sum(not pod.node and pod.owner != "DaemonSet" for pod in snapshot.pods)
    nodes = [seat.node for seat in view.seats.values()]
    prices = {group.name: group.offers[0].price for group in snapshot.groups if group.offers}
    return Counts(
        running=len(snapshot.pods) - waiting,
        waiting=waiting,
        placed=len(found.placements),
        refused=sum(len(one.pods) for one in found.waiting),
        nodes=len(nodes),
        metal=sum(not node.group for node in nodes),
        joining=sum(node.joining for node in nodes),
        broken=sum(node.broken for node in nodes),
        leaving=sum(node.leaving for node in nodes),
        fleets=len(view.berths),
        in_flight=sum(berth.in_flight for berth in view.berths.values()),
        starved=len(snapshot.starved),
        spending=sum(prices.get(berth.id, 0.0) * berth.desired for berth in view.seen()),
    )
