"""Every way a command can fail, in one tree.

InfraError                what, where, why, fix; exit code 1
├── UsageError            the command line is wrong
├── SpecError             cluster.yaml is wrong (many problems at once)
├── PolicyError           a cookbook, a role or an attribute is wrong (before anything is started)
├── AssetError            the installation is damaged: a shipped file is missing
├── FileError             a file cannot be read or written (permission, disk full)
├── ToolError             an external program
│   ├── ToolMissing       it is not there, or its version is not supported
│   ├── ToolFailed        it ran and failed
│   └── ToolTimeout       it ran past its deadline
├── CloudError            AWS said no
│   ├── NoCredentials     none were found
│   ├── ExpiredCredentials
│   ├── AccessDenied
│   ├── Throttled
│   └── Unreachable       no network, or no endpoint there
├── StateError            Terraform's state or our saved plan
│   ├── StateLocked       somebody else holds the lock
│   ├── StalePlan         the saved plan no longer describes what would happen
│   └── NoPlan            there is nothing saved to apply
├── LocalError            the embedded AWS
├── KubeError             a Kubernetes API server
│   ├── KubeUnreachable   no answer, a hang, or it is starting
│   ├── KubeRefused       it said no: no right, or no such kind; its status code
│   ├── KubeConflict      somebody else was faster, or it is there already
│   └── KubeGone          the object is not there
├── NodeError             one machine, over SSH
│   ├── NodeUnreachable   no answer, an answer that hangs, a link that was lost
│   ├── HostKeyError      it is not the machine that we know, or we do not know it yet
│   ├── LoginRefused      no key, password or certificate of ours was accepted
│   ├── SudoRefused       the account may not become root, or the password is wrong
│   ├── NodeUnfit         it does not fit its profile
│   ├── NodeBusy          somebody else is at work on it
│   └── NodeFailed        something that ran on it failed
├── Refused               the user's answer was no, or a guard said no
└── Interrupted           Ctrl-C; says how to go on
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong: ``what`` it is, ``where`` (``file:line``), ``why``, and the ``fix``."""

    what: str
    where: str = ""
    why: str = ""
    fix: str = ""
    level: str = "error"
    rule: str = ""

    def text(self) -> str:
        """The problem as a user reads it: one line each for what, why and fix; empty parts are left out."""
        head = f"{self.where}: {self.what}" if self.where else self.what
        lines = [f"{self.level}: {head}"]
        if self.why:
            lines.append(f"  why: {self.why}")
        if self.fix:
            lines.append(f"  fix: {self.fix}")
        return "\n".join(lines)

    def data(self) -> dict[str, str]:
        """The same as JSON data; keys are always all there."""
        return {
            "level": self.level,
            "rule": self.rule,
            "what": self.what,
            "where": self.where,
            "why": self.why,
            "fix": self.fix,
        }


class InfraError(Exception):
    """What a user can cause or meet. ``problems`` holds at least one entry."""

    exit_code = 1

    def __init__(
        self,
        what: str,
        *,
        where: str = "",
        why: str = "",
        fix: str = "",
        problems: Sequence[Problem] = (),
    ) -> None:
        super().__init__(what)
        self.problems: tuple[Problem, ...] = tuple(problems) or (
            Problem(what, where=where, why=why, fix=fix, rule=self.kind),
        )

    @property
    def kind(self) -> str:
        """The stable name of this kind of error in ``--json`` output."""
        return type(self).__name__

    def text(self) -> str:
        return "\n".join(problem.text() for problem in self.problems)


class UsageError(InfraError):
    pass


class SpecError(InfraError):
    pass


class PolicyError(InfraError):
    pass


class AssetError(InfraError):
    pass


class FileError(InfraError):
    pass


class ToolError(InfraError):
    pass


class ToolMissing(ToolError):
    pass


class ToolFailed(ToolError):
    pass


class ToolTimeout(ToolError):
    pass


class CloudError(InfraError):
    pass


class NoCredentials(CloudError):
    pass


class ExpiredCredentials(CloudError):
    pass


class AccessDenied(CloudError):
    pass


class Throttled(CloudError):
    pass


class Unreachable(CloudError):
    pass


class StateError(InfraError):
    pass


class StateLocked(StateError):
    pass


class StalePlan(StateError):
    pass


class NoPlan(StateError):
    pass


class LocalError(InfraError):
    pass


class KubeError(InfraError):
    pass


class KubeUnreachable(KubeError):
    pass


class KubeRefused(KubeError):
    pass


class KubeConflict(KubeError):
    pass


class KubeGone(KubeError):
    pass


class NodeError(InfraError):
    pass


class NodeUnreachable(NodeError):
    pass


class HostKeyError(NodeError):
    pass


class LoginRefused(NodeError):
    pass


class SudoRefused(NodeError):
    pass


class NodeUnfit(NodeError):
    pass


class NodeBusy(NodeError):
    pass


class NodeFailed(NodeError):
    pass


class Refused(InfraError):
    pass


class Interrupted(InfraError):
    pass
