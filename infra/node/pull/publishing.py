"""Pushed and pulled at once: a machine that pulls goes back to what is promoted, so what is pushed must be promoted."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable

from infra import policy
from infra.cloud.site import Site, look_site
from infra.cloud.work import now, who
from infra.image import promoted
from infra.plan.model import NodeStep
from infra.spec.load import Loaded

Bring = Callable[[NodeStep], dict[str, object]]


def publishing(site: Site, bring: Bring) -> Bring:
    """``bring``, and after the first machine of a profile that is well the others may pull the same.

    Just ``bring`` where no machine pulls.
    """
    if site.cluster.converge.pull is None:
        return bring
    told: set[str] = set()
    lock = threading.Lock()

    def one(step: NodeStep) -> dict[str, object]:
        facts = bring(step)
        with lock:
            if step.profile not in told:
                made = policy.of(site.loaded, step.profile)
                move = promoted.publish(site.session, site.cluster, made, who(), now())
                told.add(step.profile)
                if move.moved:
                    site.notes.append(f"machines of {step.profile} that pull go to {made.short}")
        return facts

    return one


def reverting(loaded: Loaded, brought: Iterable[tuple[str, str]]) -> list[str]:
    """A sentence for each (profile, digest) that was pushed and is not what its machines pull."""
    every = loaded.cluster.converge.pull
    if every is None:
        return []
    session = look_site(loaded).session
    found = []
    for profile, digest in dict.fromkeys(brought):
        there = promoted.read(session, loaded.cluster, profile)
        if there is not None and there.digest != digest:
            found.append(
                f"machines of {profile} pull: within {every} min they go back from {digest[:12]} to {there.digest[:12]}"
                f", unless you let them have it: infra policy publish {profile}"
            )
    return found
