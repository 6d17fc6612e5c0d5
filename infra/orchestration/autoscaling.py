"""The controller and its ports put together: whose cluster, whose Auto Scaling groups, who hears of it."""

from __future__ import annotations

import json
import os
import socket
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from infra import files, proc
from infra.autoscale import explanation
from infra.autoscale.controller import Controller, LoopResult, Settings
from infra.autoscale.dump import read_dump
from infra.autoscale.explanation import Explanation
from infra.autoscale.plan import plan
from infra.autoscale.told import Notices, line, notice
from infra.errors import InfraError, KubeError
from infra.orchestration import simulation
from infra.orchestration.offers import price
from infra.spec.models import Cluster


class Stop(proc.Cancel):
    """Ctrl-C and SIGTERM end the wait between two loops, and what runs is finished first."""

    def __init__(self) -> None:
        super().__init__()
        self.event = threading.Event()

    def __call__(self) -> None:
        super().__call__()
        self.event.set()


class SystemClock:
    """The machine's clock; ``stop`` ends a wait at once."""

    def __init__(self) -> None:
        self.stop = Stop()

    def now(self) -> float:
        return time.time()

    def wait(self, seconds: float) -> bool:
        return self.stop.event.wait(seconds)


def identity() -> str:
    """Whose name stands in the Lease: the pod's, else this process's."""
    return os.environ.get("POD_NAME") or f"{socket.gethostname()}-{os.getpid()}"


def controller(
    file: Path, endpoint: str | None, kubeconfig: Path | None, context: str, clock: SystemClock, settings: Settings
) -> tuple[Controller, Cluster]:
    """A controller of the cluster in the file. Raises SpecError, UsageError, and what a cloud without access raises."""
    from infra.cloud import aws, site
    from infra.cloud.fleets import PATIENCE, Fleets
    from infra.cloud.pricing import fresh
    from infra.kube.api import connect
    from infra.spec.load import load

    loaded = load(file, endpoint)
    wanted = site.needs_aws(loaded)
    fresh.use_kept()
    session = aws.session(wanted, site.look_site(loaded).line.endpoint, PATIENCE)
    cluster = loaded.cluster
    regions = sorted({one for name, pool in cluster.pools.items() for one in cluster.pool_regions(pool)})
    cloud = Fleets(session, cluster.cluster, regions or [wanted.home])
    return Controller(connect(kubeconfig, context), cloud, price, clock, settings), cluster


def explain_dump(
    pod: str, dump: Path, types: Sequence[str], region: str, file: Path, endpoint: str | None
) -> tuple[Explanation, Sequence[str]]:
    """What the planner makes of a pod in a file; and warnings."""
    some, warnings = simulation.groups(types, region, file, endpoint)
    snapshot = read_dump(files.read_text(dump), str(dump), some)
    one = explanation.find(snapshot.pods, pod)
    found = plan(snapshot)
    return explanation.explain(snapshot, found, one), [*warnings, *found.warnings]


def explain_live(
    pod: str, file: Path, endpoint: str | None, kubeconfig: Path | None, context: str
) -> tuple[Explanation, Sequence[str]]:
    """What the controller would make of a pod now; it writes nothing. Raises what the API server and AWS raise."""
    made, _ = controller(file, endpoint, kubeconfig, context, SystemClock(), Settings(identity()))
    result = made.once(dry_run=True)
    if result.plan is None or result.snapshot is None:
        raise _failed(result)
    one = explanation.find(result.snapshot.pods, pod)
    found = explanation.explain(result.snapshot, result.plan, one)
    blind = [f"{one.subject} does not answer: {one.reason}" for one in result.decisions if one.kind == "blind"]
    return found, [*blind, *result.plan.warnings]


def _failed(result: LoopResult) -> InfraError:
    return KubeError(
        "the loop did not come to a plan",
        where="infra autoscale",
        why=result.error or "it was not said why",
        fix="see that: kubectl get nodes works, and: infra status",
    )


@dataclass
class Telling:
    """Everybody who hears of a loop: the log, Prometheus, a webhook. None of them can stop it."""

    cluster: str
    log: Callable[[str], None]
    metrics: int | None = None
    webhook: str = ""
    _closers: list[Callable[[], None]] = field(default_factory=list)
    _tellers: list[Callable[[LoopResult], None]] = field(default_factory=list)

    def __enter__(self) -> Telling:
        self._tellers.append(self._log)
        if self.metrics is not None:
            from infra.watch.metrics import Metrics, Serving

            numbers = Metrics()
            serving = Serving(numbers, self.metrics)
            self._closers.append(serving.close)
            self._tellers.append(numbers.take)
            self.metrics = serving.port
        if self.webhook:
            from infra.watch.webhook import Webhook

            hook, notices = Webhook(self.webhook), Notices()
            self._closers.append(hook.close)

            def send(result: LoopResult) -> None:
                some = notices.of(result)
                if some:
                    hook.send(notice(some, self.cluster), [line(one, result) for one in some])

            self._tellers.append(send)
        return self

    def __exit__(self, *_: object) -> None:
        for close in self._closers:
            close()

    def tell(self, result: LoopResult) -> None:
        for teller in self._tellers:
            teller(result)

    def _log(self, result: LoopResult) -> None:
        for one in result.decisions:
            self.log(json.dumps(line(one, result), sort_keys=True, ensure_ascii=False))


def once(made: Controller, telling: Telling, dry_run: bool) -> LoopResult:
    """One loop. Raises KubeError when it did not come to a plan; one that another leads is left to it."""
    result = made.once(dry_run)
    telling.tell(result)
    if not dry_run:
        made.lead.release()
    if result.error:
        raise _failed(result)
    return replace(result, pause=0.0)
