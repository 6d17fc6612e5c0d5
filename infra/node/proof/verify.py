"""Many machines asked what they are, and what came of it: side by side, or each against its own baseline.

A machine's manifest is looked at and let go as it comes: what is kept is what it has differently.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from infra.errors import HostKeyError, InfraError, UsageError
from infra.node.model import Node
from infra.node.proof import allowed, compare, proof, signature
from infra.node.proof.allowed import Allowed
from infra.node.proof.compare import Census, Comparison, Difference
from infra.node.proof.manifest import Manifest, parse, readable
from infra.spec.models import Cluster

if TYPE_CHECKING:
    from infra.node.ssh.fleet import Connection, Fleet
    from infra.node.ssh.trust import Pins

Done = Callable[..., None]


@dataclass(frozen=True, slots=True)
class Verdict:
    """``comparisons`` are of two machines and more, one for each profile; ``alone`` had nothing to be compared with;
    ``failed`` could not be asked, or did not answer as itself.
    """

    comparisons: tuple[Comparison, ...]
    alone: tuple[str, ...]
    failed: Mapping[str, InfraError]

    @property
    def code(self) -> int:
        """The exit code: 1 is worse than 2."""
        return 1 if self.failed else 0 if all(item.identical for item in self.comparisons) else 2

    def data(self) -> dict[str, Any]:
        return {
            "identical": self.code == 0,
            "profiles": [item.data() for item in self.comparisons],
            "alone": list(self.alone),
            "failed": _failed(self.failed),
        }


@dataclass(frozen=True, slots=True)
class Since:
    """One machine against its ``baseline`` (False: it has none), which was taken at ``converged`` (UTC ISO)."""

    node: str
    baseline: bool
    converged: str
    differences: tuple[Difference, ...]
    accepted: bool = False

    def data(self) -> dict[str, Any]:
        return {
            "node": self.node,
            "baseline": self.baseline,
            "converged": self.converged,
            "accepted": self.accepted,
            "differences": [_moved(item) for item in self.differences],
        }


@dataclass(frozen=True, slots=True)
class Drifted:
    """What came of looking at machines over time."""

    nodes: tuple[Since, ...]
    failed: Mapping[str, InfraError]

    @property
    def code(self) -> int:
        if self.failed:
            return 1
        return 0 if all(item.baseline and not item.differences for item in self.nodes if not item.accepted) else 2

    def data(self) -> dict[str, Any]:
        return {"nodes": [item.data() for item in self.nodes], "failed": _failed(self.failed)}


def _failed(failed: Mapping[str, InfraError]) -> list[dict[str, Any]]:
    return [
        {"node": name, "kind": error.kind, "problems": [problem.data() for problem in error.problems]}
        for name, error in failed.items()
    ]


def _moved(item: Difference) -> dict[str, Any]:
    before, after = (None if value is None else readable(value) for value, _ in item.values)
    return {"what": readable(item.what), "before": before, "after": after}


class Sorting:
    """Manifests by profile, as they come from many threads."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._census: dict[str, Census] = {}
        self._users: dict[str, set[str]] = {}
        self._lock = threading.Lock()

    def add(self, node: Node, manifest: Manifest) -> None:
        with self._lock:
            self._census.setdefault(node.profile, Census(node.profile)).add(node.name, manifest, node.user)
            self._users.setdefault(node.profile, set()).add(node.user)

    def verdict(self, order: Sequence[str], failed: Mapping[str, InfraError]) -> Verdict:
        found: list[Comparison] = []
        alone: list[str] = []
        for profile, census in sorted(self._census.items()):
            one = census.comparison(self.allowed(profile), order)
            if len(census) > 1:
                found.append(one)
            else:
                alone += one.nodes
        return Verdict(tuple(found), tuple(alone), failed)

    def allowed(self, profile: str) -> Allowed:
        """What may differ in a profile: what ships, what the lab says, and the accounts that infra logs in with."""
        entries = allowed.accounts(self._users.get(profile, ()))
        known = self._cluster.profiles.get(profile)
        entries += [
            allowed.Entry((item.what,), f"{item.why} (cluster.yaml)") for item in (known.may_differ if known else ())
        ]
        return allowed.shipped().plus(entries)


def together(nodes: Iterable[Node]) -> None:
    """Raise UsageError when no two of these are of one profile: then there is nothing to compare."""
    profiles: dict[str, list[str]] = {}
    for node in nodes:
        profiles.setdefault(node.profile, []).append(node.name)
    if any(len(names) > 1 for names in profiles.values()):
        return
    said = ", ".join(f"{name} is {profile or 'of no profile'}" for profile, (name, *_) in profiles.items())
    raise UsageError(
        "there is nothing to compare" if len(profiles) < 2 else "machines of different profiles are not the same",
        where="command line",
        why=said,
        fix="name two machines of one profile or a pattern (profile:gpu), or compare one with what it was: "
        "--since-converge",
    )


def side_by_side(
    cluster: Cluster, fleet: Fleet, nodes: Sequence[Node], done: Done, *, deep: bool = False, folder: Path | None = None
) -> Verdict:
    """Ask all of them; ``done`` is called as each has answered. With ``folder`` what they signed is kept there."""
    sorting = Sorting(cluster)

    def work(connection: Connection) -> str:
        node = connection.node
        found = proof.take(connection, deep=deep)
        if folder is not None:
            signature.save(found.signed, folder, node.name)
            if node.instance and not fleet.pins.pinned(node):
                fleet.pins.pin(node, connection.host_key)  # whoever checks the file later need not ask AWS
        sorting.add(node, found.manifest)
        return found.manifest.digest

    answers = fleet.each(nodes, work, done)
    failed = {name: answer for name, answer in answers.items() if isinstance(answer, InfraError)}
    return sorting.verdict([node.name for node in nodes], failed)


def over_time(fleet: Fleet, nodes: Sequence[Node], done: Done, *, accept: bool = False) -> Drifted:
    """Each machine against its baseline; with ``accept`` what it is now becomes its baseline."""

    def work(connection: Connection) -> Since:
        node = connection.node
        found = proof.take(connection, baseline=True)
        before = found.baseline
        differences = compare.drift(before, found.manifest) if before else ()
        if accept:
            proof.accept(connection)
        return Since(
            node.name, before is not None, before.get("node:converged") if before else "", differences, accepted=accept
        )

    answers = fleet.each(nodes, work, done)
    seen = tuple(answer for answer in answers.values() if isinstance(answer, Since))
    return Drifted(seen, {name: answer for name, answer in answers.items() if isinstance(answer, InfraError)})


def of_files(cluster: Cluster, pins: Pins, nodes: Mapping[str, Node], paths: Sequence[Path]) -> Verdict:
    """What was kept, checked with the pins and compared as if the machines had just answered.

    ``nodes`` are those that the file names, by ident: their keys stand there.
    """
    sorting = Sorting(cluster)
    order: list[str] = []
    failed: dict[str, InfraError] = {}
    for path in paths:
        try:
            node, manifest = _checked(pins, nodes, path)
        except InfraError as error:
            failed[str(path)] = error
            continue
        name = node.name if node.name not in order else str(path)  # one machine at two times
        sorting.add(_named(node, name), manifest)
        order.append(name)
    return sorting.verdict(order, failed)


def _checked(pins: Pins, nodes: Mapping[str, Node], path: Path) -> tuple[Node, Manifest]:
    found = signature.kept(path)
    said = signature.asked(found.nonce, str(path))
    kind, _, _ = said.ident.partition("/")
    instance = "" if "/" in said.ident else said.ident
    made = Node(said.name, "metal" if kind == "metal" else "host", "", said.profile, said.user, instance=instance)
    node = nodes.get(said.ident, made)
    if node.ident != said.ident:
        raise HostKeyError(f"{path} is of no machine that we know", where=str(path), why=f"it names {said.ident}")
    signature.check(found, [key.text for key in pins.known(node)], said.name, str(path))
    return _named(node, said.name), parse(found.text, said.name, str(path))


def _named(node: Node, name: str) -> Node:
    from dataclasses import replace

    return replace(node, name=name)
