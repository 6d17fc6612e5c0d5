"""Carrying out an upgrade of Kubernetes: a machine is set aside, taken to the new version, and waited for.

What was done stands on the machines and in the cluster, so a run that was killed is gone on with by the same command.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any

from infra.autoscale.ports import Kube
from infra.errors import InfraError, KubeError, NodeFailed
from infra.kube.members import version_of
from infra.kube.upgrading import COMMAND, Step, parsed
from infra.node.bring.drain import MARK, Kubectl, aside
from infra.node.bring.rolling import limits, roll
from infra.node.model import Node
from infra.node.ssh.fleet import Fleet
from infra.spec.models import Cluster

DEADLINE = 3600.0  # of the script on the machine: packages, images, kubeadm
READY = 600.0
PAUSE = 3.0
Say = Callable[[str, str], None]
"""Who, and what."""


@dataclass(frozen=True, slots=True)
class Ways:
    """How machines and cluster are reached, and to whom it is told. ``kubectl`` None: nothing is drained. ``ready`` in
    seconds."""

    fleet: Fleet
    kube: Kube
    kubectl: Kubectl | None
    say: Say
    ready: float = READY
    pause: Callable[[float], object] = time.sleep


def carry_out(
    cluster: Cluster, steps: Sequence[Step], machines: dict[str, Node], to: str, ways: Ways
) -> dict[str, InfraError | None]:
    """Every step: the control plane one after the other, and nothing more when one fails; then the nodes, as many of a
    group at a time as the file allows. What went wrong by machine, None for nothing.
    """
    results: dict[str, InfraError | None] = {}
    for step in (step for step in steps if step.part == "control-plane"):
        try:
            one(step, machines[step.machine], to, ways)
            results[step.machine] = None
        except InfraError as error:
            results[step.machine] = error
            return results
    rest = {step.machine: step for step in steps if step.part == "node"}
    nodes = [machines[name] for name in rest]
    done: Mapping[str, InfraError | None] = roll(
        nodes,
        lambda node: one(rest[node.name], node, to, ways),
        max_unavailable=limits(cluster, nodes),
        parallel=ways.fleet.parallel,
    )
    return {**results, **done}


def one(step: Step, node: Node, to: str, ways: Ways) -> None:
    """One machine. Raises Refused when it cannot be drained, NodeFailed, NodeUnreachable."""

    def say(text: str) -> None:
        ways.say(node.name, text)

    with closing(ways.fleet.connect(node)) as link, contextlib.ExitStack() as stack:
        if ways.kubectl is not None:
            marked = link.run(f"test -e {MARK}", check=False).code == 0
            stack.enter_context(aside(link, step.node, ways.kubectl, say, marked=marked))
        say(f"{COMMAND} {step.how} {to}")
        link.run(f'{COMMAND} "$@"', step.how, to, deadline=DEADLINE, on_line=say)
        # Inside: an API server that is just coming back could not take the node back in.
        _wait(step, node, to, ways)
    say(f"has Kubernetes {to}")


def _wait(step: Step, node: Node, to: str, ways: Ways) -> None:
    end, target, seen = time.monotonic() + ways.ready, parsed(to), "nothing"
    while True:
        try:
            raw = ways.kube.get(f"/api/v1/nodes/{step.node}")
            version, ready = version_of(raw or {}), _ready(raw or {})
            if raw is not None and ready and version and parsed(version)[: len(target)] >= target:
                return
            seen = f"kubelet {version or 'unknown'}, {'ready' if ready else 'not ready'}"
        except KubeError as error:  # the API server itself is being replaced
            seen = error.problems[0].what
        if time.monotonic() > end:
            raise NodeFailed(
                f"{node.name} is not back as a node of Kubernetes {to} after {ways.ready:.0f} s",
                where=node.where or node.login,
                why=f"last seen: {seen}",
                fix="look there: sudo journalctl -u kubelet -e; then run the same command again: it goes on here",
            )
        ways.pause(PAUSE)


def _ready(raw: dict[str, Any]) -> bool:
    said = (raw.get("status") or {}).get("conditions") or ()
    return any(item.get("type") == "Ready" and item.get("status") == "True" for item in said)
