"""What DaemonSets take of a machine before the first pod of anybody's work comes."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

from infra.autoscale.match import refusal
from infra.autoscale.snapshot import Daemon, Labels, Taint


def overhead(
    daemons: Iterable[Daemon], labels: Labels, taints: Sequence[Taint], there: Collection[str] = ()
) -> dict[str, int]:
    """The requests of every DaemonSet that runs on such a machine, but for those that are ``there`` already."""
    total: dict[str, int] = {}
    for daemon in daemons:
        if daemon.name in there or refusal(daemon.needs, labels, taints):
            continue
        for name, amount in daemon.needs.requests:
            total[name] = total.get(name, 0) + amount
    return total
