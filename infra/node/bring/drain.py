"""A Kubernetes node set aside while it is worked on, with the operator's own kubectl."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from infra import proc
from infra.errors import InfraError, Refused, ToolError, ToolFailed, ToolTimeout
from infra.node.model import Node
from infra.node.ssh.fleet import Connection

DEADLINE = 600.0
LOOK = 30.0
# On the machine itself, so that whoever comes after a run that was killed knows that it was we who cordoned it.
MARK = "/var/lib/infra/drained"
Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Kubectl:
    """``program`` with ``options`` that say which cluster, and how long a drain may take (seconds)."""

    program: str = "kubectl"
    options: tuple[str, ...] = ()
    deadline: float = DEADLINE
    cancel: proc.Cancel | None = None

    def run(self, *words: str, deadline: float = LOOK) -> proc.Completed:
        return proc.run([self.program, *self.options, *words], deadline=deadline, cancel=self.cancel)


def check(kubectl: Kubectl, node: Node, hostname: str) -> bool:
    """Whether the cluster takes new pods to the node now. Refused when kubectl cannot say: nothing was done yet."""
    name = hostname.lower()
    try:
        asked = kubectl.run("get", "node", name, "-o", "jsonpath={.spec.unschedulable}")
    except ToolError as error:
        config = os.environ.get("KUBECONFIG") or str(Path("~/.kube/config"))
        raise Refused(
            f"{node.name} is a Kubernetes node, and kubectl cannot set it aside first",
            where=node.where or node.login,
            why=f"{error.problems[0].what} ({config}): {error.problems[0].why}".rstrip(": "),
            fix="give kubectl a kubeconfig that may drain nodes (KUBECONFIG), or go on without: --no-drain",
        ) from error
    return asked.out.strip() != "true"


@contextmanager
def aside(connection: Connection, hostname: str, kubectl: Kubectl, say: Say, *, marked: bool) -> Iterator[None]:
    """While inside, no pods but those of daemon sets are on the node; after it they may come back, come what may.

    One that somebody else had cordoned stays so. ``marked``: a run of ours that was killed did it.
    """
    node, name = connection.node, hostname.lower()
    ours = check(kubectl, node, hostname) or marked
    if ours and not marked:
        connection.run(f"mkdir -p /var/lib/infra && : >{MARK}", deadline=30)
    try:
        say(f"draining {name}")
        try:
            _drain(kubectl, name)
        except (ToolFailed, ToolTimeout) as error:
            raise Refused(
                f"{node.name} could not be drained",
                where=node.where or node.login,
                why=error.problems[0].why or error.problems[0].what,
                fix="see what keeps its pods (kubectl get pdb -A), or go on without: --no-drain. Nothing was changed",
            ) from error
        yield
    finally:
        if ours:
            _back(connection, kubectl, name, say)


def _drain(kubectl: Kubectl, name: str) -> None:
    limit = int(kubectl.deadline)
    words = ["--ignore-daemonsets", "--delete-emptydir-data", f"--timeout={limit}s"]
    kubectl.run("cordon", name)
    kubectl.run("drain", name, *words, deadline=limit + LOOK)


def _back(connection: Connection, kubectl: Kubectl, name: str, say: Say) -> None:
    """Uncordon. What went wrong before is worth more than what goes wrong here, so that is only said."""
    try:
        kubectl.run("uncordon", name)
        connection.run(f"rm -f {MARK}", deadline=30)
    except InfraError as error:
        say(f"STILL CORDONED: kubectl uncordon {name} ({error.problems[0].what})")
