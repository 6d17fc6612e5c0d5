"""Which images a plan's machines start from, and what must be done first: the steps ahead of Terraform.

A profile with a run-list is baked into an image; its pools and hosts start from the one that the pointer of their
region names. Where that one is not there yet, the plan gives them a stand-in id, which never reaches AWS: apply bakes
first, then plans the region again and insists that nothing else is different.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from infra import files
from infra.cloud.project import images as project_images
from infra.cloud.project import machines
from infra.cloud.site import Site
from infra.errors import Problem, Refused, ToolMissing
from infra.image.choose import Choice, choose
from infra.image.ledger import Image, Pointers
from infra.plan.model import ImageStep
from infra.policy.model import Policy
from infra.spec.models import CONTROL_PLANE, LOCAL

Wanted = Mapping[tuple[str, str], str]
"""(region, profile) -> the architecture of its machines."""


@dataclass(frozen=True, slots=True)
class Staged:
    """What was found: the steps in order, and the image of each profile by region (a stand-in while there is none).

    ``pending`` is stand-in -> profile; ``notes`` say what a reader of the plan must know.
    """

    steps: tuple[ImageStep, ...] = ()
    images: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    pending: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def look(site: Site, regions: Sequence[str], only: Sequence[str] = ()) -> Staged:
    """Ask AWS for pointers and images, side by side, and choose. Nothing is asked when no profile needs an image.

    Raises Refused when a machine would start from a revoked image, PolicyError when a policy cannot be made.
    """
    needed = wanted(site, regions, only)
    if not needed:
        return Staged()
    from infra import policy
    from infra.image import store

    policies = {profile: policy.of(site.loaded, profile) for profile in sorted({profile for _, profile in needed})}
    where = sorted({region for region, _ in needed})
    pointers = store.pointers(site.session, site.cluster.cluster, where)
    cannot = why_not(site)
    known = [] if cannot and not pointers else store.images(site.session, site.cluster.cluster, where)
    return stage(site, needed, policies, known, pointers, cannot)


def wanted(site: Site, regions: Sequence[str], only: Sequence[str] = ()) -> dict[tuple[str, str], str]:
    """The profiles that are to be images, with the architecture of their machines."""
    cluster = site.cluster
    found = {}
    for region in regions:
        pools, hosts = machines.region_pools(cluster, region), machines.region_hosts(cluster, region)
        parts = [(f"pools.{name}", pool.profile, pool.instance_types[0]) for name, pool in pools.items()]
        parts += [(f"hosts.{name}", host.profile, host.instance_type) for name, host in hosts.items()]
        if cluster.kubernetes and machines.has_control_plane(cluster, region):
            parts.append((CONTROL_PLANE, CONTROL_PLANE, cluster.kubernetes.control_plane.instance_type))
        for part, name, kind in parts:
            profile = cluster.profiles.get(name)
            if profile and profile.run_list and not profile.image and (not only or part in only):
                found[region, name] = project_images.architecture(kind)
    return found


def why_not(site: Site) -> str:
    """Why nothing can be baked here, or "". The embedded AWS has no machines of its own."""
    if site.aws.endpoint != LOCAL:
        return ""
    from infra.image import packer
    from infra.local import build_host

    if not build_host.status().up:
        fix = build_host.can() or "infra local build-host up gives it one"
        return f"the embedded AWS has no machine to build on ({fix})"
    try:
        packer.find(site.env)
    except ToolMissing as error:
        return f"{error.problems[0].what} ({error.problems[0].fix})"
    return ""


def stage(
    site: Site,
    needed: Wanted,
    policies: Mapping[str, Policy],
    known: Sequence[Image],
    pointers: Pointers,
    cannot: str = "",
) -> Staged:
    """Choose for every profile and region. Pure but for ``site``'s file, which problems name."""
    choices = []
    for (region, profile), architecture in needed.items():
        made = policies[profile]
        choices.append(
            choose(
                made.digest,
                known,
                pointers,
                region,
                profile,
                versions=made.versions,
                layers={layer.name: layer.digest for layer in made.layers},
                architecture=architecture,
            )
        )
    refuse_blocked(site, choices)
    images: dict[str, dict[str, str]] = {}
    pending, notes, asleep = {}, [], set()
    for choice in choices:
        ami = choice.image
        if choice.step == "bake" and cannot:
            ami = choice.current if choice.sound else ""
            asleep.add(choice.profile)
        elif choice.step == "bake":
            ami = stand_in(choice.profile, choice.digest)
            pending[ami] = choice.profile
        elif choice.step == "pinned":
            notes.append(f"{choice.region}: {choice.profile}: {'; '.join(choice.reasons)} ({choice.fix})")
        if ami:
            images.setdefault(choice.region, {})[choice.profile] = ami
    if asleep:
        names = ", ".join(sorted(asleep))
        notes.append(f"no image is baked for {names}: {cannot}; machines start from what they have, or from Ubuntu's")
    due = [choice for choice in choices if choice.step != "bake" or not cannot]
    return Staged(steps(due), images, pending, tuple(notes))


def steps(choices: Sequence[Choice]) -> tuple[ImageStep, ...]:
    """One step for each profile and action, over its regions; bakes first."""
    found: dict[tuple[str, str], list[Choice]] = {}
    for choice in choices:
        if choice.step in ("bake", "promote"):
            found.setdefault((choice.step, choice.profile), []).append(choice)
    return tuple(
        ImageStep(
            action="bake" if step == "bake" else "promote",
            profile=profile,
            digest=group[0].digest,
            regions=tuple(choice.region for choice in group),
            reasons=tuple(dict.fromkeys(reason for choice in group for reason in choice.reasons)),
            images={choice.region: choice.image for choice in group if choice.image},
        )
        for (step, profile), group in sorted(found.items())
    )


def refuse_blocked(site: Site, choices: Iterable[Choice]) -> None:
    """Raise Refused with every profile whose image nobody may start from."""
    blocked = [choice for choice in choices if choice.step == "blocked"]
    if blocked:
        problems = [
            Problem(
                f"{choice.region}: no machine of profile {choice.profile} may be started: {'; '.join(choice.reasons)}",
                where=site.loaded.where("profiles", choice.profile),
                fix=choice.fix,
            )
            for choice in blocked
        ]
        raise Refused(problems[0].what, problems=problems)


def stand_in(profile: str, digest: str) -> str:
    """An AMI id that cannot be AWS's, for an image that is not baked yet: of the form, and the same every time."""
    return "ami-" + "0" * 5 + re.sub("[^0-9a-f]", "0", files.digest([profile, digest]))[:12]
