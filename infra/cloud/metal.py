"""The plan of a cluster that has no cloud: what its machines are to become. Needs no engine and no credentials."""

from __future__ import annotations

from collections.abc import Sequence

from infra.cloud.work import now, who
from infra.errors import Problem
from infra.plan.machines import NOTE, machines
from infra.plan.model import Plan
from infra.spec.load import Loaded


def plan_of_metal(loaded: Loaded, warnings: Sequence[Problem]) -> Plan:
    """A plan with machines only."""
    return Plan(
        cluster=loaded.cluster.cluster,
        created=now(),
        who=who(),
        spec=loaded.digest,
        spec_file=str(loaded.path),
        engine={},
        machines=machines(loaded.cluster),
        warnings=tuple(problem.data() for problem in warnings),
        notes=(NOTE,),
    )
