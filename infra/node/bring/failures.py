"""A job that did not end well, in words: the resource that failed with its last lines, the check that did not pass."""

from __future__ import annotations

from typing import Any

from infra.errors import NodeBusy, NodeError, NodeFailed
from infra.node.bring.job import Story
from infra.node.model import Node
from infra.policy import Policy

LOG = "/var/log/infra/converge.log"
LINES = 20
REBOOT = (35, 37)
OTHER_CONVERGE, PAST_DEADLINE, LICENSE = 75, 124, 172


def check(node: Node, story: Story, policy: Policy) -> None:
    """Raise what the end of a job means; nothing when it converged, or needs a restart."""
    if story.state == "lost":
        raise _lost(node, story)
    if story.code == 0 or (story.stage == "converge" and story.code in REBOOT):
        return
    if story.stage == "converge":
        raise _converge(node, story, policy)
    if story.stage == "smoke":
        raise _smoke(node, story)
    raise NodeFailed(
        f"{node.name} converged, and what it is now could not be recorded",
        where=node.where or node.login,
        why=_tail(story) or "/var/lib/infra could not be written",
        fix="look at its disk (df -h /var; df -i /var; findmnt /var), then run the same command again",
    )


def again(node: Node, story: Story) -> NodeFailed:
    """After its restart it wants another."""
    return NodeFailed(
        f"{node.name} wants to be restarted again, right after its restart",
        where=node.where or node.login,
        why=f"the converge ended with {story.code} once more: what needed the restart was not mended by it",
        fix="see there which resource says so: /run/reboot-required.pkgs, and the end of " + LOG,
    )


def _converge(node: Node, story: Story, policy: Policy) -> NodeError:
    place = node.where or node.login
    if story.code == OTHER_CONVERGE:
        return NodeBusy(
            f"a converge is at work on {node.name} already",
            where=place,
            why=_tail(story, 3),
            fix="wait for it to end, then run the same command again",
        )
    report = story.value("r")
    failed = report.get("failed") if report.get("digest") == policy.digest else None
    if story.code == PAST_DEADLINE:
        return _failed(
            node, place, "did not end its converge in time", _at(failed) + _tail(story), "see what it waits for"
        )
    if story.code == LICENSE:
        fix = "export CHEF_LICENSE=accept-silent if you do, or take cinc, which needs none (chef.client)"
        return _failed(node, place, "has a client whose licence is not accepted", _tail(story, 5), fix)
    if not isinstance(failed, dict) or not (failed.get("resource") or failed.get("message")):
        fix = "mend what it says, then run the same command again"
        return _failed(node, place, f"failed to converge (exit code {story.code})", _tail(story), fix)
    resource = failed.get("resource") or "the converge, before any resource"
    action = f" (action {failed['action']})" if failed.get("action") else ""
    source = _source(failed, policy)
    lines = str(failed.get("message", "")).splitlines()[-LINES:]
    name = str(failed.get("class") or "")
    why = "\n".join([*([f"{name}:"] if name else []), *lines])
    fix = "mend what the output names, then run the same command again: it goes on where it stopped"
    return _failed(node, source or place, f"failed at {resource}{action}", why, fix)


def _failed(node: Node, where: str, what: str, why: str, fix: str) -> NodeFailed:
    return NodeFailed(f"{node.name} {what}", where=where, why=why, fix=f"{fix}. All of it is there: {LOG}")


def _source(failed: dict[str, Any], policy: Policy) -> str:
    """The line of the cookbook on this machine, where the node says one in its copy."""
    path, _, line = str(failed.get("where", "")).rpartition(":")
    inside = path.partition(f"{policy.digest}/")[2]
    here = policy.sources.get(inside)
    return f"{here}:{line}" if here is not None else str(failed.get("where", ""))


def _at(failed: Any) -> str:
    resource = failed.get("resource") if isinstance(failed, dict) else ""
    return f"at: {resource}\n" if resource else ""


def _smoke(node: Node, story: Story) -> NodeFailed:
    bad = [item for item in story.value("s").get("checks") or () if item.get("status") == "FAIL"]
    lines = [f"{item.get('name')}: {item.get('what')}" for item in bad] or [_tail(story, 5)]
    names = ", ".join(str(item.get("name")) for item in bad) or f"exit code {story.code}"
    return NodeFailed(
        f"{node.name} converged, and its smoke test failed: {names}",
        where=node.where or node.login,
        why="\n".join(lines),
        fix="mend that, then run the same command again; it is not recorded as converged. The test by hand: "
        "sudo /var/lib/infra/policy/current/bin/smoke",
    )


def _lost(node: Node, story: Story) -> NodeFailed:
    return NodeFailed(
        f"{node.name}: the job that converged it was killed",
        where=node.where or node.login,
        why=_tail(story, 10) or "it left no word",
        fix="look who killed it (sudo journalctl -k | grep -i oom; a full or read-only /var), then run the same "
        "command again: it goes on where it stopped",
    )


def smoke(story: Story) -> str:
    """``passed``, ``passed, 2 skipped``, or "" when it was not run."""
    found = story.value("s")
    if not found:
        return ""
    skipped = sum(item.get("status") == "SKIPPED" for item in found.get("checks") or ())
    word = "passed" if found.get("result") == "pass" else "failed"
    return f"{word}, {skipped} skipped" if skipped else word


def _tail(story: Story, lines: int = LINES) -> str:
    return "\n".join(list(story.tail)[-lines:])
