"""A machine brought to its policy: bootstrap and converge are one thing whose stages skip what is done.

Preflight, client, policy, converge (as a job of the machine), restart where one is needed, smoke test, record. It may
be killed at any point: the same call goes on where that one stopped, and node.json says that a machine is at its
policy only after a smoke test that passed there.
"""

from __future__ import annotations

import contextlib
import json
import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from infra.cloud.work import who
from infra.errors import NodeBusy, Problem
from infra.node.bring import client, failures, fitness, job, keys, preflight, sources
from infra.node.bring import join as joins
from infra.node.bring.client import Package, Packages
from infra.node.bring.drain import Kubectl, aside
from infra.node.bring.facts import Facts
from infra.node.bring.reboot import restart
from infra.node.model import Node
from infra.node.ssh.fleet import Connection
from infra.policy import Policy, hardware, of
from infra.spec.load import Loaded
from infra.spec.models import Gpus, Profile

Sink = Callable[[str, dict[str, Any]], None]
State = Literal["nothing", "converged", "would", "reboot"]
REBOOT = (35, 37)
ALLOW_OS = "INFRA_ALLOW_OS"


@dataclass(frozen=True)
class Wanted:
    """What one machine is to be."""

    policy: Policy
    profile: Profile
    packages: Packages
    module: str = ""
    gpus: Gpus | None = None
    joining: joins.Joining | None = None
    """The cluster that it is to be a node of; None for none."""

    @property
    def loaded(self) -> Loaded:
        return self.packages.loaded


@dataclass
class Wants:
    """What each machine of a cluster is to be; the policy of a profile and the client's package are found once."""

    loaded: Loaded
    package: Path | None = None
    sha256: str = ""
    _known: dict[tuple[str, str], Wanted] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        self._packages = Packages(self.loaded, self.package, self.sha256)
        self._joining = joins.Joining(self.loaded) if self.loaded.cluster.kubernetes else None

    def begun(self, name: str) -> None:
        """This command will bring that machine up: what others need of it, they wait for."""
        if self._joining is not None:
            self._joining.begun(name)

    def ended(self, name: str) -> None:
        if self._joining is not None:
            self._joining.ended(name)

    def of(self, node: Node) -> Wanted:
        """Raises PolicyError when the profile does not resolve."""
        group = node.group if node.kind == "metal" else ""
        with self._lock:
            if (node.profile, group) not in self._known:
                self._known[node.profile, group] = self._make(node.profile, group)
            return self._known[node.profile, group]

    def _make(self, name: str, group: str) -> Wanted:
        cluster = self.loaded.cluster
        policy = of(self.loaded, name)
        profile, metal = cluster.profiles[name], cluster.metal.get(group)
        module = hardware.module(profile, list(hardware.machines(cluster, name))) if profile.nvidia else ""
        packages, joining = self._packages, self._joining if metal else None
        return Wanted(policy, profile, packages, module, metal.gpus if metal else None, joining)


@dataclass(frozen=True, slots=True)
class Options:
    """How. Times are in seconds: ``patience`` for another package manager to end, ``deadline`` of the converge,
    ``reboot_deadline``, ``away`` for a link that is down.

    ``check_drift``: a machine that is at its policy is converged all the same when it differs from how it was left.
    """

    why_run: bool = False
    reboot: bool = True
    drain: bool = True
    force: bool = False
    check_drift: bool = True
    allow_os: bool = field(default_factory=lambda: bool(os.environ.get(ALLOW_OS)))
    patience: float = 300
    deadline: int = 7200
    reboot_deadline: float = 900
    away: float = 900
    kubectl: Kubectl = field(default_factory=Kubectl)


@dataclass(frozen=True)
class Brought:
    """What came of it. ``state``: ``nothing`` was to do, ``converged``, it ``would`` change (a why-run), or a
    ``reboot`` is needed and was not allowed. ``changed`` are names of resources, ``drift_left`` what no converge mends.
    """

    node: str
    profile: str
    state: State
    digest: str
    digest_before: str = ""
    updated: int = 0
    total: int = 0
    rebooted: bool = False
    seconds: float = 0.0
    changed: tuple[str, ...] = ()
    drift_left: tuple[str, ...] = ()
    warnings: tuple[Problem, ...] = ()
    smoke: str = ""
    kubernetes: joins.State = ""

    def data(self) -> dict[str, Any]:
        """As JSON data."""
        return {
            "name": self.node,
            "profile": self.profile,
            "state": self.state,
            "digest": self.digest,
            "digest_before": self.digest_before,
            "updated": self.updated,
            "total": self.total,
            "rebooted": self.rebooted,
            "seconds": round(self.seconds, 2),
            "changed": list(self.changed),
            "drift_left": list(self.drift_left),
            "warnings": [problem.data() for problem in self.warnings],
            "smoke": self.smoke,
            "kubernetes": self.kubernetes,
        }


def silent(_name: str, _event: dict[str, Any]) -> None:
    return None


def bring(connection: Connection, wanted: Wanted, options: Options = Options(), sink: Sink = silent) -> Brought:
    """Bring the machine to its policy. ``sink`` gets (name, event): ``stage``, ``line`` of its log, ``beat``.

    Raises NodeUnfit, NodeBusy, NodeFailed, NodeUnreachable, Refused (a drain), SpecError (no client).
    """
    return _Work(connection, wanted, options, sink).run()


class _Work:
    """One machine on its way."""

    def __init__(self, connection: Connection, wanted: Wanted, options: Options, sink: Sink) -> None:
        self.connection, self.node, self.wanted, self.options = connection, connection.node, wanted, options
        self.digest = wanted.policy.digest
        self.began = time.monotonic()
        self.warnings: list[Problem] = []
        self._sink = sink

    def say(self, event: dict[str, Any]) -> None:
        self._sink(self.node.name, event)

    def stage(self, stage: str, text: str = "") -> None:
        self.say({"type": "stage", "stage": stage, "text": text})

    def run(self) -> Brought:
        joining = self.wanted.joining
        if joining is None:
            return self._run()
        joining.begun(self.node.name)
        try:
            return self._run()
        finally:
            joining.ended(self.node.name)

    def _run(self) -> Brought:
        facts = self._look()
        self._alone(facts)
        if facts.same and not self.options.why_run:
            return self._result(facts, "nothing")
        package = None
        if not facts.job_running:  # else it is ours, was judged when it began, and is followed
            self._fits(facts)
            package = self._client(facts)
            if not self.options.why_run:
                keys.place(self.connection)
        with self._aside(facts):
            return self._converge(facts, package)

    def _look(self) -> Facts:
        options = self.options
        self.stage("preflight")
        return preflight.ask(
            self.connection,
            self.digest,
            hosts=sources.hosts(self.wanted.policy),
            patience=options.patience,
            how="force" if options.force or options.why_run else "drift" if options.check_drift else "quick",
            waiting=lambda holder: self.stage("waiting", f"for process {holder}"),
        )

    def _alone(self, facts: Facts) -> None:
        place = self.node.where or self.node.login
        ours = facts.job
        mode = "why-run" if self.options.why_run else "converge"
        if facts.job_running and (ours["digest"], ours["mode"], ours["who"]) != (self.digest, mode, who()):
            raise job.busy(self.node.name, place, ours["who"], ours["since"], ours["digest"], ours["mode"])
        if facts.converging:
            raise NodeBusy(
                f"a converge is at work on {self.node.name} already",
                where=place,
                why=f"{facts.converging}: its own timer's, that of somebody who is logged in, or what is left of a job "
                "that was killed",
                fix="wait for it to end, then run the same command again",
            )
        if facts.locked:
            raise NodeBusy(
                f"another package manager is at work on {self.node.name}",
                where=place,
                why=f"process {facts.locked} holds dpkg's lock, and did so for {self.options.patience:.0f} s",
                fix="wait for it to end (unattended upgrades may take a quarter of an hour), or see what it waits for; "
                "then run the same command again",
            )

    def _fits(self, facts: Facts) -> None:
        wanted = self.wanted
        wish = fitness.Wish(
            self.node.name,
            self.node.where or self.node.login,
            self.node.profile,
            wanted.profile,
            wanted.module,
            wanted.gpus,
            self.options.allow_os,
        )
        found = fitness.judge(facts, wish)
        fitness.stop(found)
        for problem in found:
            self._warn(problem)

    def _warn(self, problem: Problem) -> None:
        self.warnings.append(problem)
        self.stage("warning", problem.what)

    def _client(self, facts: Facts) -> Package | None:
        """What has to be installed there, None for nothing."""
        package, warning = client.needed(
            self.wanted.packages.of(self.node.profile, facts.arch), facts, self.wanted.loaded, self.node
        )
        if warning:
            self._warn(Problem(warning, where=self.wanted.loaded.where("chef"), level="warning", rule="client"))
        if self.options.why_run:
            client.why_run_needs(package, self.node)
        return package

    def _aside(self, facts: Facts) -> contextlib.AbstractContextManager[None]:
        options = self.options
        if not (facts.kubelet and options.drain and not options.why_run):
            return contextlib.nullcontext()
        return aside(
            self.connection,
            facts.hostname,
            options.kubectl,
            lambda text: self.stage("drain", text),
            marked=facts.drained,
        )

    def _converge(self, facts: Facts, package: Package | None) -> Brought:
        story = self._job(facts, package)
        updated, changed = _counted(story)
        if self.options.why_run:
            return self._result(facts, "would", story, updated, changed)
        boot, rebooted = story.boot or facts.boot, False
        if story.stage == "converge" and story.code in REBOOT:
            if not self.options.reboot:
                return self._result(facts, "reboot", story, updated, changed)
            self._restart(boot)
            rebooted = True
            story = self._job(facts, None)
            more, also = _counted(story)
            updated, changed = updated + more, (*changed, *(name for name in also if name not in changed))
            if story.code in REBOOT:
                raise failures.again(self.node, story)
        return self._result(facts, "converged", story, updated, changed, rebooted=rebooted)

    def _job(self, facts: Facts, package: Package | None) -> job.Story:
        policy = self.wanted.policy
        record = {
            "profile": policy.profile,
            "digest": policy.digest,
            "layers": {layer.name: layer.digest for layer in policy.layers},
            "converged": "@CONVERGED@",
            "origin": facts.node.get("origin") or "bootstrap",
        }
        order = job.Order(
            who=who(),
            digest=policy.digest,
            why_run=self.options.why_run,
            kind=self.wanted.loaded.cluster.chef.client,
            sha256=package.sha256 if package else "",
            node=json.dumps(record, indent=2, sort_keys=True, ensure_ascii=False),
            deadline=self.options.deadline,
            license=os.environ.get("CHEF_LICENSE", ""),
            blobs={"policy": policy.archive, **({"client": package.read} if package else {})},
            size=len(policy.archive()) + (package.path.stat().st_size if package else 0),
        )
        story = job.do(self.connection, order, self.say, away=self.options.away)
        failures.check(self.node, story, policy)
        return story

    def _restart(self, boot: str) -> None:
        self.stage("reboot")
        limit = self.options.reboot_deadline
        restart(self.connection, boot, deadline=limit, tick=lambda waited: self.stage("reboot", f"{waited:.0f} s"))

    def _join(self, facts: Facts, state: State) -> joins.State:
        """A machine of the cloud joins by itself; one on the floor is handed what it needs, when all else is done."""
        joining = self.wanted.joining
        if joining is None or state not in ("nothing", "converged"):
            return ""
        if facts.kubelet and (facts.plane or not joining.plane(self.node.name)):
            return "there"
        self.stage("join")
        done, why = joins.join(self.connection, joining, lambda text: self.stage("join", text))
        if done == "joined":
            self.stage("join", f"joined the cluster {self.wanted.loaded.cluster.cluster}")
        else:
            fix = "when that is done, run the same command again: only the join is left to do"
            self._warn(
                Problem(f"it joins no cluster: {why}", where=self.node.where, fix=fix, level="warning", rule="join")
            )
        return done

    def _result(
        self,
        facts: Facts,
        state: State,
        story: job.Story | None = None,
        updated: int = 0,
        changed: tuple[str, ...] = (),
        *,
        rebooted: bool = False,
    ) -> Brought:
        kubernetes = self._join(facts, state)
        return Brought(
            node=self.node.name,
            profile=self.node.profile,
            state=state,
            digest=self.digest,
            digest_before=facts.digest,
            updated=updated,
            total=int(story.value("r").get("total") or 0) if story else 0,
            rebooted=rebooted,
            seconds=time.monotonic() - self.began,
            changed=changed,
            drift_left=story.left if story else (),
            warnings=tuple(self.warnings),
            smoke=failures.smoke(story) if story else "",
            kubernetes=kubernetes,
        )


def _counted(story: job.Story) -> tuple[int, tuple[str, ...]]:
    """How many resources were (or would be) changed, and their names."""
    report = story.value("r")
    names = [str(item.get("resource", "")) for item in report.get("updated") or () if not item.get("depth")]
    return int(report.get("updated_count") or len(names)), tuple(dict.fromkeys(names))
