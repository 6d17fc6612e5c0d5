"""Why a pod waits, or where it is to run: a plan and its snapshot in words. The log and the command say the same."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

from infra.autoscale.plan import Plan
from infra.autoscale.quantity import words
from infra.autoscale.snapshot import Pod, Snapshot
from infra.errors import UsageError

State = Literal["running", "has a place", "is bought for", "waits"]


@dataclass(frozen=True, slots=True)
class Explanation:
    """``machine`` is where it runs or is to run, "" for a pod that waits; ``why`` in words."""

    pod: str
    state: State
    machine: str
    asks: str
    gang: str
    why: str

    def text(self) -> str:
        head = {
            "running": f"{self.pod} runs on {self.machine}",
            "has a place": f"{self.pod} is to run on {self.machine}",
            "is bought for": f"{self.pod} is to run on {self.machine}",
            "waits": f"{self.pod} waits",
        }[self.state]
        lines = [head, f"  asks for: {self.asks}"]
        if self.gang:
            lines.append(f"  gang: {self.gang}")
        return "\n".join([*lines, *(f"  why: {part}" for part in [self.why] if part)])

    def data(self) -> dict[str, Any]:
        return {
            "pod": self.pod,
            "state": self.state.replace(" ", "-"),
            "machine": self.machine,
            "asks": self.asks,
            "gang": self.gang,
            "why": self.why,
        }


def explain(snapshot: Snapshot, plan: Plan, pod: Pod) -> Explanation:
    """What the plan made of one pod of its snapshot."""
    gang = pod.needs.gang
    said = f"{gang.name}, {gang.size or 'all'} of it in one {gang.within} or none" if gang else ""
    asks = ", ".join(
        f"{words(name, amount)} {name}" if name != "cpu" else words(name, amount)
        for name, amount in pod.needs.requests
        if name != "pods" and not name.startswith("hostport/")
    )

    def found(state: State, machine: str, why: str) -> Explanation:
        return Explanation(pod.key, state, machine, asks or "nothing in particular", said, why)

    if pod.node:
        return found("running", pod.node, "")
    machine = plan.placements.get(pod.key, "")
    if not machine:
        why = next((one.reason for one in plan.waiting if pod.key in one.pods), "nothing is planned for it")
        return found("waits", "", why)
    for one in plan.purchases:
        if machine.startswith(f"{one.group}: new, {one.place} #"):
            price = f"at ${one.price:,.3f}/h" if one.price else "at an unknown price"
            why = f"bought are {one.count} × {one.place.type} {price}, {one.reason}"
            return found("is bought for", machine, why)
    if ": in flight, " in machine:
        return found("has a place", machine, "the machine was launched and has not joined yet")
    joining = any(node.name == machine and node.joining for node in snapshot.nodes)
    why = "the machine is joining" if joining else "there is room for it; Kubernetes' scheduler has not bound it yet"
    return found("has a place", machine, why)


def find(pods: Iterable[Pod], name: str) -> Pod:
    """The pod called ``namespace/name``, or ``name`` when only one namespace has it. Raises UsageError."""
    some = list(pods)
    alike = [pod for pod in some if pod.key == name or ("/" not in name and pod.name == name)]
    if len(alike) == 1:
        return alike[0]
    if alike:
        fix = f"say which: {', '.join(sorted(pod.key for pod in alike)[:5])}"
        raise UsageError(f"there are {len(alike)} pods called {name}", where="POD", fix=fix)
    near = difflib.get_close_matches(name, [pod.key for pod in some] + [pod.name for pod in some], 3, 0.7)
    raise UsageError(
        f"there is no pod {name} (any more)",
        where="POD",
        why="it is not in the list of pods, or it is over",
        fix=f"did you mean {' or '.join(near)}?" if near else "kubectl get pods -A shows those that are there",
    )
