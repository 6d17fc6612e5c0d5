"""What a loop of the controller decided, as data: log lines, metrics and notices are rendered from it. No behaviour."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from infra.autoscale.plan import Plan
from infra.autoscale.snapshot import Place, Snapshot

Kind = Literal[
    "buy",  # a fleet's desired capacity was raised: ``count`` machines more of ``place``
    "lower",  # a fleet's desired capacity was lowered to what is really there: ``count`` were asked for and never came
    "give-back",  # a gang's launch was only partly filled: its node is to go, as in "leave"; a machine that is no node
    # yet was terminated
    "back-off",  # a place, or a fleet, refused: nothing is bought there until ``until``
    "resume",  # a place that had backed off launches again
    "gather",  # new work still arrives: nothing is bought before ``until``, so that it is one launch
    "nominate",  # the scheduler was told on which machines ``count`` waiting pods are expected
    "refuse",  # pods that nothing is bought for, and why; each kind of work is told once
    "leave",  # a machine is to go: its node is annotated and cordoned (one write)
    "interrupted",  # as "leave", because spot takes the machine back
    "uncordon",  # a machine that was to go is needed again: cordon and annotation are taken away (one write)
    "evict",  # a pod was asked to go, and may
    "hold",  # a pod may not be evicted yet: its disruption budget; it is asked again in each loop
    "terminate",  # a machine was given back, and the fleet's desired capacity lowered by one
    "replace",  # a machine was terminated, and its group launches another
    "forget",  # a Node object without a machine was deleted
    "blind",  # a region does not answer: its fleets are left as they are
    "warn",  # something that could not be read, and is not reckoned with
    "lead",  # this controller became the leader
    "follow",  # another controller leads (or this one lost the lease): nothing was done
    "could-not",  # a request failed; ``reason`` says why
]


@dataclass(frozen=True, slots=True)
class Decision:
    """One decision. What does not apply is empty, 0 or None.

    ``subject``: what it is about: a fleet (``us-west-2/research-gpu``), a node's name, a pod (``namespace/name``), a
    place in words, a region, or a machine's id.
    ``cost`` in $/h: above 0 is spent from now on, below 0 is saved. ``bound`` and ``gap`` (0.03 is 3 %) are of the
    joint plan that a purchase is part of, not of the single purchase.
    ``done`` is False in a dry run, and when the request that was to do it failed (a "could-not" follows).
    """

    kind: Kind
    subject: str
    reason: str
    count: int = 1
    cost: float = 0.0
    bound: float | None = None
    gap: float | None = None
    fleet: str = ""
    place: Place | None = None
    node: str = ""
    pods: tuple[str, ...] = ()
    desired: int | None = None
    """The desired capacity that was set (buy, lower)."""
    until: float | None = None
    """Seconds since the epoch (back-off, gather)."""
    done: bool = True


@dataclass(frozen=True, slots=True)
class Counts:
    """The cluster as the loop saw it, before it acted.

    Pods: ``running`` are bound; ``waiting`` are not; of those ``placed`` have a place in the plan and ``refused`` have
    none. Nodes: ``metal`` are of no fleet, ``leaving`` are on their way out. ``in_flight`` machines were asked for and
    are no node yet. ``spending`` in $/h is what the fleets' desired capacity costs (of known prices).
    """

    running: int = 0
    waiting: int = 0
    placed: int = 0
    refused: int = 0
    nodes: int = 0
    metal: int = 0
    joining: int = 0
    broken: int = 0
    leaving: int = 0
    fleets: int = 0
    in_flight: int = 0
    starved: int = 0
    spending: float = 0.0


@dataclass(frozen=True)
class LoopResult:
    """One loop. ``started`` in seconds since the epoch; ``seconds`` by phase: look, read, plan, act, and total.

    ``error`` is "" for a loop that went through, else why it ended early. ``pause`` is how long ``run`` waits before
    the next loop: the interval, or more after errors. ``plan`` and ``snapshot`` are None when the loop ended before it
    planned. ``stays`` says of each node of a fleet why it is not given back. ``desired`` and ``minimum``, ``maximum``
    by fleet as they stand after the loop. ``backoffs`` is until when, by place or fleet in words.
    """

    started: float
    leading: bool
    dry_run: bool
    decisions: tuple[Decision, ...] = ()
    counts: Counts = Counts()
    seconds: Mapping[str, float] = field(default_factory=dict)
    error: str = ""
    pause: float = 0.0
    plan: Plan | None = None
    snapshot: Snapshot | None = None
    stays: Mapping[str, str] = field(default_factory=dict)
    desired: Mapping[str, int] = field(default_factory=dict)
    limits: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    """Minimum and maximum of each fleet."""
    backoffs: Mapping[str, float] = field(default_factory=dict)

    def explain(self, pod: str) -> str:
        """Why a pod (``namespace/name``) waits, or where it is to run or runs, in words."""
        if self.snapshot is None or self.plan is None:
            return f"nothing is known of {pod}: {self.error or 'the loop did not plan'}"
        for one in self.snapshot.pods:
            if one.key == pod and one.node:
                return f"{pod} runs on {one.node}"
        if all(one.key != pod for one in self.snapshot.pods):
            return f"{pod} is not there, or it is over"
        return self.plan.explain(pod)
