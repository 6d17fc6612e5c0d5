"""Rules on how the values of ``cluster.yaml`` fit each other: one small class each, by theme.

``docs/validators.md`` lists them with an example that passes and one that fails; both are tested.
"""

from __future__ import annotations

from dataclasses import replace

from infra.errors import Problem
from infra.spec.facts import Facts
from infra.spec.load import Loaded
from infra.spec.rules import (
    access,
    account,
    capacity,
    chef,
    converge,
    gpu,
    instances,
    kubernetes,
    metal,
    metal_plane,
    names,
    network,
    references,
    storage,
    zones,
)
from infra.spec.rules.base import Context, Rule

MOST = 50  # problems of one rule that are shown

THEMES: dict[str, tuple[type[Rule], ...]] = {
    "References": references.RULES,
    "Names": names.RULES,
    "Access": access.RULES,
    "Network": network.RULES,
    "Instance types and placement": instances.RULES,
    "Capacity": capacity.RULES,
    "Zones of a pool": zones.RULES,
    "GPUs": gpu.RULES,
    "Storage": storage.RULES,
    "Kubernetes": (*kubernetes.RULES, *metal_plane.RULES),
    "Metal": metal.RULES,
    "The Chef client": chef.RULES,
    "Pull mode": converge.RULES,
    "Account": account.RULES,
}


def rules() -> list[Rule]:
    """Every rule, in the order of the documentation."""
    return [rule() for theme in THEMES.values() for rule in theme]


def check(loaded: Loaded, facts: Facts | None = None) -> list[Problem]:
    """Every rule's problems, in the order of the file. ``facts`` is what the account told, if it was asked."""
    ctx = Context(loaded, facts or Facts())
    found = [problem for rule in rules() for problem in _found(rule, ctx)]
    return sorted(dict.fromkeys(found), key=lambda problem: int(problem.where.rpartition(":")[2]))


def _found(rule: Rule, ctx: Context) -> list[Problem]:
    """A rule's problems; of very many (a pattern of 9,999 names that is written twice) the first ones."""
    found = list(rule.check(ctx))
    if len(found) <= MOST:
        return found
    last = found[MOST - 1]
    more = replace(last, what=f"{len(found) - MOST} more problems like this: {last.what}")
    return [*found[: MOST - 1], more]
