"""Applying the image steps of a plan: bake, promote, and plan again what waited for an image."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from infra.cloud import applying, planning
from infra.cloud.planning import RegionSink, Request
from infra.cloud.site import Site
from infra.cloud.work import now, who
from infra.errors import Problem, StalePlan
from infra.image import staging, store
from infra.image.ledger import SHORT, Image, Pointer
from infra.image.staging import Staged
from infra.plan.model import ImageStep, Plan, RegionPlan

Bake = Callable[[ImageStep], Sequence[Image]]
"""Bakes a step's profile for its regions; an image that is there already is not made again."""


def restore(site: Site, plan: Plan) -> None:
    """Have the site choose the images that the saved plan chose, so that the same projects are written."""
    site.images = {region.region: region.images for region in plan.regions}
    site.awaited = {ami: profile for region in plan.regions for ami, profile in region.awaits.items()}


def moved(plan: Plan, fresh: Staged) -> list[Problem]:
    """What of the images is no longer as the plan saw it. A bake done meanwhile is none: it is not repeated."""
    planned = {(step.profile, region): step for step in plan.images for region in step.regions}
    problems = []
    for step in fresh.steps:
        for region in step.regions:
            was = planned.get((step.profile, region))
            if was is None or was.digest != step.digest or (was.action, step.action) == ("promote", "bake"):
                problems.append(_needed(was, step, region))
    for item in plan.regions:
        for profile, ami in item.images.items():
            now_is = fresh.images.get(item.region, {}).get(profile, "")
            if ami not in item.awaits and now_is != ami:
                problems.append(Problem(f"{item.region}: machines of {profile} start from {now_is or '?'}, not {ami}"))
    return [replace(problem, fix=applying.AGAIN) for problem in problems]


def _needed(was: ImageStep | None, step: ImageStep, region: str) -> Problem:
    if was is not None and was.digest != step.digest:
        said = f"{was.digest[:SHORT]} → {step.digest[:SHORT]}"
        why = "cluster.yaml or a cookbook changed"
        return Problem(f"{region}: the policy of {step.profile} changed: {said}", why=why)
    return Problem(f"{region}: profile {step.profile} needs a {step.action}", why="; ".join(step.reasons))


def carry_out(site: Site, plan: Plan, bake: Bake, sink: RegionSink | None = None) -> Plan:
    """Do the plan's image steps in order; the plan to apply then, with the true ids. Repeating it is safe.

    Raises StalePlan when, with the images there, Terraform would do anything else than the plan showed.
    """
    for step in plan.images:
        found = {image.region: image.id for image in bake(step)} if step.action == "bake" else step.images
        for region, ami in found.items():
            pointer = Pointer(region, step.profile, ami, step.digest, False, who(), now())
            store.promote(site.session, site.cluster.cluster, pointer)
    waiting = [region for region in plan.regions if region.awaits]
    if not waiting:
        return plan
    fresh = staging.look(site, [region.region for region in plan.regions], plan.only)
    site.images = fresh.images
    profiles = {profile for region in waiting for profile in region.awaits.values()}
    site.awaited = {ami: name for chosen in fresh.images.values() for name, ami in chosen.items() if name in profiles}
    again = planning.side_by_side([region.region for region in waiting], lambda name: _again(site, plan, name, sink))
    if problems := applying.differences(waiting, again):
        head = "with the images there, the plan would do something else"
        first = Problem(head, why="nothing but images was touched", fix=applying.AGAIN)
        raise StalePlan(head, problems=[first, *problems])
    true = {region.region: region for region in again}
    return replace(plan, regions=tuple(true.get(region.region, region) for region in plan.regions))


def _again(site: Site, plan: Plan, region: str, sink: RegionSink | None) -> RegionPlan:
    targets = planning.wanted_targets(site, region, plan.only) or []
    return planning.plan_region(site, region, Request(only=plan.only), targets, sink)
