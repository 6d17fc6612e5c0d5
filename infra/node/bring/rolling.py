"""Many machines changed a few at a time: a canary of each profile first, then the rest, so many of a group at once."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import TypeVar

from infra.errors import InfraError, Refused
from infra.node.model import Node
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

    The first node of each profile goes alone. When it fails, the other nodes of that profile are left as they are
    (Refused says so); other profiles go on. Later, a node that fails keeps its place among those that are away: when a
    group has no place left, the rest of it is left as it is too.
    """
    results: dict[str, T | InfraError] = {}
    lock = threading.Lock()

    def told(node: Node, result: T | InfraError) -> None:
        with lock:
            results[node.name] = result
            if done is not None:
                done(node, result)

    rest = list(nodes)
    if canary:
        first: dict[str, Node] = {}
        for node in nodes:
            first.setdefault(node.profile, node)
        ahead = _together(list(first.values()), work, dict.fromkeys(map(group_of, nodes), len(nodes)), parallel, told)
        bad = {node.profile: node for node in first.values() if isinstance(ahead.get(node.name), InfraError)}
        rest = [node for node in nodes if first[node.profile] is not node]
        for node in rest:
            if node.profile in bad:
                told(node, _left(node, f"{bad[node.profile].name}, the first of {node.profile}, failed"))
        rest = [node for node in rest if node.profile not in bad]
    _together(rest, work, max_unavailable, parallel, told)
    return {node.name: results[node.name] for node in nodes}


def _together(
    nodes: Sequence[Node],
    work: Callable[[Node], T],
    places: Mapping[Group, int],
    parallel: int,
    told: Callable[[Node, T | InfraError], None],
) -> dict[str, T | InfraError]:
    """All of them, never more of a group at once than it has ``places``; a failed one keeps its place."""
    free = {group: places.get(group, 1) for group in map(group_of, nodes)}
    waiting, results = list(nodes), dict[str, "T | InfraError"]()
    busy: dict[Future[T], Node] = {}

    def end(node: Node, result: T | InfraError) -> None:
        results[node.name] = result
        told(node, result)

    with ThreadPoolExecutor(max(1, min(parallel, len(nodes) or 1)), thread_name_prefix="roll") as pool:
        while waiting or busy:
            for node in [node for node in waiting if len(busy) < parallel]:
                if len(busy) < parallel and free[group_of(node)] > 0:
                    waiting.remove(node)
                    free[group_of(node)] -= 1
                    busy[pool.submit(work, node)] = node
            if not busy:  # no place is left, and none will be: all were taken by nodes that failed
                failed = [name for name, result in results.items() if isinstance(result, InfraError)]
                for node in waiting:
                    end(node, _left(node, f"{', '.join(failed[:5])} failed, and no more may be away at once"))
                break
            ended, _ = wait(busy, return_when=FIRST_COMPLETED)
            for future in ended:
                node = busy.pop(future)
                try:
                    result: T | InfraError = future.result()
                    free[group_of(node)] += 1
                except InfraError as error:
                    result = error
                end(node, result)
    return results


def _left(node: Node, why: str) -> Refused:
    return Refused(
        f"{node.name} was left as it is",
        where=node.where,
        why=why,
        fix="mend what failed, then run the same command again",
    )
