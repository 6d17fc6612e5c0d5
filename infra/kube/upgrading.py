"""The steps of an upgrade of Kubernetes, from what the nodes say of themselves. Pure.

The rules are the project's (version skew policy): one minor version at a time; the control plane first; a kubelet is
never newer than the API server, and at most three minor versions older.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from infra.errors import Refused, UsageError
from infra.kube.members import Member

Version = tuple[int, ...]
Part = Literal["control-plane", "node"]
BEHIND = 3  # minor versions that a kubelet may be older than the API server
COMMAND = "/usr/local/lib/infra/kube-upgrade"


@dataclass(frozen=True, slots=True)
class Step:
    """One machine. ``how``: ``apply`` on the first of the control plane, which takes the cluster along; else
    ``node``."""

    part: Part
    how: Literal["apply", "node"]
    machine: str
    node: str
    has: str

    def data(self) -> dict[str, str]:
        return {"part": self.part, "how": self.how, "machine": self.machine, "node": self.node, "has": self.has}


@dataclass(frozen=True, slots=True)
class Upgrade:
    """``steps`` in order. ``images``: nodes of pools, which are upgraded by being replaced; ``strangers``: nodes that
    no inventory knows, for somebody to upgrade by hand."""

    server: str
    to: str
    steps: tuple[Step, ...]
    images: tuple[Member, ...] = ()
    strangers: tuple[Member, ...] = ()

    @property
    def empty(self) -> bool:
        return not self.steps

    def data(self) -> dict[str, Any]:
        return {
            "server": self.server,
            "to": self.to,
            "steps": [step.data() for step in self.steps],
            "images": [item.node for item in self.images],
            "strangers": [item.node for item in self.strangers],
        }


def parsed(text: str) -> Version:
    """``1.37`` or ``v1.37.2-eks`` as numbers. Raises UsageError for what is no version of Kubernetes."""
    found = re.match(r"^v?1\.(\d{1,3})(?:\.(\d{1,3}))?", text)
    if found is None:
        raise UsageError(
            f"{text!r} is no version of Kubernetes", where="--to", fix="write it as --to 1.37, or --to 1.37.2"
        )
    return (1, int(found[1])) if found[2] is None else (1, int(found[1]), int(found[2]))


def plan(members: Sequence[Member], server: str, to: str) -> Upgrade:
    """What is to be done to take a cluster whose API server says ``server`` to ``to``.

    Raises Refused for a way that Kubernetes does not take, or while the control plane is not well.
    """
    target, now = parsed(to), parsed(server)
    nodes = [item for item in members if item.node]
    planes = [item for item in nodes if item.control_plane]
    _check_way(now, target, planes)
    _check_skew(nodes, target)
    due = [item for item in nodes if _older(item, target)]
    plane_due = [item for item in planes if _older(item, target)]
    ill = [item for item in planes if item.ready != "yes"]
    if ill and due:
        raise Refused(
            f"the control plane is not well: {', '.join(item.node for item in ill)}",
            why="an upgrade takes one of its machines away at a time, and etcd needs more than half of them",
            fix="see why: kubectl describe node " + ill[0].node,
        )
    unknown = [item for item in plane_due if not item.machine]
    if unknown:
        raise Refused(
            f"{unknown[0].node} is of the control plane, and no machine of ours",
            why="neither AWS nor the file knows it, so it cannot be reached to be upgraded",
            fix="see that this is the right cluster.yaml, account and --context: infra kube nodes",
        )
    done = [item for item in planes if not _older(item, target)]
    steps = [
        Step("control-plane", "node" if done or place else "apply", item.machine, item.node, item.version)
        for place, item in enumerate(plane_due)
    ]
    workers = [item for item in due if not item.control_plane]
    known = [item for item in workers if item.origin == "metal"]
    steps += [Step("node", "node", item.machine, item.node, item.version) for item in known]
    strangers = [item for item in workers if item.origin == "stranger"]
    images = [item for item in workers if item.origin == "cloud"]
    return Upgrade(server.removeprefix("v"), to, tuple(steps), tuple(images), tuple(strangers))


def _check_way(now: Version, target: Version, planes: Sequence[Member]) -> None:
    # Of several API servers any may have answered: the oldest machine of the control plane counts.
    has = min([now[1], *(parsed(item.version)[1] for item in planes if item.version)])
    jump = target[1] - has
    if target[1] < now[1]:
        raise Refused(
            f"the cluster has Kubernetes 1.{now[1]}, which is newer than 1.{target[1]}",
            why="Kubernetes does not go back: what a newer etcd holds, an older API server may not read",
            fix=f'write kubernetes: {{version: "1.{now[1]}"}}',
        )
    if jump > 1:
        raise Refused(
            f"from Kubernetes 1.{has} to 1.{target[1]} is {jump} minor versions",
            why="kubeadm takes one at a time, and tests no other way",
            fix=f"go step by step: infra kube upgrade --to 1.{has + 1}",
        )


def _check_skew(nodes: Sequence[Member], target: Version) -> None:
    for item in nodes:
        if not item.version:
            continue
        minor = parsed(item.version)[1]
        if minor > target[1]:
            raise Refused(
                f"{item.node} has a kubelet of 1.{minor}, newer than the 1.{target[1]} that the cluster would have",
                why="a kubelet may not be newer than the API server",
                fix=f"upgrade to 1.{minor}, or replace the node",
            )
        if minor < target[1] - BEHIND:
            raise Refused(
                f"{item.node} has a kubelet of 1.{minor}, which an API server of 1.{target[1]} does not support",
                why=f"a kubelet may be {BEHIND} minor versions older, no more",
                fix=_ahead(item, target),
            )


def _ahead(item: Member, target: Version) -> str:
    if item.origin == "cloud":
        return "replace it by one of a newer image first: infra image bake, infra apply"
    return f"bring it to 1.{target[1] - BEHIND} or newer first, or take it out: kubectl delete node {item.node}"


def _older(item: Member, target: Version) -> bool:
    """A version without a patch is that minor version, whatever its patch."""
    return bool(item.version) and parsed(item.version)[: len(target)] < target
