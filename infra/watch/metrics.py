"""The autoscaler's metrics for Prometheus, and whether it is alive: ``/metrics`` and ``/healthz`` over HTTP.

The names and labels are documented (docs/autoscale.md) and stable.
"""

from __future__ import annotations

import threading
import time
from collections import Counter as Count
from collections.abc import Callable, Iterable
from socketserver import ThreadingMixIn
from typing import TYPE_CHECKING, Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, make_wsgi_app

from infra.autoscale.told import pending
from infra.errors import UsageError

if TYPE_CHECKING:
    from infra.autoscale.controller.decisions import LoopResult

NAME = "infra_autoscaler"
LATE = 3
"""A loop that is due for so many pauses, and a minute at least, is a loop that hangs."""
BUCKETS = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120)


class Metrics:
    """``take`` after each loop; ``registry`` is what is served."""

    def __init__(self, now: Callable[[], float] = time.time) -> None:
        self.registry = registry = CollectorRegistry()
        self._now, self._begun = now, now()
        self._last: LoopResult | None = None
        self._seen = 0.0

        def gauge(name: str, text: str, *labels: str) -> Gauge:
            return Gauge(f"{NAME}_{name}", text, labels, registry=registry)

        def counter(name: str, text: str, *labels: str) -> Counter:
            return Counter(f"{NAME}_{name}", text, labels, registry=registry)

        self.pending = gauge("pending_pods", "Pods that wait, by class of reason", "reason")
        self.nodes = gauge("nodes", "Nodes, by state", "state")
        self.desired = gauge("fleet_desired", "Desired capacity", "fleet")
        self.in_service = gauge("fleet_in_service", "Nodes that have joined", "fleet")
        self.minimum = gauge("fleet_minimum", "Least size", "fleet")
        self.maximum = gauge("fleet_maximum", "Largest size", "fleet")
        self.spending = gauge("dollars_per_hour", "What the desired capacity of all fleets costs")
        self.plan_cost = gauge("plan_dollars_per_hour", "What the last plan buys")
        self.plan_bound = gauge("plan_bound_dollars_per_hour", "What no plan for the same pods can be cheaper than")
        self.plan_gap = gauge("plan_gap_ratio", "How far the last plan is over its bound")
        self.backoffs = gauge("backoff_until_timestamp_seconds", "Until when a place is left alone", "place")
        self.blind = gauge("blind_regions", "Regions that do not answer", "region")
        self.leading = gauge("leading", "1 while this one leads")
        self.last = gauge("last_loop_timestamp_seconds", "When the last loop began")
        self.phases = Histogram(
            f"{NAME}_loop_seconds", "Seconds of a loop, by phase", ("phase",), registry=registry, buckets=BUCKETS
        )
        self.loops = counter("loops", "Loops, by how they ended", "result")
        self.decisions = counter("decisions", "Decisions that were carried out, by kind", "kind")
        self.launches = counter("launches", "Machines asked for", "fleet")
        self.evictions = counter("evictions", "Evictions that were granted")
        self.failures = counter("failures", "Requests and launches that failed, by kind of decision", "kind")

    def take(self, result: LoopResult) -> None:
        """The numbers of one loop; a loop that saw nothing leaves what was seen before."""
        self._last, self._seen = result, self._now()
        self.last.set(result.started)
        self.leading.set(int(result.leading))
        self.loops.labels("error" if result.error else "ok" if result.leading or result.dry_run else "follow").inc()
        for phase, seconds in result.seconds.items():
            self.phases.labels(phase).observe(seconds)
        self._count(result)
        _fill(self.blind, {one.subject: 1.0 for one in result.decisions if one.kind == "blind"})
        if result.plan is not None and result.snapshot is not None:
            self._look(result)

    def _count(self, result: LoopResult) -> None:
        for one in result.decisions:
            if one.kind in ("could-not", "back-off"):
                self.failures.labels(one.kind).inc()
            if not one.done:
                continue
            self.decisions.labels(one.kind).inc()
            if one.kind == "buy":
                self.launches.labels(str(one.fleet or one.subject)).inc(one.count)
            elif one.kind == "evict":
                self.evictions.inc()

    def _look(self, result: LoopResult) -> None:
        plan, snapshot = result.plan, result.snapshot
        assert plan is not None and snapshot is not None
        _fill(self.pending, pending(result))
        counts = result.counts
        names = ("metal", "joining", "broken", "leaving")
        _fill(self.nodes, {"all": counts.nodes, **{name: getattr(counts, name) for name in names}})
        ready = Count(node.group for node in snapshot.nodes if node.group and not (node.joining or node.broken))
        _fill(self.desired, result.desired)
        _fill(self.in_service, {fleet: ready[fleet] for fleet in result.limits})
        _fill(self.minimum, {fleet: low for fleet, (low, _) in result.limits.items()})
        _fill(self.maximum, {fleet: high for fleet, (_, high) in result.limits.items()})
        _fill(self.backoffs, result.backoffs)
        self.spending.set(counts.spending)
        self.plan_cost.set(plan.cost)
        self.plan_bound.set(plan.certificate.bound)
        self.plan_gap.set(plan.certificate.gap)

    def health(self) -> tuple[bool, str]:
        """Whether loops still come, and a line that says so."""
        now = self._now()
        if self._last is None:
            return now - self._begun < 60, f"no loop has ended in {now - self._begun:.0f} s"
        late = now - self._seen
        text = f"the last loop ended {late:.0f} s ago: {self._last.error or 'well'}"
        return late < max(60.0, LATE * self._last.pause + self._last.seconds.get("total", 0.0)), text


def _fill(gauge: Gauge, values: Any) -> None:
    """Exactly these values: what is no longer there is no longer told."""
    gauge.clear()
    for name, value in dict(values).items():
        gauge.labels(str(name)).set(value)


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True


class _Quiet(WSGIRequestHandler):
    timeout = 10

    def log_message(self, format: str, *args: Any) -> None:
        """Scrapes are no news."""


class Serving:
    """An HTTP server on ``port`` (0: any) of all addresses. Raises UsageError when the port cannot be had."""

    def __init__(self, metrics: Metrics, port: int, host: str = "") -> None:
        numbers = make_wsgi_app(metrics.registry)

        def app(environ: dict[str, Any], start: Any) -> Iterable[bytes]:
            path = environ.get("PATH_INFO", "")
            if path == "/metrics":
                answer: Iterable[bytes] = numbers(environ, start)
                return answer
            well, text = metrics.health() if path == "/healthz" else (False, "there are /metrics and /healthz")
            status = "200 OK" if well else "503 Service Unavailable" if path == "/healthz" else "404 Not Found"
            start(status, [("Content-Type", "text/plain; charset=utf-8")])
            return [f"{text}\n".encode()]

        try:
            self._server = make_server(host, port, app, server_class=_Server, handler_class=_Quiet)
        except (OSError, OverflowError) as error:
            raise UsageError(
                f"port {port} cannot be listened on", where="--metrics", why=str(error), fix="give another port"
            ) from None
        self.port: int = self._server.server_port
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), name="metrics", daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(5)
