"""What must be placed together: gangs, all or nothing in one zone or region, and topology spread over labels.

Each is tried whole and taken back whole, so nothing half done is left behind.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from infra.autoscale.market import fits
from infra.autoscale.shapes import UNLIMITED
from infra.autoscale.snapshot import HOSTNAME, REGION, ZONE, Gang, Spread, Toleration
from infra.autoscale.world import World

Bools = npt.NDArray[np.bool_]
Wants = Sequence[tuple[int, int]]
"""Shapes and how many of each."""


def attempt(world: World, wants: Wants, domain: Bools) -> int:
    """Place what is wanted on kinds of one domain, buying what is needed; how many found no place."""
    short = 0
    for shape, count in wants:
        count -= world.fill(shape, count, domain)
        short += count - _buy(world, shape, count, domain)
    return short


def _buy(world: World, shape: int, count: int, domain: Bools) -> int:
    """Machines for pods of one shape, always the option that is cheapest a pod for as many as are left."""
    options, mask = world.market.options, world.masks[shape] & domain
    if not count or not options:
        return 0
    able = fits(options, world.requests[shape]) * mask[[option.kind for option in options]]
    done = 0
    while done < count:
        rest = count - done
        choices = [
            (options[place].price / min(int(able[place]), rest), place)
            for place in np.flatnonzero(able).tolist()
            if world.market.left[options[place].pool]
        ]
        if not choices:
            break
        option = options[min(choices)[1]]
        here = min(int(able[option.number]), rest)
        world.put(world.market.buy(option, world.room), shape, here)
        done += here
    return done


class Gangs:
    """Places gangs one after the other. ``why`` tells of each that waits; what failed once fails again unseen."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.why: dict[str, str] = {}
        self.homes: dict[str, str] = {}
        self._failed: dict[object, str] = {}
        self._shapes: dict[str, list[int]] = defaultdict(list)
        for place, shape in enumerate(world.shapes):
            if shape.needs.gang is not None:
                self._shapes[shape.needs.gang.name].append(place)
        self._bound: dict[str, list[str]] = defaultdict(list)
        for pod in world.bound:
            if pod.needs.gang is not None:
                self._bound[pod.needs.gang.name].append(pod.node)

    def place(self, gang: Gang) -> None:
        """Place all waiting pods of a gang, or, when there are more than it needs, as many as it needs; or none."""
        world, shapes = self.world, self._shapes[gang.name]
        bound = self._bound.get(gang.name, [])
        waiting = sum(world.left[shape] for shape in shapes)
        if self._sits(gang, shapes, waiting, bound):
            return
        if len(bound) + waiting < gang.size:
            self.why[gang.name] = f"its gang has {len(bound) + waiting} of {gang.size} pods"
            return
        whole = [(shape, world.left[shape]) for shape in shapes]
        least = first_of(whole, max(0, gang.size - len(bound)))
        choices = [whole] if not gang.size or sum(n for _, n in least) == waiting else [whole, least]
        for wants in choices:
            if self._somewhere(gang, wants, bound):
                return

    def _sits(self, gang: Gang, shapes: Sequence[int], waiting: int, bound: Sequence[str]) -> bool:
        """Place a gang of which every pod was promised a place before, if that still holds for all of them."""
        world = self.world
        rows = [row for shape in shapes for row in world.seats[shape]]
        promised = sum(len(pods) for shape in shapes for pods in world.seats[shape].values())
        if not waiting or promised < waiting or len(bound) + waiting < gang.size:
            return False
        key = ZONE if gang.within == "zone" else REGION
        there = {node.name: node.labels.get(key, "") for node in world.nodes} if bound else {}
        homes = {world.kinds.labels(int(world.room.kind[row])).get(key, "") for row in rows}
        homes |= {there[name] for name in bound if name in there}
        if len(homes) > 1 or not all(homes):
            return False
        mark = world.mark()
        for shape in shapes:
            world.sit(shape)
        if any(world.left[shape] for shape in shapes):
            world.back(mark)
            return False
        self.homes[gang.name] = homes.pop()
        return True

    def _somewhere(self, gang: Gang, wants: Wants, bound: Sequence[str]) -> bool:
        world = self.world
        if not sum(count for _, count in wants):
            return False
        key = ZONE if gang.within == "zone" else REGION
        domains = world.domains(key, [shape for shape, _ in wants])
        if bound:
            rows = {node.name: node for node in world.nodes}
            homes = {rows[name].labels.get(key, "") for name in bound if name in rows}
            domains = {value: kinds for value, kinds in domains.items() if homes == {value}}
        alike = tuple((world.requests[shape].tobytes(), world.masks[shape].tobytes(), n) for shape, n in wants)
        memory = (gang.within, tuple(domains), alike)
        if memory in self._failed:
            self.why[gang.name] = self._failed[memory]
            return False
        best: tuple[float, str] | None = None
        nearest, total = (-1, ""), sum(count for _, count in wants)
        for value, kinds in domains.items():
            mark = world.mark()
            short = attempt(world, wants, kinds)
            cost = world.spent(mark.bought)
            world.back(mark)
            if not short and (best is None or cost < best[0] - 1e-9):
                best = (cost, value)
                if not cost:
                    break
            nearest = max(nearest, (total - short, value))
        if best is None:
            fitting = f"; {nearest[0]} would fit in {nearest[1] or 'one place'}" if nearest[0] > 0 else ""
            self.why[gang.name] = f"its gang of {total} fits into no single {gang.within}{fitting}"
            self._failed[memory] = self.why[gang.name]
            return False
        attempt(world, wants, domains[best[1]])
        self.homes[gang.name] = best[1]
        self.why.pop(gang.name, None)
        return True


def first_of(wants: Wants, count: int) -> list[tuple[int, int]]:
    """The first so many of what is wanted."""
    some = []
    for shape, many in wants:
        here = min(many, count)
        count -= here
        if here:
            some.append((shape, here))
    return some


def spreading(spreads: Sequence[Spread]) -> list[Spread]:
    """The constraints that are about more than single nodes."""
    return [spread for spread in spreads if spread.key != HOSTNAME]


def place_spread(world: World, shape: int) -> str:
    """Place a shape's pods over the values of a label, none more than the skew above the emptiest; why not all."""
    constraints = spreading(world.shapes[shape].needs.spreads)
    if len(constraints) > 1:
        return "spreading over more than one topology is not planned for"
    spread = constraints[0]
    domains, standing = _eligible(world, shape, spread.key)
    caps: dict[str, int] = {}
    counts = _counts(world, spread, domains)
    while domains:
        wanted = share_out(counts, spread, world.left[shape], caps, _counts_itself(world, shape, spread))
        mark, short = world.mark(), {}
        for value, count in wanted.items():
            missing = attempt(world, [(shape, count)], domains[value])
            if missing:
                short[value] = count - missing
        if not short:
            break
        world.back(mark)
        for value, count in short.items():
            caps[value] = counts[value] + count
            if not count and value not in standing:
                # No machine is there and none can come: to Kubernetes there is no such domain.
                del domains[value], counts[value]
    return "its topology spread allows no more where there is room" if world.left[shape] else ""


def _eligible(world: World, shape: int, key: str) -> tuple[dict[str, Bools], set[str]]:
    """The domains that count for a shape, and those of them with a machine. Kubernetes counts tainted ones too."""
    needs = world.shapes[shape].needs._replace(tolerations=(Toleration("", "Exists", "", ""),))
    domains: dict[str, Bools] = {}
    for kind in np.flatnonzero(world.kinds.mask(needs)).tolist():
        value = world.kinds.labels(kind).get(key)
        if value is not None:
            domains.setdefault(value, np.zeros(len(world.kinds), dtype=bool))[kind] = True
    rows = set(world.room.kind[: world.room.size].tolist())
    standing = {value for value, kinds in domains.items() if rows & set(np.flatnonzero(kinds).tolist())}
    return dict(sorted(domains.items())), standing


def _counts_itself(world: World, shape: int, spread: Spread) -> bool:
    name = world.tokens.counter(spread.selector)
    return name in dict(world.shapes[shape].needs.requests)


def _counts(world: World, spread: Spread, domains: dict[str, Bools]) -> dict[str, int]:
    """How many pods of the selector each domain has."""
    name = world.tokens.counter(spread.selector)
    if name not in world.room.axes:
        return dict.fromkeys(domains, 0)
    limit = world.tokens.limits[name]
    taken = limit - world.room.free[: world.room.size, world.room.axes.index(name)]
    labels = [world.kinds.labels(int(kind)).get(spread.key, "") for kind in world.room.kind[: world.room.size]]
    found = dict.fromkeys(domains, 0)
    for value, count in zip(labels, taken.tolist(), strict=True):
        if value in found:
            found[value] += count
    return found


def share_out(counts: dict[str, int], spread: Spread, pods: int, caps: dict[str, int], itself: bool) -> dict[str, int]:
    """How many pods go to each domain: always to the emptiest that may have more (``caps``: what it can hold)."""
    now, wanted = dict(counts), dict.fromkeys(counts, 0)
    fewest = 0 if len(now) < spread.min_domains else None
    for _ in range(pods):
        least = min(now.values()) if fewest is None else fewest
        allowed = [
            (now[value], value)
            for value in now
            if now[value] < caps.get(value, UNLIMITED) and now[value] + int(itself) - least <= spread.max_skew
        ]
        if not allowed:
            break
        value = min(allowed)[1]
        wanted[value] += 1
        now[value] += 1 if itself else 0
        if not itself and value in caps:
            caps = {**caps, value: caps[value] - 1}
    return {value: count for value, count in wanted.items() if count}
