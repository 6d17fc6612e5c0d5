"""The Auto Scaling groups that are the autoscaler's, in all regions: ``infra.autoscale.ports.Cloud`` by boto3.

Groups are found by their tag. What is asked of AWS in one look, per region: the groups (a page of 100), their machines
(200 a call), and only where it can tell something new: the activities of groups that lack machines, the spot requests
that AWS has marked for termination, and a launch template's version once.

A spot machine's two minutes' notice is told in three places: on the machine itself, as an EventBridge event, and as the
status of its spot request. Only the last needs neither an agent nor a queue, so that is where it is looked for. (The
earlier hint, the rebalance recommendation, is not to be had so; a group with capacity rebalancing acts on it itself.)

Wants: autoscaling:DescribeAutoScalingGroups, DescribeScalingActivities, SetDesiredCapacity and
TerminateInstanceInAutoScalingGroup; ec2:DescribeInstances, DescribeSpotInstanceRequests and
DescribeLaunchTemplateVersions.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from infra.autoscale.ports import Failure, Fleet, FleetId, Machine, Sight
from infra.cloud import fleet_reading as reading
from infra.cloud.aws import Limits, Session, code_of, translated, within
from infra.cloud.describing import Describing, Item
from infra.errors import CloudError, ExpiredCredentials, NoCredentials, Throttled

PATIENCE = Limits(3.0, 10.0, 3)
"""For the session of a loop that comes again soon."""
LOOK_DEADLINE = 30.0
KEPT = 3600.0  # seconds for which a failure is told
PAUSE, LONGEST_PAUSE = 10.0, 300.0
PAGE = 100
FEW = 3
MARKED = ("marked-for-termination", "marked-for-stop", "marked-for-hibernation")


@dataclass(slots=True)
class _Region:
    """What is remembered of a region between two looks; nothing of it is missed after a restart."""

    templates: dict[tuple[str, str], Item] = field(default_factory=dict)
    failures: dict[str, dict[str, Failure]] = field(default_factory=dict)
    wanting: set[str] = field(default_factory=set)
    known: set[str] = field(default_factory=set)
    seen: dict[str, float] = field(default_factory=dict)
    pause: float = 0.0
    quiet_until: float = 0.0


class Fleets:
    """See ``ports.Cloud``. ``cluster`` is the name in the groups' tag; the regions are looked at side by side.

    A region that throttles us is left alone for a while, twice as long each time: it is blind until then.
    """

    def __init__(
        self,
        session: Session,
        cluster: str,
        regions: Sequence[str],
        now: Callable[[], float] = time.time,
        deadline: float = LOOK_DEADLINE,
    ) -> None:
        self.session = session
        self.tag = reading.FOUND_BY + cluster
        self.regions = tuple(regions)
        self._now = now
        self._deadline = deadline
        self._of = {region: _Region() for region in self.regions}

    def look(self) -> Sight:
        """Raises NoCredentials or ExpiredCredentials: those are no region's fault."""
        self.session.client("autoscaling", self.regions[0])  # loads botocore once, before the threads would all do so
        with ThreadPoolExecutor(max(len(self.regions), 1), thread_name_prefix="fleets") as pool:
            found = dict(zip(self.regions, pool.map(self._try, self.regions), strict=True))
        fleets = [fleet for answer in found.values() if not isinstance(answer, str) for fleet in answer]
        blind = {region: answer for region, answer in found.items() if isinstance(answer, str)}
        return Sight(tuple(sorted(fleets, key=lambda fleet: fleet.id)), blind)

    def resize(self, fleet: FleetId, desired: int) -> None:
        self._of[fleet.region].wanting.add(fleet.name)
        with translated("autoscaling:SetDesiredCapacity", fleet, self.session.profile):
            self.session.client("autoscaling", fleet.region).set_desired_capacity(
                AutoScalingGroupName=fleet.name, DesiredCapacity=desired, HonorCooldown=False
            )

    def terminate(self, fleet: FleetId, machine: str) -> None:
        self._end(fleet, machine, decrement=True)

    def replace(self, fleet: FleetId, machine: str) -> None:
        self._end(fleet, machine, decrement=False)

    def _end(self, fleet: FleetId, machine: str, decrement: bool) -> None:
        """Protection from scale-in does not hold this up: it is for choices that the group makes by itself."""
        from botocore.exceptions import ClientError

        with translated("autoscaling:TerminateInstanceInAutoScalingGroup", fleet, self.session.profile):
            try:
                self.session.client("autoscaling", fleet.region).terminate_instance_in_auto_scaling_group(
                    InstanceId=machine, ShouldDecrementDesiredCapacity=decrement
                )
            except ClientError as error:
                if not _gone(error):
                    raise

    def _try(self, region: str) -> list[Fleet] | str:
        """The region's fleets, or why it is blind."""
        mind, now = self._of[region], self._now()
        if now < mind.quiet_until:
            return f"AWS throttled us there; it is asked again in {mind.quiet_until - now:.0f} s"
        try:
            found = within(self._deadline, f"{region} does not answer", lambda: self._region(region))
        except (NoCredentials, ExpiredCredentials):
            raise
        except Throttled as error:
            mind.pause = min(max(2 * mind.pause, PAUSE), LONGEST_PAUSE)
            mind.quiet_until = now + mind.pause
            return _why(error)
        except CloudError as error:
            return _why(error)
        mind.pause = mind.quiet_until = 0.0
        return found

    def _region(self, region: str) -> list[Fleet]:
        mind, eye = self._of[region], _Eye(self.session, region)
        groups = eye.groups(self.tag)
        ids = [str(member["InstanceId"]) for group in groups for member in group["Instances"]]
        instances = eye.instances(ids)
        spot = any(item.get("InstanceLifecycle") == "spot" for item in instances.values())
        marked = eye.marked() if spot else frozenset[str]()
        mind.seen = {name: mind.seen.get(name, self._now()) for name in ids}
        self._remember(mind, eye, groups)
        return [self._fleet(region, mind, eye, group, instances, marked) for group in groups]

    def _fleet(
        self, region: str, mind: _Region, eye: _Eye, group: Item, instances: Mapping[str, Item], marked: frozenset[str]
    ) -> Fleet:
        template = self._template(mind, eye, group)
        own = str(template.get("InstanceType") or "")
        machines: list[Machine] = []
        for member in group["Instances"]:
            name = str(member["InstanceId"])
            machines.append(reading.machine(member, instances.get(name), name in marked, mind.seen[name]))
        types = reading.types_of(group) or ((own,) if own else ())
        failures = mind.failures.get(str(group["AutoScalingGroupName"]), {}).values()
        return reading.fleet(region, group, types, reading.market_of(group, template), machines, failures)

    def _remember(self, mind: _Region, eye: _Eye, groups: Iterable[Item]) -> None:
        """Ask for activities of groups that lack machines now or did so last time, and once of each."""
        since = self._now() - KEPT
        here = {str(group["AutoScalingGroupName"]): group for group in groups}
        lacking = {name for name, group in here.items() if _lacks(group)}
        asked = (lacking | mind.wanting | (set(here) - mind.known)) & set(here)
        for item in eye.activities(sorted(asked), since):
            found = reading.failure(item)
            if found is not None:
                mind.failures.setdefault(str(item["AutoScalingGroupName"]), {})[found.id] = found
        mind.wanting, mind.known = lacking, set(here)
        mind.failures = {
            name: {key: one for key, one in mind.failures[name].items() if one.when >= since}
            for name in here
            if name in mind.failures
        }

    def _template(self, mind: _Region, eye: _Eye, group: Item) -> Item:
        """A numbered version never changes; ``$Latest`` and ``$Default`` do."""
        asked = reading.template_of(group)
        if asked is None or (reading.types_of(group) and group.get("MixedInstancesPolicy")):
            return {}
        name = str(asked.get("LaunchTemplateId") or asked.get("LaunchTemplateName"))
        version = str(asked.get("Version") or "$Default")
        if (name, version) not in mind.templates or version.startswith("$"):
            mind.templates[(name, version)] = eye.template(asked, version)
        return mind.templates[(name, version)]


class _Eye(Describing):
    """What a look asks beside."""

    __slots__ = ()

    def groups(self, tag: str) -> list[Item]:
        only = [{"Name": "tag-key", "Values": [tag]}]
        size = {"PageSize": PAGE}
        return self.pages(
            "autoscaling", "describe_auto_scaling_groups", "AutoScalingGroups", Filters=only, PaginationConfig=size
        )

    def marked(self) -> frozenset[str]:
        """The spot machines that AWS is about to take back."""
        only = [{"Name": "status-code", "Values": list(MARKED)}]
        items = self.pages("ec2", "describe_spot_instance_requests", "SpotInstanceRequests", Filters=only)
        return frozenset(str(item["InstanceId"]) for item in items if item.get("InstanceId"))

    def activities(self, groups: Sequence[str], since: float) -> list[Item]:
        """Of these groups, back to ``since``. A few are asked one by one; for many the whole region tells at once."""
        if len(groups) <= FEW:
            return [item for name in groups for item in self._activities(since, AutoScalingGroupName=name)]
        return [item for item in self._activities(since) if item["AutoScalingGroupName"] in groups]

    def _activities(self, since: float, **arguments: Any) -> list[Item]:
        """The newest come first."""
        from botocore.exceptions import ClientError

        found: list[Item] = []
        with translated("autoscaling:DescribeScalingActivities", self.region, self.session.profile):
            while True:
                try:
                    page = self.session.client("autoscaling", self.region).describe_scaling_activities(
                        MaxRecords=PAGE, **arguments
                    )
                except ClientError as error:
                    if code_of(error) != "ValidationError":  # the group is gone since
                        raise
                    return found
                fresh = [item for item in page["Activities"] if item["StartTime"].timestamp() >= since]
                found += fresh
                if not page.get("NextToken") or len(fresh) < len(page["Activities"]):
                    return found
                arguments["NextToken"] = page["NextToken"]

    def template(self, asked: Item, version: str) -> Item:
        named = {name: asked[name] for name in ("LaunchTemplateId", "LaunchTemplateName") if asked.get(name)}
        with translated("ec2:DescribeLaunchTemplateVersions", self.region, self.session.profile):
            said = self.session.client("ec2", self.region).describe_launch_template_versions(
                **dict(list(named.items())[:1]), Versions=[version]
            )
        data: Item = said["LaunchTemplateVersions"][0]["LaunchTemplateData"]
        return data


def _lacks(group: Item) -> bool:
    serving = [member for member in group["Instances"] if member["LifecycleState"] == "InService"]
    return int(group["DesiredCapacity"]) > len(serving)


def _gone(error: Exception) -> bool:
    message = str(error)
    return code_of(error) == "ValidationError" and ("not found" in message or "No managed instance" in message)


def _why(error: CloudError) -> str:
    problem = error.problems[0]
    return f"{problem.what}: {problem.why}" if problem.why else problem.what
