"""How an Auto Scaling group of the embedded AWS behaves: bounds, zones, launches, terminations, updates."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any, NamedTuple

from infra.local import supply

ACTIVITIES_KEPT = 500


def error(code: str, message: str) -> Exception:
    from moto.autoscaling.exceptions import AutoscalingClientError

    found: Exception = AutoscalingClientError(code, message)
    return found


def require(backend: Any, name: str) -> Any:
    if name not in backend.autoscaling_groups:
        raise error("ValidationError", f"AutoScalingGroup name not found - AutoScalingGroup {name} not found")
    return backend.autoscaling_groups[name]


def group_of(backend: Any, instance_id: str) -> Any:
    """The group that an instance belongs to, or None."""
    for group in backend.autoscaling_groups.values():
        if any(state.instance.id == instance_id for state in group.instance_states):
            return group
    return None


def check_bounds(minimum: int, maximum: int, desired: int) -> None:
    """Raise AWS's ValidationError unless minimum <= desired <= maximum."""
    if minimum > maximum:
        raise error("ValidationError", f"Max bound, {maximum}, must be greater than or equal to min bound, {minimum}")
    if not minimum <= desired <= maximum:
        raise error(
            "ValidationError",
            f"Desired capacity:{desired} must be between the specified min size:{minimum} and max size:{maximum}",
        )


def plain_template(group: Any) -> dict[str, Any] | None:
    """The group's own LaunchTemplate; a group with a mixed-instances policy has none beside it."""
    if group.ec2_launch_template is None or group.mixed_instances_policy:
        return None
    template = group.ec2_launch_template
    shown = {"LaunchTemplateId": template.id, "LaunchTemplateName": template.name}
    version = getattr(group, "provided_launch_template_version", None)
    return shown | ({"Version": version} if version else {})


def update(backend: Any, request: dict[str, Any], members: dict[str, str]) -> None:
    """UpdateAutoScalingGroup: check everything first, then change only what the request names."""
    group = require(backend, request["AutoScalingGroupName"])
    minimum = int(request.get("MinSize", group.min_size))
    maximum = int(request.get("MaxSize", group.max_size))
    desired = request.get("DesiredCapacity")
    desired = int(desired) if desired is not None else min(max(group.desired_capacity, minimum), maximum)
    check_bounds(minimum, maximum, desired)
    _set_source(group, request)
    group._set_azs_and_vpcs(request.get("AvailabilityZones") or [], request.get("VPCZoneIdentifier"), update=True)
    group.min_size, group.max_size = minimum, maximum
    if request.get("HealthCheckGracePeriod") is not None:
        group.health_check_grace_period = int(request["HealthCheckGracePeriod"])
    if request.get("HealthCheckType"):
        group.health_check_type = request["HealthCheckType"]
    if request.get("NewInstancesProtectedFromScaleIn") is not None:
        group.new_instances_protected_from_scale_in = request["NewInstancesProtectedFromScaleIn"]
    for member, attribute in members.items():
        if request.get(member) is not None:
            setattr(group, attribute, request[member])
    group.set_desired_capacity(desired)


def _set_source(group: Any, request: dict[str, Any]) -> None:
    """What instances are launched from: exactly one of three ways, and each drops the two others."""
    configuration = request.get("LaunchConfigurationName")
    template, mixed = request.get("LaunchTemplate"), request.get("MixedInstancesPolicy")
    if sum(bool(source) for source in (configuration, template, mixed)) > 1:
        raise error(
            "ValidationError",
            "Valid requests must contain either LaunchTemplate, LaunchConfigurationName or MixedInstancesPolicy "
            "parameter.",
        )
    if mixed and group.mixed_instances_policy and "LaunchTemplate" not in mixed:
        mixed = {"LaunchTemplate": group.mixed_instances_policy["LaunchTemplate"]} | mixed
    if mixed:
        mixed.setdefault("InstancesDistribution", (group.mixed_instances_policy or {}).get("InstancesDistribution", {}))
        group.provided_launch_template_version = None
    if configuration or template or mixed:
        group.mixed_instances_policy = mixed or None
        group.launch_config = group.launch_configuration_name = None
        group.ec2_launch_template = None
        group._set_launch_configuration(configuration, template or {}, mixed)


def reconcile(group: Any) -> None:
    """Launch or terminate until the group has its desired capacity; weights of the instance types count."""
    capacity = sum(_weight(group, state.instance.instance_type) for state in _serving(group))
    desired = group.desired_capacity or 0
    if capacity < desired:
        overrides = _overrides(group)
        weight = _weight(group, overrides[0].get("InstanceType", "")) if overrides else 1
        launch(group, -(-(desired - capacity) // weight), f"the group's desired capacity is {desired}")
    elif capacity > desired:
        _shrink(group, capacity - desired)
    backend = group.autoscaling_backend
    if group.name in backend.autoscaling_groups:
        backend.update_attached_elbs(group.name)
        backend.update_attached_target_groups(group.name)


def launch(group: Any, count: int, cause: str) -> None:
    """Launch ``count`` instances, each in the zone that has fewest. EC2's refusal becomes AWS's ValidationError;
    where there is no capacity the next type is tried, then the next zone, and in the end the group waits."""
    for _ in range(count):
        if not _launch_one(group, cause):
            supply.refused(group)
            return


def _launch_one(group: Any, cause: str) -> bool:
    from moto.core.exceptions import ServiceException
    from moto.ec2.exceptions import EC2ClientError

    mixed = bool(group.mixed_instances_policy)
    for place in _places(group):
        first: supply.Lack | None = None
        for override in _overrides(group) or [{}]:
            request = _request(group, override, place)
            try:
                lack = _lack(group, request, place)
                if lack is None:
                    _launch_in(group, request, cause)
                    return True
            except (EC2ClientError, ServiceException) as refusal:
                text = getattr(refusal, "message", "") or str(refusal)
                record(group, "Launching a new EC2 instance", cause, status="Failed", message=text)
                raise error(
                    "ValidationError", f"You must use a valid fully-formed launch template. {text}"
                ) from refusal
            first = first or lack
        if first is not None:
            market = "Spot" if _spot(request) else "On-Demand"
            named = f"Could not launch {market} Instances. {first.code} - " if mixed else ""
            text = f"{named}{first.message} Launching EC2 instance failed."
            words = f"Launching a new EC2 instance.  Status Reason: {text}"
            record(group, words, cause, status="Failed", message=text, place=place)
    return False


def _lack(group: Any, request: dict[str, Any], place: Place) -> supply.Lack | None:
    from infra.local import moto_ec2_launch

    if not supply.rules().limits:
        return None
    merged, _version = moto_ec2_launch.merge(group.ec2_backend, request)
    kind, mixed = str(merged.get("InstanceType") or "m1.small"), bool(group.mixed_instances_policy)
    return supply.lack(group.ec2_backend, kind, place.zone, _spot(merged), mixed)


def _spot(request: dict[str, Any]) -> bool:
    return (request.get("InstanceMarketOptions") or {}).get("MarketType") == "spot"


def _launch_in(group: Any, request: dict[str, Any], cause: str) -> None:
    from moto.autoscaling.models import InstanceState

    from infra.local import moto_ec2_launch

    _merged, version = moto_ec2_launch.merge(group.ec2_backend, request)
    instance = moto_ec2_launch.launch(group.ec2_backend, request, 1).instances[0]
    if version is not None:
        template = version.template
        instance.launched_from = {
            "LaunchTemplateId": template.id,
            "LaunchTemplateName": template.name,
            "Version": str(version.number),
        }
    instance.autoscaling_group = group
    protected = bool(group.new_instances_protected_from_scale_in)
    state = InstanceState(instance, protected_from_scale_in=protected)
    group.instance_states.append(state)
    activity = record(group, f"Launching a new EC2 instance: {instance.id}", cause, instance)
    if instance._state.name == "pending":
        state.lifecycle_state = "Pending"
        activity |= {"StatusCode": "PreInService", "Progress": 30, "EndTime": None}


def in_service(group: Any, state: Any) -> None:
    """A pending instance runs now: it serves, and its activity is done."""
    from moto.core.utils import utcnow

    state.lifecycle_state = "InService"
    for activity in group.activities:
        if activity["StatusCode"] == "PreInService" and activity["Description"].endswith(state.instance.id):
            activity |= {"StatusCode": "Successful", "Progress": 100, "EndTime": utcnow()}


def terminate(group: Any, states: list[Any], cause: str) -> None:
    """Terminate instances of the group (no replacement here)."""
    if not states:
        return
    group.ec2_backend.terminate_instances([state.instance.id for state in states])
    group.instance_states = [state for state in group.instance_states if state not in states]
    for state in states:
        record(group, f"Terminating EC2 instance: {state.instance.id}", cause, state.instance)


def record(
    group: Any,
    description: str,
    cause: str,
    instance: Any = None,
    status: str = "Successful",
    message: str | None = None,
    place: Place | None = None,
) -> dict[str, Any]:
    """Note a scaling activity, as DescribeScalingActivities shows it; the entry is returned."""
    from moto.core.utils import utcnow
    from moto.moto_api._internal import mock_random

    now: datetime = utcnow()
    details = {}
    if instance is not None:
        details = {"Subnet ID": instance.subnet_id, "Availability Zone": instance.availability_zone}
    elif place is not None:
        subnet = {"Subnet ID": place.subnet} if place.subnet else {}
        details = {**subnet, "Availability Zone": place.zone}
    entry = {
        "ActivityId": str(mock_random.uuid4()),
        "AutoScalingGroupName": group.name,
        "AutoScalingGroupARN": group.arn,
        "Description": description,
        "Cause": f"At {now:%Y-%m-%dT%H:%M:%SZ} {cause}.",
        "StartTime": now,
        "EndTime": now,
        "StatusCode": status,
        "StatusMessage": message,
        "Progress": 100,
        "Details": json.dumps(details),
    }
    group.activities.append(entry)
    del group.activities[:-ACTIVITIES_KEPT]
    return entry


def _shrink(group: Any, surplus: int) -> None:
    """Out of the fullest zone, the oldest first; protected instances stay."""
    chosen: list[Any] = []
    left = _serving(group)
    while surplus > 0:
        zones: dict[str, list[Any]] = {}
        for state in left:
            if state not in chosen:
                zones.setdefault(state.instance.availability_zone, []).append(state)
        free = {z: [s for s in states if not s.protected_from_scale_in] for z, states in zones.items()}
        candidates = [(-len(zones[zone]), zone) for zone, states in free.items() if states]
        if not candidates:
            break
        state = free[min(candidates)[1]][0]
        weight = _weight(group, state.instance.instance_type)
        if weight > surplus:
            break
        chosen.append(state)
        surplus -= weight
    terminate(group, chosen, f"the group's desired capacity is {group.desired_capacity}")


def _serving(group: Any) -> list[Any]:
    """What counts towards the desired capacity: in service, or on the way."""
    return [state for state in group.instance_states if state.lifecycle_state in ("InService", "Pending")]


def _request(group: Any, override: dict[str, Any], place: Place) -> dict[str, Any]:
    """The RunInstances request for one more instance."""
    request: dict[str, Any] = {"TagSpecifications": [{"ResourceType": "instance", "Tags": _instance_tags(group)}]}
    if group.ec2_launch_template is not None:
        request["LaunchTemplate"] = {
            "LaunchTemplateId": group.ec2_launch_template.id,
            "Version": group.launch_template_version,
        }
    else:
        request |= _from_configuration(group.launch_config)
    if override:
        request["InstanceType"] = override.get("InstanceType")
        specific = override.get("LaunchTemplateSpecification")
        if specific:
            request["LaunchTemplate"] = specific
    if group.mixed_instances_policy:
        request["InstanceMarketOptions"] = {"MarketType": "spot"} if _next_is_spot(group) else None
    placement: dict[str, Any] = {}
    if place.subnet:
        request["SubnetId"] = place.subnet
    else:
        placement["AvailabilityZone"] = place.zone
    if group.placement_group:
        placement["GroupName"] = group.placement_group
    if placement:
        request["Placement"] = placement
    return request


def _from_configuration(configuration: Any) -> dict[str, Any]:
    return {
        "ImageId": configuration.image_id,
        "InstanceType": configuration.instance_type,
        "KeyName": configuration.key_name,
        "UserData": configuration.user_data,
        "SecurityGroupIds": configuration.security_groups,
        "BlockDeviceMappings": configuration.block_device_mapping_dict,
        "IamInstanceProfile": _profile(configuration.iam_instance_profile),
        "MetadataOptions": configuration.metadata_options,
    }


def _profile(value: str | None) -> dict[str, str] | None:
    if not value:
        return None
    return {"Arn": value} if value.startswith("arn:") else {"Name": value}


def _instance_tags(group: Any) -> list[dict[str, str]]:
    tags = group.get_propagated_tags() | {"aws:autoscaling:groupName": group.name}
    return [{"Key": key, "Value": value} for key, value in tags.items()]


class Place(NamedTuple):
    """Where an instance may go: a zone, and the subnet in it ("" where the group names zones alone)."""

    zone: str
    subnet: str = ""


def _places(group: Any) -> list[Place]:
    """One for each zone: the zone with fewest first, and in it the subnet with fewest."""
    if not group.vpc_zone_identifier:
        return [Place(zone) for zone in sorted(group.availability_zones, key=lambda z: (_in_zone(group, z), z))]
    subnets = [group.ec2_backend.get_subnet(identity) for identity in group.vpc_zone_identifier.split(",")]
    here = [state.instance for state in group.instance_states]

    def load(subnet: Any) -> tuple[int, int, str]:
        in_subnet = sum(instance.subnet_id == subnet.id for instance in here)
        return _in_zone(group, subnet.availability_zone), in_subnet, subnet.availability_zone

    best: dict[str, Place] = {}
    for subnet in sorted(subnets, key=load):
        best.setdefault(subnet.availability_zone, Place(subnet.availability_zone, subnet.id))
    return list(best.values())


def _in_zone(group: Any, zone: str) -> int:
    return sum(state.instance.availability_zone == zone for state in group.instance_states)


def _overrides(group: Any) -> list[dict[str, Any]]:
    found = ((group.mixed_instances_policy or {}).get("LaunchTemplate") or {}).get("Overrides") or []
    return [override for override in found if override.get("InstanceType")]


def _weight(group: Any, instance_type: str) -> int:
    for override in _overrides(group):
        if override["InstanceType"] == instance_type:
            return max(int(override.get("WeightedCapacity") or 1), 1)
    return 1


def _next_is_spot(group: Any) -> bool:
    """On-demand up to the base, then by the percentage above it."""
    distribution = group.mixed_instances_policy.get("InstancesDistribution") or {}
    base = int(distribution.get("OnDemandBaseCapacity") or 0)
    share = distribution.get("OnDemandPercentageAboveBaseCapacity")
    percent = 100 if share is None else int(share)
    on_demand = sum(getattr(s.instance, "lifecycle", None) != "spot" for s in group.instance_states)
    above = len(group.instance_states) + 1 - base
    return above > 0 and (on_demand - base) * 100 >= above * percent
