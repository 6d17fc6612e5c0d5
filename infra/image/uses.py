"""Where images are in use: Auto Scaling groups, launch templates, launch configurations and instances, of anybody."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from typing import Any

from infra.cloud.aws import Session, translated

AT_ONCE = 8
LIVING = ["pending", "running", "stopping", "stopped", "shutting-down"]
GROUP = "aws:autoscaling:groupName"
NEWEST, DEFAULT = "$Latest", "$Default"

Item = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Use:
    """``kind``: ``pool`` or ``group`` (an Auto Scaling group of ours or of somebody's), ``template``, ``host``,
    ``instance``. ``count``: machines that run from the image.
    """

    image: str
    region: str
    kind: str
    name: str
    count: int = 0

    @property
    def text(self) -> str:
        """``pool gpu (4 machines)``."""
        machines = f" ({self.count} {'machine' if self.count == 1 else 'machines'})" if self.count else ""
        return f"{self.kind} {self.name}{machines}"

    def data(self) -> dict[str, Any]:
        return asdict(self)


def uses(session: Session, regions: Sequence[str]) -> list[Use]:
    """Every use of every image of any owner in these regions, by region, kind and name."""
    if not regions:
        return []
    session.client("ec2", regions[0])
    with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="uses") as pool:
        found = [use for part in pool.map(lambda region: _region(session, region), regions) for use in part]
    return sorted(found, key=lambda use: (use.region, use.kind, use.name, use.image))


def of_image(found: Iterable[Use], region: str, ident: str) -> list[Use]:
    return [use for use in found if (use.region, use.image) == (region, ident)]


def _region(session: Session, region: str) -> list[Use]:
    groups = _pages(session, region, "autoscaling", "describe_auto_scaling_groups", "AutoScalingGroups")
    instances = _instances(session, region)
    found = {(use.kind, use.name, use.image): use for use in _of_instances(region, instances)}
    for group in groups:
        kind, name = _named(group["AutoScalingGroupName"], _tags(group.get("Tags")))
        for image in _of_group(session, region, group):
            found.setdefault((kind, name, image), Use(image, region, kind, name))
    known = {use.image for use in found.values()}
    for version in _newest_templates(session, region):
        image, name = version["LaunchTemplateData"].get("ImageId", ""), version["LaunchTemplateName"]
        if image and image not in known:
            found.setdefault(("template", name, image), Use(image, region, "template", name))
    return list(found.values())


def _of_instances(region: str, instances: Iterable[Item]) -> Iterable[Use]:
    counts: dict[tuple[str, str, str], int] = {}
    for item in instances:
        marks = _tags(item.get("Tags"))
        kind, name = "instance", item["InstanceId"]
        if group := marks.get(GROUP):
            kind, name = _named(group, marks)
        elif host := marks.get("infra:host"):
            kind, name = "host", host
        key = (kind, name, item.get("ImageId", ""))
        counts[key] = counts.get(key, 0) + 1
    return [Use(image, region, kind, name, count) for (kind, name, image), count in counts.items()]


def _named(group: str, marks: Mapping[str, str]) -> tuple[str, str]:
    pool = marks.get("infra:pool")
    return ("pool", pool) if pool else ("group", group)


def _of_group(session: Session, region: str, group: Item) -> set[str]:
    """The images of every template that the group may start machines from."""
    mixed = group.get("MixedInstancesPolicy", {}).get("LaunchTemplate", {})
    templates = [group.get("LaunchTemplate"), mixed.get("LaunchTemplateSpecification")]
    templates += [item.get("LaunchTemplateSpecification") for item in mixed.get("Overrides", ())]
    found = {override["ImageId"] for override in mixed.get("Overrides", ()) if override.get("ImageId")}
    for template in templates:
        if template:
            found |= _of_template(session, region, template)
    if name := group.get("LaunchConfigurationName"):
        items = _pages(
            session,
            region,
            "autoscaling",
            "describe_launch_configurations",
            "LaunchConfigurations",
            LaunchConfigurationNames=[name],
        )
        found |= {item["ImageId"] for item in items if item.get("ImageId")}
    return found


def _of_template(session: Session, region: str, reference: Item) -> set[str]:
    from botocore.exceptions import ClientError

    from infra.cloud.aws import code_of

    named = {"LaunchTemplateId": reference.get("LaunchTemplateId")}
    if not named["LaunchTemplateId"]:
        named = {"LaunchTemplateName": reference.get("LaunchTemplateName")}
    version = str(reference.get("Version") or DEFAULT)
    with translated("ec2:DescribeLaunchTemplateVersions", region, session.profile):
        try:
            said = session.client("ec2", region).describe_launch_template_versions(**named, Versions=[version])
        except ClientError as error:
            if code_of(error).startswith("InvalidLaunchTemplate"):
                return set()  # deleted under the group: it can start nothing
            raise
    found = (item["LaunchTemplateData"].get("ImageId", "") for item in said["LaunchTemplateVersions"])
    return {image for image in found if image}


def _newest_templates(session: Session, region: str) -> list[Item]:
    """The newest and the default version of every template: anybody may start a machine from them."""
    return _pages(
        session,
        region,
        "ec2",
        "describe_launch_template_versions",
        "LaunchTemplateVersions",
        Versions=[NEWEST, DEFAULT],
        PaginationConfig={"PageSize": 200},
    )


def _instances(session: Session, region: str) -> list[Item]:
    living = [{"Name": "instance-state-name", "Values": LIVING}]
    found = _pages(session, region, "ec2", "describe_instances", "Reservations", Filters=living)
    return [item for reservation in found for item in reservation["Instances"]]


def _pages(session: Session, region: str, service: str, operation: str, key: str, **how: Any) -> list[Item]:
    words = "".join(word.capitalize() for word in operation.split("_"))
    with translated(f"{service}:{words}", region, session.profile):
        pages = session.client(service, region).get_paginator(operation)
        return [item for page in pages.paginate(**how) for item in page[key]]


def _tags(pairs: Any) -> dict[str, str]:
    return {str(pair["Key"]): str(pair["Value"]) for pair in pairs or ()}
