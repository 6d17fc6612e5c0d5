"""What is due on a running machine, from what it says of itself and what it should be. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from infra import files
from infra.image.ledger import changed
from infra.node.inventory.look import Look
from infra.node.model import Node
from infra.plan.model import NodeStep
from infra.policy.model import Policy

SHOWN = 3  # differences that are named in a plan
WIDTH = 24  # of a value that is shown
REBOOTS = ("nvidia.driver", "nvidia.module")
"""Versions whose change needs a restart: a loaded kernel module is not replaced in place."""

SECTIONS = {"metal": "metal", "host": "hosts", "pool": "pools", "control-plane": "kubernetes"}


Part = Literal["", "node", "control-plane"]
"""What a machine is in Kubernetes, or is to be."""
JOINS = {"node": "no node of the cluster yet", "control-plane": "not one of the control plane yet"}


def due(node: Node, seen: Look, policy: Policy, at_once: int, part: Part = "") -> NodeStep | None:
    """The step that brings a machine to its policy, and makes it what it is to be in Kubernetes (``part``); None when
    it is there, wholly, and nothing moved since."""
    reasons, reboot = _reasons(seen, policy)
    joins = _joins(seen, part)
    alone = bool(joins) and not reasons
    if joins and (alone or seen.digest):
        reasons.append(JOINS[joins])
    if not reasons:
        return None
    return NodeStep(
        node=node.name,
        action="join" if alone else "converge" if seen.digest else "bootstrap",
        profile=node.profile,
        digest=policy.digest,
        group=f"{SECTIONS[node.kind]}.{node.group}",
        before=seen.digest,
        reasons=tuple(reasons),
        reboot=reboot,
        at_once=at_once if seen.digest and not alone else 0,  # a bare machine is away anyway; who joins never is
        login=node.login,
        seen=state(seen),
        joins=joins,
    )


def _joins(seen: Look, part: Part) -> Part:
    return "" if seen.joined and (seen.plane or part != "control-plane") else part


def state(seen: Look) -> str:
    """The digest of what matters of a look: equal ones have the same done to them."""
    report = seen.report
    facts = [seen.digest, seen.current, seen.reboot_pending, sorted(seen.drift or ()), seen.joined, seen.plane]
    return files.digest([*facts, report.status if report else "", report.digest if report else ""])


def _reasons(seen: Look, policy: Policy) -> tuple[list[str], bool]:
    if seen.busy:
        return [f"its converge of {seen.job.get('since', 'before')} is still at work"], False
    if not seen.digest:
        return ["never converged"], "nvidia.driver" in policy.versions
    found: list[str] = []
    reboot = seen.reboot_pending
    if seen.profile and seen.profile != policy.profile:
        found.append(f"profile {seen.profile} → {policy.profile}")
    if seen.digest != policy.digest:
        moved = changed(seen.versions, policy.versions) if seen.versions else []
        found += moved or [f"the policy changed: {seen.digest[:12]} → {policy.short}"]
        reboot = reboot or any(text.startswith(REBOOTS) for text in moved)
    found += _unfinished(seen, policy)
    found += drifted(seen.drift or ())
    if seen.reboot_pending:
        found.append("a restart is due")
    return found, reboot


def _unfinished(seen: Look, policy: Policy) -> list[str]:
    report = seen.report
    if report is not None and report.status == "failed":
        return [f"the last converge failed at {report.failed}" if report.failed else "the last converge failed"]
    if (report is not None and report.status == "running") or not seen.converged:
        return ["a converge was cut off"]
    if seen.current != seen.digest and seen.digest == policy.digest:
        return [f"another policy is in place: {seen.current[:12] or 'none'}"]
    return []


def drifted(lines: Sequence[str]) -> list[str]:
    """``sysctl net.core.somaxconn: 4096 → 128``, for the first few of what moved since the last converge."""
    was: dict[tuple[str, str], str] = {}
    now: dict[tuple[str, str], str] = {}
    for line in lines:
        sign, section, key, value = [*line.split("\t", 3), "", "", ""][:4]
        (was if sign == "<" else now)[section, key] = value
    found = [
        f"{section} {key}: {_short(was.get((section, key)))} → {_short(now.get((section, key)))}"
        for section, key in dict.fromkeys([*was, *now])
    ]
    more = [f"and {len(found) - SHOWN} more differences"] if len(found) > SHOWN else []
    return [*found[:SHOWN], *more]


def _short(value: str | None) -> str:
    if value is None:
        return "nothing"
    return value if len(value) <= WIDTH else f"{value[: WIDTH - 1]}…"
