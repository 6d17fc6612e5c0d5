"""What the scheduler is told of the plan: on which machine a waiting pod is expected (``status.nominatedNodeName``).

Kubernetes' scheduler tries the nominated machine first, and keeps its room from others of the pod's priority or less.
It is a hint, never an order: a pod that fits elsewhere may run elsewhere. From Kubernetes 1.35 (the feature gate
NominatedNodeNameForExpectation, KEP-5278) a nomination stays while its machine is not there yet; before, the scheduler
takes it back at its next try, so that it is of use only once the machine is a node that is ready (``early`` False).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from infra.autoscale.snapshot import Pod, Snapshot

PATIENCE = 300.0
"""Seconds after a machine is ready in which its pods should be bound; then nobody is nominated for it any more: the
scheduler knows a reason against it, and the room is kept from others meanwhile."""
YOUNG = 900.0
"""Seconds since a node was made in which one may take it that it was bought for who is nominated for it."""
MANY = 2000
"""Changes at a time; the hardest pods to place come first."""


@dataclass
class Nominations:
    """One memory for one controller. Machines that were there before it are nobody's expectation."""

    early: bool = True
    _said: dict[str, str] = field(default_factory=dict)
    _ready: dict[str, float] = field(default_factory=dict)
    _fresh: set[str] = field(default_factory=set)
    _adopted: bool = False

    def changes(self, snapshot: Snapshot, of: Mapping[str, str], most: int = MANY) -> dict[str, str]:
        """Which nominations are to be written, by pod (``namespace/name``); "" takes one back.

        ``of`` is the machine that each pod is planned on. What others nominated is left alone, as long as that machine
        is there.
        """
        self._adopt(snapshot)
        there, expected = self._look(snapshot)
        waiting = [pod for pod in snapshot.pods if not pod.node and not pod.problem]
        self._said = {pod.key: self._said[pod.key] for pod in waiting if pod.key in self._said}
        found: list[tuple[Pod, str]] = []
        for pod in waiting:
            wanted = of.get(pod.key, "")
            wanted = wanted if wanted in expected else ""
            ours = self._said.get(pod.key) == pod.nominated
            if pod.nominated != wanted and (not pod.nominated or ours or pod.nominated not in there):
                found.append((pod, wanted))
        found.sort(key=lambda item: _turn(item[0]))
        return {pod.key: wanted for pod, wanted in found[:most]}

    def said(self, written: Mapping[str, str]) -> None:
        """These were written."""
        self._said.update(written)

    def _adopt(self, snapshot: Snapshot) -> None:
        """At the first look: what pods are nominated for and is young was told by who led before."""
        if self._adopted:
            return
        self._adopted = True
        young = {node.name for node in snapshot.nodes if node.group and snapshot.now - node.created < YOUNG}
        for pod in snapshot.pods:
            if not pod.node and pod.nominated in young:
                self._fresh.add(pod.nominated)
                self._said[pod.key] = pod.nominated

    def _look(self, snapshot: Snapshot) -> tuple[set[str], set[str]]:
        """The names of all machines, and those that pods may be nominated for."""
        coming = {name for group in snapshot.groups for offer in group.offers for name in offer.coming}
        nodes = {node.name: node for node in snapshot.nodes}
        self._fresh = {name for name in self._fresh if name in nodes} | coming
        self._fresh |= {name for name, node in nodes.items() if node.joining}
        self._ready = {name: since for name, since in self._ready.items() if name in self._fresh}
        expected = set()
        for name in self._fresh:
            node = nodes.get(name)
            if node is None or node.joining:
                self._ready.pop(name, None)
                if self.early:
                    expected.add(name)
            elif not (node.broken or node.leaving):
                since = self._ready.setdefault(name, snapshot.now)
                if snapshot.now - since < PATIENCE:
                    expected.add(name)
        return {*nodes, *coming}, expected


def _turn(pod: Pod) -> tuple[object, ...]:
    needs = pod.needs
    asked = dict(needs.requests)
    rare = sum(amount for name, amount in needs.requests if "/" in name)
    return (-needs.priority, needs.gang is None, -rare, -asked.get("cpu", 0), -asked.get("memory", 0), pod.key)
