"""Applying the image steps of a plan: bake, promote, and plan again what waited for an image."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import replace

from infra.cloud import applying, planning
from infra.cloud.planning import RegionSink, Request
from infra.cloud.site import Site
from infra.cloud.work import now, who
from infra.errors import Problem, StalePlan
from infra.image import promoted, staging, store
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


class Images:
    """The image steps of a plan as they are done; repeating one is safe. Regions and profiles may be side by side."""

    def __init__(self, site: Site, plan: Plan, bake: Bake, sink: RegionSink | None = None) -> None:
        self.site, self.plan, self._bake, self._sink = site, plan, bake, sink
        self._lock = threading.Lock()

    def step(self, step: ImageStep) -> None:
        """Bake when that is the step, and have every region's machines of the profile start from the image."""
        baked = step.action == "bake"
        found = {image.region: image.id for image in self._bake(step)} if baked else step.images
        for region, ami in found.items():
            pointer = Pointer(region, step.profile, ami, step.digest, False, who(), now())
            store.promote(self.site.session, self.site.cluster.cluster, pointer)
        promoted.follow(self.site.session, self.site.cluster, [(step.profile, step.digest)], who(), now())

    def region(self, region: RegionPlan) -> RegionPlan:
        """The region's plan with the true ids of the images that it waited for.

        Raises StalePlan when Terraform would then do anything else than the plan showed.
        """
        if not region.awaits:
            return region
        fresh = staging.look(self.site, [region.region], self.plan.only)
        profiles = set(region.awaits.values())
        true = {ami: name for name, ami in fresh.images.get(region.region, {}).items() if name in profiles}
        with self._lock:
            self.site.images = {**self.site.images, **fresh.images}
            self.site.awaited = {**self.site.awaited, **true}
        again = _again(self.site, self.plan, region.region, self._sink)
        if problems := applying.differences([region], [again]):
            head = f"{region.region}: with the images there, the plan would do something else"
            first = Problem(head, why="nothing was touched there", fix=applying.AGAIN)
            raise StalePlan(head, problems=[first, *problems])
        return again


def _again(site: Site, plan: Plan, region: str, sink: RegionSink | None) -> RegionPlan:
    targets = planning.wanted_targets(site, region, plan.only) or []
    return planning.plan_region(site, region, Request(only=plan.only), targets, sink)
