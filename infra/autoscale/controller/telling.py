"""What is refused is told once for each kind of work, however many pods of it there are."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

from infra.autoscale.controller.decisions import Decision
from infra.autoscale.controller.hands import Hands
from infra.autoscale.controller.state import State
from infra.autoscale.plan import Plan
from infra.autoscale.snapshot import Pod, Snapshot

MOST = 5000
"""Fingerprints that are kept."""
NAMED = 20
"""Pods that a decision names."""


def refusals(snapshot: Snapshot, plan: Plan, state: State, hands: Hands) -> None:
    """A decision for every reason under which some kind of work waits that was not told of before."""
    pods = {pod.key: pod for pod in snapshot.pods if not pod.node}
    there: dict[str, float] = {}
    for one in plan.waiting:
        some = [pods[key] for key in one.pods]
        marks = {_fingerprint(kind) for kind in _kinds(some)}
        new = [mark for mark in sorted(marks) if mark not in state.told]
        there.update({mark: state.told.get(mark, snapshot.now) for mark in marks})
        if new or hands.dry:
            text = one.pods[0] if len(one.pods) == 1 else f"{one.pods[0]} and {len(one.pods) - 1} more"
            hands.note(Decision("refuse", text, one.reason, len(one.pods), pods=one.pods[:NAMED], done=not hands.dry))
    state.told = dict(sorted(sorted(there.items()), key=lambda item: item[1])[:MOST])


def _kinds(pods: Iterable[Pod]) -> set[tuple[object, ...]]:
    """What makes two pods the same work: what they need and where, whatever they or their gangs are called."""
    distinct = {(pod.namespace, pod.needs, pod.problem) for pod in pods}
    return {
        (home, needs._replace(gang=None), needs.gang._replace(name="") if needs.gang else None, problem)
        for home, needs, problem in distinct
    }


def _fingerprint(kind: tuple[object, ...]) -> str:
    return hashlib.sha256(repr(kind).encode()).hexdigest()[:16]
