"""Pods that are equal in everything that decides are one item: the cost of a plan grows with the number of shapes.

Some rules are turned into things that a node has few of, so that packing need not know them: a host port, "not
beside pods like these" (anti-affinity over nodes), "at most so many a node" (spread over nodes). Each is never more
lenient than Kubernetes.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from infra.autoscale.match import all_hold
from infra.autoscale.snapshot import HOSTNAME, Needs, Pod, Term, amounts

BESIDE = "beside/"
UNLIMITED = 2**40
"""Of a token that only counts."""


@dataclass(frozen=True)
class Shape:
    """Waiting pods with equal needs. ``needs.requests`` holds the tokens too; pods are in the order of their names."""

    needs: Needs
    pods: tuple[Pod, ...]

    @property
    def count(self) -> int:
        return len(self.pods)


@dataclass(frozen=True)
class Tokens:
    """Things that every node has ``limits[name]`` of, and which pods take one of each."""

    limits: Mapping[str, int]
    _selectors: tuple[tuple[str, Term], ...]

    def counter(self, selector: Term) -> str:
        """The token that counts the pods of a selector."""
        return next(name for name, one in self._selectors if one == selector)

    def of(self, pod: Pod) -> tuple[str, ...]:
        """The tokens that a pod takes, bound or waiting."""
        own = [name for name, _ in pod.needs.requests if name.startswith("hostport/")]
        if self._selectors:
            labels = {**pod.labels, "": pod.namespace}
            mine = {*pod.needs.apart, *(spread.selector for spread in pod.needs.spreads if spread.key == HOSTNAME)}
            for name, selector in self._selectors:
                if selector in mine or all_hold(selector, labels):
                    own.append(name)
        return tuple(own)


def tokens_of(pods: Iterable[Pod]) -> Tokens:
    """The tokens that these pods' rules make."""
    limits: dict[str, int] = {}
    apart: dict[Term, int] = {}
    distinct = {pod.needs for pod in pods}
    for needs in distinct:
        limits.update({name: 1 for name, _ in needs.requests if name.startswith("hostport/")})
        for selector in needs.apart:
            apart[selector] = 1
        for spread in needs.spreads:
            limit = spread.max_skew if spread.key == HOSTNAME else UNLIMITED
            apart[spread.selector] = min(limit, apart.get(spread.selector, limit))
    named = tuple((f"{BESIDE}{place}", selector) for place, selector in enumerate(sorted(apart)))
    limits.update({name: apart[selector] for name, selector in named})
    return Tokens(limits, named)


def shapes_of(pods: Iterable[Pod], tokens: Tokens) -> list[Shape]:
    """The waiting pods by shape, those of gangs apart for each gang. In a stable order: priority, then size."""
    found: dict[Needs, list[Pod]] = defaultdict(list)
    bare = not tokens.limits
    for pod in pods:
        needs = pod.needs
        if not bare:
            extra = dict.fromkeys(tokens.of(pod), 1)
            if extra:
                needs = needs._replace(requests=amounts({**dict(needs.requests), **extra}))
        # What has become tokens does not tell shapes apart any more.
        if needs.apart:
            needs = needs._replace(apart=())
        found[needs].append(pod)
    shapes = [Shape(needs, tuple(sorted(some, key=lambda pod: pod.key))) for needs, some in found.items()]
    return sorted(shapes, key=lambda shape: (-shape.needs.priority, order(shape.needs)))


def order(needs: Needs) -> tuple[object, ...]:
    """Large and rare first: extended resources, then CPU and memory; then whatever makes the order total."""
    asked = dict(needs.requests)
    rare = sum(amount for name, amount in needs.requests if scarce(name))
    return (-rare, -asked.get("cpu", 0) * asked.get("memory", 1), repr(needs))


def scarce(name: str) -> bool:
    """GPUs and the like: what a pod without them should leave alone."""
    return "/" in name and not name.startswith(("hostport/", BESIDE))


def axes_of(shapes: Sequence[Shape]) -> tuple[str, ...]:
    """Every resource that some shape asks for, sorted."""
    return tuple(sorted({name for shape in shapes for name, _ in shape.needs.requests}))
