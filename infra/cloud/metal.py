"""A cluster that has no cloud: its site, and its plan but for what is due on its machines. Needs no engine."""

from __future__ import annotations

from collections.abc import Sequence

from infra.cloud.engine import Engine
from infra.cloud.project.provider import online
from infra.cloud.site import Site
from infra.cloud.work import Work, now, who
from infra.errors import Problem, UsageError
from infra.plan.machines import machines
from infra.plan.model import Plan
from infra.spec.load import Loaded


def metal_site(loaded: Loaded) -> Site:
    """A site with a work folder and nothing else."""
    return Site(loaded, Work.of(loaded.cluster, loaded.path), Engine((), "none", "", ""), online(None), {})


def plan_of_metal(
    site: Site, warnings: Sequence[Problem], regions: Sequence[str] = (), only: Sequence[str] = ()
) -> Plan:
    """The plan around what is found on the machines. Raises UsageError for a region or a part that is not there."""
    cluster = site.cluster
    groups = [f"metal.{name}" for name in cluster.metal]
    if regions or set(only) - set(groups):
        raise UsageError(
            f"{site.loaded.path.name} has no {'region ' + regions[0] if regions else f'part {only[0]!r}'}",
            where="command line",
            why="there is no aws: section",
            fix=f"parts are: {', '.join(groups) or 'none'}",
        )
    return Plan(
        cluster=cluster.cluster,
        created=now(),
        who=who(),
        spec=site.loaded.digest,
        spec_file=str(site.loaded.path),
        engine=site.engine.data(),
        machines=machines(cluster),
        only=tuple(only),
        warnings=tuple(problem.data() for problem in warnings),
    )
