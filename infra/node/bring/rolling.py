"""Many machines changed a few at a time: a canary of each profile first, then the rest, so many of a group at once."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import TypeVar

from infra.errors import InfraError, Refused
from infra.node.model import Node
from infra.plan import execute
from infra.plan.steps import Step
from infra.spec.machines import at_a_time
from infra.spec.models import Cluster

T = TypeVar("T")
Group = tuple[str, str]
Done = Callable[[Node, "T | InfraError"], None]
DEFAULT = "1"


def group_of(node: Node) -> Group:
    """The machines that stand for each other: of one metal group, one pool, one set of hosts."""
    return node.kind, node.group


def limits(cluster: Cluster, nodes: Sequence[Node], share: str = "") -> dict[Group, int]:
    """How many machines of each group may be away at once: ``share`` (``2``, ``25%``), else what the file says, else 1.

    A part is of the whole group, not of those that were asked for.
    """
    found: dict[Group, int] = {}
    for node in nodes:
        group = group_of(node)
        metal = cluster.metal.get(node.group) if node.kind == "metal" else None
        whole = len(metal.hosts) if metal else sum(group_of(other) == group for other in nodes)
        found[group] = at_a_time(share or (metal.max_unavailable if metal else DEFAULT), whole)
    return found


def roll(
    nodes: Sequence[Node],
    work: Callable[[Node], T],
    *,
    max_unavailable: Mapping[Group, int],
    parallel: int = 50,
    canary: bool = True,
    done: Done[T] | None = None,
) -> dict[str, T | InfraError]:
    """Do ``work`` on every node; what it gave or raised, by name, in the nodes' order.

    The first node of each profile goes ahead. When it fails, the other nodes of that profile are left as they are
    (Refused says so); other profiles go on. Later, a node that fails keeps its place among those that are away: when a
    group has no place left, the rest of it is left as it is too.
    """
    results: dict[str, T | InfraError] = {}
    named = {node.name: node for node in nodes}
    lock = threading.Lock()

    def told(node: Node, result: T | InfraError) -> None:
        with lock:
            results[node.name] = result
            if done is not None:
                done(node, result)

    def one(step: Step) -> None:
        node = named[step.name]
        try:
            result = work(node)
        except InfraError as error:
            told(node, error)
            raise
        told(node, result)

    outcome = execute.run(_steps(nodes, max_unavailable, canary), one, parallel=parallel)
    for name, because in outcome.skipped.items():
        told(named[name], _left(named[name], _why(named[name], because, outcome.failed, named, canary)))
    return {node.name: results[node.name] for node in nodes}


def _steps(nodes: Sequence[Node], places: Mapping[Group, int], canary: bool) -> list[Step]:
    first: dict[str, str] = {}
    for node in nodes:
        first.setdefault(node.profile, node.name)
    return [
        Step(
            node.name,
            "converge",
            node.name,
            after=(first[node.profile],) if canary and first[node.profile] != node.name else (),
            group="/".join(group_of(node)),
            at_once=places.get(group_of(node), 1),
        )
        for node in nodes
    ]


def _why(node: Node, because: str, failed: Collection[str], named: Mapping[str, Node], canary: bool) -> str:
    first = next(name for name, other in named.items() if other.profile == node.profile)
    if canary and because == first:
        return f"{because}, the first of {node.profile}, failed"
    away = [name for name in failed if group_of(named[name]) == group_of(node)]
    return f"{', '.join(away[:5])} failed, and no more may be away at once"


def _left(node: Node, why: str) -> Refused:
    return Refused(
        f"{node.name} was left as it is",
        where=node.where,
        why=why,
        fix="mend what failed, then run the same command again",
    )
