"""The way to nothing: what would be removed, what holds data, and what is left afterwards."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from infra.cloud import buckets, links, parameters, planning
from infra.cloud.aws import translated
from infra.cloud.mending import known as knowing
from infra.cloud.mending import recovery, strays
from infra.cloud.mending.known import Known, Thing
from infra.cloud.planning import RegionSink, Request
from infra.cloud.project import joining
from infra.cloud.project.links import sides
from infra.cloud.site import Site
from infra.errors import Problem, Refused, UsageError
from infra.plan.drift import lasting
from infra.plan.model import LINKS, Plan, RegionPlan
from infra.plan.words import title

EMPTY_EFS = 100_000  # bytes that an empty file system is metered with, and some
GB = 10**9


@dataclass(frozen=True, slots=True)
class Holding:
    """Something that would go and holds data. ``bytes`` and ``objects`` are None when nobody counted.

    ``more`` says that the counting was given up at ``objects``. ``kind`` is efs, s3, disk or pool.
    """

    region: str
    title: str
    kind: str
    id: str
    bytes: int | None = None
    objects: int | None = None
    more: bool = False

    @property
    def blocks(self) -> bool:
        """A bucket with anything in it is not removed by AWS."""
        return self.kind == "s3" and bool(self.objects)

    def data(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Left:
    """What a region has after the destroy: resources that the state still knows, and things with our tag."""

    region: str
    resources: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()

    def data(self) -> dict[str, Any]:
        return asdict(self)


def wanted(site: Site, asked: Sequence[str]) -> list[str]:
    """The regions that have anything, those asked for or all; also ones that the file names no more.

    Raises UsageError for a region of which nobody has heard.
    """
    gone = knowing.leftover_regions(site)
    every = [*site.aws.regions, *gone]
    for name in asked:
        if name not in every:
            raise UsageError(
                f"region {name!r} is not in {site.loaded.path.name}, and nothing was applied there",
                where=f"--region {name}",
                fix=f"one of: {', '.join(every)}",
            )
    doubtful = recovery.doubtful(site)
    chosen = [name for name in every if not asked or name in asked]
    return [name for name in chosen if name in doubtful or knowing.read(site, name).things]


def make(site: Site, regions: Sequence[str], only: Sequence[str], sink: RegionSink | None = None) -> Plan:
    """The plan that removes those regions, or parts of them. A region that the file names no more is planned from
    the project that is still in its folder."""
    planning.forget(site)
    here = tuple(name for name in regions if name in site.aws.regions)
    request = Request(here, tuple(only), destroy=True)
    plan = planning.make(site, request, (), sink) if here else planning.blank(site, request)
    gone = [name for name in regions if name not in here] if not only else []
    found = (
        planning.side_by_side(gone, lambda name: planning.plan_project(site, name, request, (), sink)) if gone else []
    )
    first = links.parting(site, regions, only, sink)
    every = (*([first] if first else ()), *plan.regions, *found)
    return replace(plan, regions=every, notes=(*plan.notes, *_foreign(site, every)))


def _foreign(site: Site, regions: Sequence[RegionPlan]) -> Iterator[str]:
    """What somebody else put on our roles and groups: AWS may keep those until it is taken away."""
    for region in regions:
        going = {change.address for change in region.changes}
        things = knowing.read(site, region.region).things
        for change in lasting((thing.address, thing.type, thing.values) for thing in things):
            if change.address in going and change.type != "aws_route_table":  # which takes its routes along
                texts = ", ".join(change.reasons)
                yield f"{region.region}: {change.title}: {texts} is not ours; if AWS keeps it for that, take it away"


def holdings(site: Site, plan: Plan) -> list[Holding]:
    """What holds data among all that would go."""
    return [item for region in plan.regions for item in _region(site, region)]


def _region(site: Site, region: RegionPlan) -> Iterator[Holding]:
    going = {change.address for change in region.changes if change.action == "delete"}
    known = knowing.read(site, region.region)
    things = [thing for thing in known.things if thing.address in going]
    for thing in things:
        if thing.type == "aws_efs_file_system":
            yield _file_system(site, known, thing)
        elif thing.type == "aws_s3_bucket":
            counted = buckets.count(site.session, region.region, thing.id)
            yield Holding(
                region.region, title(thing.address), "s3", thing.id, counted.bytes, counted.objects, counted.more
            )
        elif thing.type == "aws_instance":
            disk = sum(int(block.get("volume_size") or 0) for block in thing.values.get("root_block_device") or [])
            yield Holding(region.region, title(thing.address), "disk", thing.id, disk * GB)
    yield from _pools(site, known, [thing for thing in things if thing.type == "aws_autoscaling_group"])


def _file_system(site: Site, known: Known, thing: Thing) -> Holding:
    from botocore.exceptions import ClientError

    from infra.cloud.aws import code_of

    size = None
    with translated("elasticfilesystem:DescribeFileSystems", known.region, site.session.profile):
        try:
            said = site.session.client("efs", known.region).describe_file_systems(FileSystemId=thing.id)["FileSystems"]
            size = int(said[0]["SizeInBytes"]["Value"]) if said else 0
        except ClientError as error:
            if code_of(error) != "FileSystemNotFound":
                raise
            size = 0
    return Holding(known.region, title(thing.address), "efs", thing.id, size)


def _pools(site: Site, known: Known, groups: Sequence[Thing]) -> Iterator[Holding]:
    """Pools with machines: what is on their disks goes with them."""
    if not groups:
        return
    names = {str(thing.values.get("name")): thing for thing in groups}
    with translated("autoscaling:DescribeAutoScalingGroups", known.region, site.session.profile):
        pages = site.session.client("autoscaling", known.region).get_paginator("describe_auto_scaling_groups")
        for page in pages.paginate():
            for item in page["AutoScalingGroups"]:
                thing = names.get(item["AutoScalingGroupName"])
                if thing is not None and item["Instances"]:
                    yield Holding(known.region, title(thing.address), "pool", thing.id, objects=len(item["Instances"]))


def refuse_full_buckets(found: Sequence[Holding]) -> None:
    """Raise Refused, before anything is touched, for buckets with something in them."""
    full = [item for item in found if item.blocks]
    if not full:
        return
    problems = [
        Problem(
            f"the bucket {item.id} is not empty: {'over ' if item.more else ''}{item.objects} objects and versions",
            where=f"{item.region}: {item.title}",
            why="a bucket is removed only when nothing is in it; nothing was touched",
            fix=f"save what you need (aws s3 sync s3://{item.id} DIR), then: infra destroy --delete-data, which "
            "deletes every object and every version; or keep the bucket: infra destroy --only with the other parts",
            rule="Refused",
        )
        for item in full
    ]
    raise Refused(problems[0].what, problems=problems)


def refuse_other_name(given: str, cluster: str) -> None:
    """Raise Refused unless the cluster's name was typed."""
    if given.strip() != cluster:
        raise Refused(
            f"not destroyed: {given.strip()!r} is not the name of this cluster",
            where="--yes-i-mean",
            why="nothing was touched",
            fix=f"type {cluster} when asked, or: infra destroy --yes-i-mean {cluster}",
        )


def empty_buckets(site: Site, found: Sequence[Holding]) -> list[str]:
    """Delete every object and version of the buckets that have any; a sentence for each."""
    said = []
    for item in found:
        if item.blocks:
            count = buckets.empty(site.session, item.region, item.id, site.cancel)
            said.append(f"{item.region}: emptied the bucket {item.id}: {count} objects and versions deleted")
    return said


def left(site: Site, regions: Sequence[str]) -> list[Left]:
    """What the regions still have, and what is between them and anything: in the state, and in AWS with our tag."""
    found = []
    for region in (*regions, *([LINKS] if regions and knowing.has_links(site) else ())):
        known = knowing.read(site, region)
        unknown, gaps = strays.find(site.session, region, site.cluster.cluster, known, sorted(site.ends))
        site.notes += gaps
        names = tuple(f"{stray.kind} {stray.id}" for stray in unknown)
        things = [item for item in known.things if region != LINKS or {*sides(item.address)} & {*regions}]
        found.append(Left(region, tuple(title(thing.address) for thing in things), names))
    return found


def forget(site: Site, plan: Plan) -> list[str]:
    """Sentences on what a control plane that the plan destroyed had left in SSM, and is removed now: a later cluster of
    the same name would join by it."""
    gone = [change for region in plan.regions for change in region.changes if change.action == "delete"]
    if not any(change.address.startswith(joining.PLANE) for change in gone):
        return []
    names = parameters.forget(site.session, site.cluster.cluster)
    return [f"removed {len(names)} parameters from SSM, by which machines joined: {', '.join(names)}"] if names else []


def stays(site: Site) -> list[str]:
    """Sentences on what is ours and is left on purpose."""
    found = []
    if state := site.cluster.state.s3:
        found.append(
            f"the state's bucket s3://{state.bucket} stays: it holds the records, and maybe other clusters' states"
        )
    if any(profile.run_list for profile in site.cluster.profiles.values()):
        found.append("images stay, with their pointers and policies: infra image prune removes what nothing needs")
    backed = [name for name, item in site.cluster.storage.items() if item.efs is not None and item.efs.backup]
    if backed and site.line.major >= 6:
        found.append(
            f"backups of {', '.join(backed)} stay in AWS Backup's vault aws/efs/automatic-backup-vault until they "
            "expire (35 days)"
        )
    return found
