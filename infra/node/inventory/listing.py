"""One line of ``infra node list``: what the file and AWS say of a machine, and what it says of itself."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from infra.errors import InfraError
from infra.node.inventory.instance import Instance
from infra.node.inventory.inventory import Inventory
from infra.node.inventory.look import Look, health
from infra.node.model import Node


@dataclass(frozen=True, slots=True)
class Row:
    """``seen`` is None when the machine was not looked at, or did not answer: ``error`` then says why.

    ``wanted`` is the digest of its profile's policy now, "" when it has none.
    """

    node: Node
    instance: Instance | None = None
    seen: Look | None = None
    error: InfraError | None = None
    wanted: str = ""

    @property
    def reason(self) -> str:
        return reason(self.error) if self.error else ""

    @property
    def health(self) -> tuple[str, ...]:
        """What is not well, in words; () when nothing is known to be."""
        words = [self.instance.health] if self.instance and self.instance.health not in ("", "ok") else []
        if self.instance and self.instance.state != "running":
            words.append(self.instance.state)
        return (*words, *(health(self.node, self.seen, self.wanted) if self.seen else ()))

    @property
    def current(self) -> bool | None:
        """Whether it is at the policy that it should be at; None when that is not known."""
        return self.seen.settled(self.wanted) if self.seen and self.wanted else None

    def data(self) -> dict[str, Any]:
        node, seen = self.node, self.seen
        return {
            "name": node.name,
            "kind": node.kind,
            "group": node.group,
            "profile": node.profile,
            "region": node.region,
            "instance": node.instance,
            "instance_type": node.instance_type,
            "user": node.user,
            "address": node.address,
            "port": node.port,
            "jump": node.jump,
            "labels": dict(node.labels),
            "where": node.where,
            "gpus": node.gpus,
            "gpus_seen": list(seen.gpus) if seen else None,
            "driver": seen.driver if seen else "",
            "image": node.image,
            "digest": seen.digest if seen else "",
            "wanted": self.wanted,
            "current": self.current,
            "origin": seen.origin if seen else "",
            "converged": seen.converged if seen else "",
            "report": seen.report.status if seen and seen.report else "",
            "os": seen.os if seen else "",
            "kernel": seen.kernel if seen else "",
            "boot_id": seen.boot_id if seen else "",
            "uptime": seen.uptime if seen else None,
            "reboot_pending": seen.reboot_pending if seen else None,
            "busy": seen.busy if seen else "",
            "state": self.instance.state if self.instance else "",
            "checks": self.instance.health if self.instance else "",
            "reached": seen is not None,
            "reason": self.reason,
            "health": list(self.health),
        }


def rows(
    found: Inventory, nodes: Iterable[Node], said: Mapping[str, Look | InfraError], wanted: Mapping[str, str]
) -> list[Row]:
    """A row for each node. ``said``: name -> its look, or why there is none; ``wanted``: profile -> digest."""
    made = []
    for node in nodes:
        answer = said.get(node.name)
        made.append(
            Row(
                node,
                found.instances.get(node.name) if node.instance else None,
                answer if isinstance(answer, Look) else None,
                answer if isinstance(answer, InfraError) else None,
                wanted.get(node.profile, ""),
            )
        )
    return made


def reason(error: InfraError) -> str:
    """Why a machine did not answer, in one line."""
    problem = error.problems[0]
    text = f"{problem.what}: {problem.why}" if problem.why else problem.what
    return " ".join(text.split())
