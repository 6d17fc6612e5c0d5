"""A snapshot laid out for planning: shapes, rows of room, the market; and what has been put where so far."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from infra.autoscale.daemons import overhead
from infra.autoscale.market import (
    RANK_FLIGHT,
    RANK_JOINING,
    RANK_LEAVING,
    RANK_METAL,
    RANK_NODE,
    Market,
    fresh,
    labels_of,
)
from infra.autoscale.match import keys
from infra.autoscale.room import Ints, Kinds, Room, times
from infra.autoscale.shapes import Shape, axes_of, scarce, shapes_of, tokens_of
from infra.autoscale.snapshot import REGION, ZONE, Needs, Node, Pod, Snapshot, flight_name, new_name


@dataclass(frozen=True, slots=True)
class Mark:
    """A point to go back to."""

    room: tuple[int, int]
    bought: int


class World:
    """``shapes`` are what waits and can be planned for; ``left[n]`` of the n-th have no place yet."""

    def __init__(self, snapshot: Snapshot) -> None:
        self.snapshot = snapshot
        waiting = [pod for pod in snapshot.pods if not pod.node and pod.owner != "DaemonSet"]
        self.problems = tuple(sorted((pod for pod in waiting if pod.problem), key=lambda pod: pod.key))
        able = [pod for pod in waiting if not pod.problem]
        self.bound = [pod for pod in snapshot.pods if pod.node]
        self.tokens = tokens_of([*able, *(pod for pod in self.bound if pod.needs.apart or _ports(pod))])
        self.shapes: list[Shape] = shapes_of(able, self.tokens)
        self.left = [shape.count for shape in self.shapes]
        self.kinds = Kinds(keys(shape.needs for shape in self.shapes) | {ZONE, REGION})
        axes = axes_of(self.shapes) or ("pods",)
        self.room = Room(axes, [scarce(axis) for axis in axes])
        self.requests = [self.room.vector(dict(shape.needs.requests)) for shape in self.shapes]
        self.nodes = sorted((node for node in snapshot.nodes if not node.broken), key=lambda node: node.name)
        self._lay_nodes()
        self.market = Market(snapshot, self.kinds, self.room, dict(self.tokens.limits))
        self.flying: dict[int, str] = {}
        self._rows = {node.name: row for row, node in enumerate(self.nodes)}
        self._lay_flights()
        self.masks = [self.kinds.mask(shape.needs) for shape in self.shapes]
        self.seats = [self._seats(shape) for shape in self.shapes]
        """Of each shape: which of its pods were promised which row."""
        self.first_free: Ints = self.room.free[: self.room.size].copy()
        self.first_left = list(self.market.left)

    def _lay_nodes(self) -> None:
        used = self._used()
        there: dict[str, set[str]] = defaultdict(set)
        for pod in self.bound:
            if pod.owner == "DaemonSet":
                there[pod.node].add(f"{pod.namespace}/{pod.owner_name}")
        groups = {group.name: group for group in self.snapshot.groups}
        for row, node in enumerate(self.nodes):
            have = {**dict(node.allocatable), **self.tokens.limits}
            group = groups.get(node.group)
            if node.joining and group is not None:
                # Its device plugin may not have spoken yet: it will have what its kind has.
                for offer in group.offers:
                    if offer.place.type == node.labels.get("node.kubernetes.io/instance-type"):
                        have = {**dict(offer.allocatable), **have}
                        break
            missing = overhead(self.snapshot.daemons, node.labels, node.taints, there[node.name])
            free = self.room.vector(have) - used[row] - self.room.vector(missing)
            self.room.add(free, self.kinds.number(node.labels, node.taints), rank_of(node))

    def _used(self) -> Ints:
        """What bound pods take of each node, in the order of ``nodes``."""
        rows = {node.name: row for row, node in enumerate(self.nodes)}
        numbers: dict[tuple[Needs, tuple[str, ...]], int] = {}
        where, what = [], []
        for pod in self.bound:
            row = rows.get(pod.node)
            if row is not None:
                where.append(row)
                key = (pod.needs, self.tokens.of(pod) if self.tokens.limits else ())
                what.append(numbers.setdefault(key, len(numbers)))
        vectors = [self.room.vector({**dict(needs.requests), **dict.fromkeys(own, 1)}) for needs, own in numbers]
        used = np.zeros((len(self.nodes), len(self.room.axes)), dtype=np.int64)
        if where:
            np.add.at(used, where, np.array(vectors)[what])
        return used

    def _lay_flights(self) -> None:
        for group in self.snapshot.groups:
            for offer in group.offers:
                room = self.room.vector(fresh(self.snapshot.daemons, group, offer, dict(self.tokens.limits)))
                kind = self.kinds.number(labels_of(group, offer), group.taints)
                for number in range(offer.in_flight):
                    row = self.room.add(room, kind, RANK_FLIGHT)
                    self.flying[row] = flight_name(group.name, offer.place, number + 1)
                    self._rows[self.flying[row]] = row
                    if number < len(offer.coming):
                        self._rows[offer.coming[number]] = row

    def _seats(self, shape: Shape) -> dict[int, list[Pod]]:
        found: dict[int, list[Pod]] = defaultdict(list)
        promised = self.snapshot.seats
        for pod in shape.pods:
            row = self._rows.get(promised.get(pod.key) or pod.nominated)
            if row is not None:
                found[row].append(pod)
        return dict(found)

    def sit(self, shape: int) -> None:
        """Put pods of a shape where they were promised a place, as far as they fit there."""
        for row, pods in self.seats[shape].items():
            if self.left[shape] and self.masks[shape][self.room.kind[row]]:
                fit = int(times(self.room.free[row : row + 1], self.requests[shape])[0])
                count = min(fit, len(pods), self.left[shape])
                if count:
                    self.put(row, shape, count)

    def assigned(self) -> tuple[dict[str, str], list[list[Pod]]]:
        """Where each pod is to run, by name of the machine; and of each shape the pods that found no place.

        Pods of a shape are equal to the plan; who was promised a row that is used gets it.
        """
        names = self.names()
        found: dict[str, str] = {}
        own = [{row: list(reversed(pods)) for row, pods in of.items()} for of in self.seats]
        rest: list[tuple[int, int, int]] = []
        for row, shape, count in self.room.log:
            mine = own[shape].get(row, [])
            here = min(count, len(mine))
            for _ in range(here):
                found[mine.pop().key] = names[row]
            rest.append((row, shape, count - here))
        others = [[pod for pod in reversed(shape.pods) if pod.key not in found] for shape in self.shapes]
        for row, shape, count in rest:
            for _ in range(count):
                found[others[shape].pop().key] = names[row]
        return found, [some[::-1] for some in others]

    def mark(self) -> Mark:
        return Mark(self.room.mark(), len(self.market.bought))

    def back(self, mark: Mark) -> None:
        for _, item, count in self.room.log[mark.room[0] :]:
            self.left[item] += count
        self.room.back(mark.room)
        self.market.back(mark.bought)

    def put(self, row: int, shape: int, count: int) -> None:
        self.room.put(row, shape, self.requests[shape], count)
        self.left[shape] -= count

    def fill(self, shape: int, count: int, domain: npt.NDArray[np.bool_] | None = None) -> int:
        """Put up to ``count`` pods of a shape into rows there are (of kinds in ``domain``); how many found a place."""
        mask = self.masks[shape] if domain is None else self.masks[shape] & domain
        done = self.room.fill(shape, self.requests[shape], mask, count)
        self.left[shape] -= done
        return done

    def spent(self, since: int = 0) -> float:
        """$/h of the machines bought since that length of ``market.bought``."""
        return sum(self.market.options[number].price for number, _ in self.market.bought[since:])

    def names(self) -> dict[int, str]:
        """What each row is called in the plan."""
        found = {row: node.name for row, node in enumerate(self.nodes)} | self.flying
        counts: dict[int, int] = defaultdict(int)
        for number, row in self.market.bought:
            counts[number] += 1
            option = self.market.options[number]
            found[row] = new_name(self.market.groups[option.group].name, option.offer.place, counts[number])
        return found

    def domains(self, key: str, shapes: Iterable[int]) -> dict[str, npt.NDArray[np.bool_]]:
        """The values of a label among kinds that take one of the shapes, each with its kinds; "" is without it.

        A kind whose label is there and empty may turn out to be any of the values: it is in no domain.
        """
        taken = np.zeros(len(self.kinds), dtype=bool)
        for shape in shapes:
            taken |= self.masks[shape]
        found: dict[str, npt.NDArray[np.bool_]] = {}
        for kind in np.flatnonzero(taken).tolist():
            labels = self.kinds.labels(kind)
            value = labels.get(key, "")
            if not value and key in labels:
                continue
            found.setdefault(value, np.zeros(len(self.kinds), dtype=bool))[kind] = True
        return dict(sorted(found.items()))


def rank_of(node: Node) -> int:
    if node.leaving:
        return RANK_LEAVING
    return RANK_JOINING if node.joining else RANK_NODE if node.group else RANK_METAL


def _ports(pod: Pod) -> bool:
    return any(name.startswith("hostport/") for name, _ in pod.needs.requests)


def tiers(world: World) -> list[list[int]]:
    """The shapes by priority, the highest first."""
    found: dict[int, list[int]] = defaultdict(list)
    for place, shape in enumerate(world.shapes):
        found[-shape.needs.priority].append(place)
    return [found[priority] for priority in sorted(found)]
