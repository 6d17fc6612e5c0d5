"""A bake that failed, in a user's words: which part, what it said last, and what to do. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from infra.cloud.refusals.diagnose import explain
from infra.errors import CloudError, InfraError, ToolFailed
from infra.image.events import CLOSING, Story

NOTHING = "no image was made, and the builder is gone"
TOLD = 24  # lines that the converge says of a failure
AGAIN = "then the same command again"


@dataclass(frozen=True, slots=True)
class Known:
    """A sentence that Packer or the machine says, and what it means. ``phases`` empty: in any."""

    pattern: str
    what: str
    why: str
    fix: str
    phases: tuple[str, ...] = ()


KNOWN = (
    Known(
        r"sudo: (a password is required|a terminal is required)|is not in the sudoers|may not run sudo"
        r"|sudo: (command )?not found|not allowed to (execute|run)",
        "the builder's account may not use sudo",
        "everything on the machine is done as root, through sudo without a password",
        "bake on an image whose account ubuntu may use sudo, as Canonical's do",
    ),
    Known(
        r"[Nn]o space left on device|[Dd]isk quota exceeded|not enough free space|You don't have enough free space",
        "the builder's disk is full",
        "what the policy installs needs more room than it has",
        "give it more: --disk 120GB; or install less",
    ),
    Known(
        r"InvalidAMIID\.(NotFound|Unavailable)|No AMI was found matching|The image id '\[[^]]*\]' does not exist",
        "the base image is gone",
        "it was deregistered after it had been chosen, or is no longer shared with this account",
        f"nothing to mend: {AGAIN} looks for the newest one",
    ),
    Known(
        r"Timeout waiting for SSH|timeout waiting for ssh|unable to authenticate|handshake failed",
        "the builder cannot be reached by SSH",
        "its subnet has no way in from here, or access.ssh_from does not name the network that you are in",
        "check access.ssh_from and the subnet (--subnet)",
        ("connect", "launch"),
    ),
    Known(
        r"Script disconnected unexpectedly|[Cc]onnection reset|[Cc]onnection refused|broken pipe|use of closed network"
        r"|unexpected EOF|: EOF$|no route to host|i/o timeout|remote command exited without exit status"
        r"|ssh: disconnect|Error waiting for SSH",
        "the builder died while it was at work",
        "its connection broke and did not come back: it was switched off, crashed, or was taken away (spot)",
        "nothing to mend on this side: the same command again",
        ("prepare", "upload", "converge", "smoke", "packages", "seal"),
    ),
)
PHASES = {
    "launch": "starting the builder",
    "connect": "connecting to the builder",
    "prepare": "preparing the builder",
    "upload": "putting the policy and the Chef client on the builder",
    "converge": "converging",
    "smoke": "the smoke test",
    "packages": "listing its packages",
    "seal": "cleaning the machine",
    "stop": "stopping the builder",
    "image": "making the AMI",
    "clean": "removing the builder",
}


def failure(story: Story, where: str, profile: str = "", log: str = "") -> InfraError:
    """The error for a build that ended without an image. ``where`` names profile and region, ``log`` is all of it."""
    found = _failure(story, where, profile)
    if not log:
        return found
    problems = [replace(item, why=f"{item.why}\nall of it: {log}".strip()) for item in found.problems]
    return type(found)(found.problems[0].what, problems=problems)


def _failure(story: Story, where: str, profile: str) -> InfraError:
    text = "\n".join([*story.errors, *story.lines])
    for known in KNOWN:
        if re.search(known.pattern, text, re.MULTILINE) and (not known.phases or story.where in known.phases):
            fix = known.fix if "same command" in known.fix else f"{known.fix}; {AGAIN}"
            return ToolFailed(_at(known.what, story), where=where, why=f"{known.why}\n{_tail(story)}", fix=fix)
    if story.where in ("", "launch", "stop", "image"):
        refused = explain("\n".join(story.errors), where=where, profile=profile)
        if refused is not None:
            return refused
        return CloudError(
            f"{PHASES.get(story.where, 'the bake')} failed",
            where=where,
            why=_tail(story),
            fix=f"mend what AWS or Packer says, {AGAIN}",
        )
    return _of_phase(story, where)


def _of_phase(story: Story, where: str) -> InfraError:
    failed = [check for check in story.checks if check.status == "FAIL"]
    if failed:
        return ToolFailed(
            f"the smoke test failed: {', '.join(check.name for check in failed)}",
            where=where,
            why="\n".join(f"{check.name}: {check.what}" for check in failed) + f"\n{NOTHING}",
            fix=f"mend the cookbooks or the profile, {AGAIN}",
        )
    resource = _resource(story.lines)
    what = f"{PHASES.get(story.where, story.where)} failed"
    return ToolFailed(
        f"{what} at {resource}" if resource else what,
        where=where,
        why=f"{_tail(story)}\n{NOTHING}",
        fix=f"mend {'that resource' if resource else 'what it names'}, {AGAIN}",
    )


def _resource(lines: list[str]) -> str:
    """The failing resource, as the converge script names it: ``failed: apt_package[foo] (docker::default line 3)``."""
    for line in reversed(lines):
        if found := re.search(r"\b([a-z_]+\[[^\]]+\])", line):
            return found[1]
    return ""


def _at(what: str, story: Story) -> str:
    phase = PHASES.get(story.where, "")
    return f"{what} (while {phase})" if phase.endswith("ing") or phase.split(" ")[0].endswith("ing") else what


def _tail(story: Story) -> str:
    """The last lines of the part that failed, and what Packer says beside them."""
    exits = re.compile(r"^Script exited with non-zero|^Provisioning with shell script|^all of it: /var/")
    said = [line for line in story.lines if line.strip() and not exits.match(line)]
    told = next((at for at, line in enumerate(said) if line.startswith("converge: failed")), None)
    if told is not None:
        return "\n".join(said[told + 1 :][:TOLD])
    extra = [line for line in story.errors if line not in said and not exits.match(line) and not CLOSING.match(line)]
    return "\n".join([*said, *extra][-12:]) or (story.errors[-1] if story.errors else "it said nothing")
