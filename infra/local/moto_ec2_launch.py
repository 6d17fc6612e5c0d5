"""Launching EC2 instances: one way for RunInstances and Auto Scaling, in which all of a launch template counts.

moto reads a few members of the template in one place and others elsewhere, and drops the rest: metadata options,
network interfaces, instance profile, placement group, volume settings. Here the template and the request are merged
first, as EC2 does it, and the result is launched.
"""

from __future__ import annotations

import copy
from typing import Any

from infra.local import supply
from infra.local.extensions import put, wrap

Request = dict[str, Any]
"""RunInstances' parameters, or a part of them, named as in the API."""

PLAIN = {
    "InstanceLifecycle": "instance_lifecycle",
    "CapacityReservationSpecification": "capacity_reservation_specification",
    "CpuOptions": "cpu_options",
    "EnclaveOptions": "enclave_options",
    "MaintenanceOptions": "maintenance_options",
    "PrivateDnsNameOptions": "private_dns_name_options",
}
"""Members of the request that an instance shows as they came."""


def _named(profile: dict[str, str] | None) -> dict[str, str]:
    """What names an instance profile. AWS takes an empty name, as Packer sends it, for none."""
    return {key: value for key, value in (profile or {}).items() if value}


def launch(backend: Any, request: Request, count: int) -> Any:
    """Launch ``count`` instances as RunInstances would (``request`` has the API's names); returns the reservation.

    Whether there is capacity for them is the caller's to ask.
    """
    merged, template = merge(backend, request)
    check(backend, merged)
    image = _image(backend, merged.get("ImageId"))
    interfaces = _interfaces(backend, merged)
    subnet = interfaces[0].get("SubnetId")
    groups = interfaces[0].pop("Groups", None) or merged.get("SecurityGroupIds") or []
    reservation = backend.run_instances_of_moto(
        merged.get("ImageId") or "",
        count,
        merged.get("UserData"),
        merged.get("SecurityGroups") or [],
        instance_type=merged.get("InstanceType") or "m1.small",
        is_instance_type_default=not merged.get("InstanceType"),
        region_name=backend.region_name,
        placement=None if subnet else (merged.get("Placement") or {}).get("AvailabilityZone"),
        placement_hostid=(merged.get("Placement") or {}).get("HostId"),
        subnet_id=subnet,
        key_name=merged.get("KeyName"),
        security_group_ids=list(groups),
        nics=interfaces,
        private_ip=merged.get("PrivateIpAddress"),
        associate_public_ip=interfaces[0].get("AssociatePublicIpAddress"),
        ebs_optimized=bool(merged.get("EbsOptimized")),
        disable_api_stop=bool(merged.get("DisableApiStop")),
        disable_api_termination=bool(merged.get("DisableApiTermination")),
        instance_initiated_shutdown_behavior=merged.get("InstanceInitiatedShutdownBehavior"),
        hibernation_options=merged.get("HibernationOptions") or {},
        monitoring_state="enabled" if (merged.get("Monitoring") or {}).get("Enabled") else "disabled",
        metadata_options=merged.get("MetadataOptions") or {},
        client_token=merged.get("ClientToken", ""),
        block_device_mappings=_block_devices(merged, image),
    )
    for instance in reservation.instances:
        _finish(backend, instance, merged, template, interfaces)
        supply.launched(instance)
    return reservation


def affordable(backend: Any, merged: Request, least: int, most: int) -> int:
    """How many of ``most`` there is capacity for. Raises EC2's error when it is less than ``least``."""
    from moto.ec2.exceptions import EC2ClientError

    if not supply.rules().limits:
        return most
    subnet = _interfaces(backend, merged)[0].get("SubnetId")
    zone = backend.get_subnet(subnet).availability_zone if subnet else ""
    zone = zone or (merged.get("Placement") or {}).get("AvailabilityZone") or f"{backend.region_name}a"
    spot = (merged.get("InstanceMarketOptions") or {}).get("MarketType") == "spot"
    lack = supply.lack(backend, merged.get("InstanceType") or "m1.small", zone, spot, more=least)
    if lack is not None:
        raise EC2ClientError(lack.code, lack.message)
    count = least
    while count < most and not supply.lack(
        backend, merged.get("InstanceType") or "m1.small", zone, spot, more=count + 1
    ):
        count += 1
    return count


def merge(backend: Any, request: Request) -> tuple[dict[str, Any], Any]:
    """The request over the template that it names, and that template's version (None without one)."""
    reference = request.get("LaunchTemplate")
    own = {k: v for k, v in request.items() if v is not None and k != "LaunchTemplate"}
    if not reference:
        return copy.deepcopy(own), None
    version = backend._get_template_from_args({k: v for k, v in reference.items() if v})
    data = copy.deepcopy(version.data)
    tags = _tags(data)
    for kind, values in _tags(own).items():
        tags.setdefault(kind, {}).update(values)
    for member in ("MetadataOptions", "Placement"):
        if data.get(member) and own.get(member):
            own[member] = data[member] | own[member]
    if "NetworkInterfaces" in data and "SubnetId" in own:  # Auto Scaling and Fleet put the subnet into the interfaces
        for interface in data["NetworkInterfaces"]:
            interface.setdefault("SubnetId", own["SubnetId"])
        own = {k: v for k, v in own.items() if k != "SubnetId"}
    specifications = [
        {"ResourceType": kind, "Tags": [{"Key": k, "Value": v} for k, v in values.items()]}
        for kind, values in tags.items()
    ]
    return data | own | {"TagSpecifications": specifications}, version


def check(backend: Any, merged: Request) -> None:
    """Raise the EC2 error of whatever the merged request names and does not exist."""
    from moto.ec2.exceptions import InvalidKeyPairNameError, InvalidSecurityGroupNotFoundError
    from moto.ec2.utils import filter_iam_instance_profiles

    from infra.local import moto_ec2_placement

    if merged.get("KeyName") and merged["KeyName"] not in backend.key_pairs:
        raise InvalidKeyPairNameError([merged["KeyName"]])
    group = (merged.get("Placement") or {}).get("GroupName")
    if group:
        moto_ec2_placement.require(backend, group)
    profile = _named(merged.get("IamInstanceProfile"))
    if profile:
        filter_iam_instance_profiles(backend.account_id, backend.partition, profile.get("Arn"), profile.get("Name"))
    groups = list(merged.get("SecurityGroupIds") or [])
    for interface in merged.get("NetworkInterfaces") or []:
        groups += interface.get("Groups") or []
    for identity in groups:
        if backend.get_security_group_from_id(identity) is None:
            raise InvalidSecurityGroupNotFoundError(identity)


def _image(backend: Any, identity: str | None) -> Any:
    return backend.amis.get(identity)


def _tags(data: dict[str, Any]) -> dict[str, dict[str, str]]:
    from moto.ec2.utils import convert_tag_spec

    tags: dict[str, dict[str, str]] = convert_tag_spec(data.get("TagSpecifications") or [])
    return tags


def _interfaces(backend: Any, merged: Request) -> list[Request]:
    """The network interfaces to make. There is always a first one; made at launch, they go at termination."""
    found = merged.get("NetworkInterfaces") or [{"SubnetId": merged.get("SubnetId")}]
    interfaces = [{k: v for k, v in entry.items() if v is not None} for entry in found]
    for position, entry in enumerate(interfaces):
        entry["ShownDeviceIndex"] = int(entry.get("DeviceIndex", position))
        entry["DeviceIndex"] = position  # moto knows one network card only; see _finish
        if "NetworkInterfaceId" in entry:
            existing = backend.get_network_interface(entry["NetworkInterfaceId"])
            entry["SubnetId"] = existing.subnet.id
            entry.setdefault("Groups", [group.id for group in existing.group_set])
        else:
            entry.setdefault("DeleteOnTermination", True)
    first = interfaces[0]
    if "SubnetId" not in first:
        zone = (merged.get("Placement") or {}).get("AvailabilityZone")
        default = backend.get_default_subnets()
        chosen = default.get(zone) if zone else next((default[z] for z in sorted(default)), None)
        if chosen is not None:
            first["SubnetId"] = chosen.id
    for entry in interfaces[1:]:
        entry.setdefault("SubnetId", first.get("SubnetId"))
    return interfaces


def _block_devices(merged: Request, image: Any) -> list[Request]:
    """The image's disks, each overridden by what the request says of the same device; then the request's own."""
    devices: dict[str, dict[str, Any]] = {}
    base = image.block_device_mappings if image is not None else [{"DeviceName": "/dev/sda1", "Ebs": {"VolumeSize": 8}}]
    for mapping in [*copy.deepcopy(base), *(merged.get("BlockDeviceMappings") or [])]:
        name = mapping["DeviceName"]
        if mapping.get("NoDevice") is not None:
            devices.pop(name, None)
        elif mapping.get("Ebs") is not None:
            own = {k: v for k, v in mapping["Ebs"].items() if v is not None}
            devices[name] = devices.get(name, {"DeleteOnTermination": True}) | own
    for disk in devices.values():
        disk.setdefault("VolumeType", "gp2")
        if "SnapshotId" in disk and disk.get("VolumeSize"):
            del disk["SnapshotId"]  # moto refuses to launch from a snapshot whose volume is gone
    return [{"DeviceName": name, "Ebs": disk, "NoDevice": None} for name, disk in devices.items()]


def _finish(backend: Any, instance: Any, merged: Request, template: Any, interfaces: list[Request]) -> None:
    tags = _tags(merged)
    instance.add_tags(tags.get("instance", {}))
    if template is not None:
        instance.add_tags(
            {
                "aws:ec2launchtemplate:id": template.template.id,
                "aws:ec2launchtemplate:version": str(template.number),
            }
        )
    placement = merged.get("Placement") or {}
    instance.placement.group_name = placement.get("GroupName") or ""
    instance.placement.tenancy = placement.get("Tenancy") or "default"
    instance.placement.partition_number = placement.get("PartitionNumber")
    instance.ena_support = True
    if (merged.get("InstanceMarketOptions") or {}).get("MarketType") == "spot":
        instance.lifecycle = "spot"
    for member, attribute in PLAIN.items():
        if merged.get(member) is not None:
            setattr(instance, attribute, merged[member])
    _finish_volumes(backend, instance, merged, tags.get("volume", {}))
    for position, entry in enumerate(interfaces):
        card = instance.nics.get(position)
        if card is None:
            continue
        card.interface_type = entry.get("InterfaceType") or card.interface_type
        card.network_card_index = int(entry.get("NetworkCardIndex", 0))
        card.device_index = entry["ShownDeviceIndex"]
        if "NetworkInterfaceId" not in entry:
            card.made_for = instance.id
            card.add_tags(tags.get("network-interface", {}))
    profile = _named(merged.get("IamInstanceProfile"))
    if profile:
        backend.associate_iam_instance_profile(instance.id, profile.get("Name"), profile.get("Arn"))


def _finish_volumes(backend: Any, instance: Any, merged: Request, tags: dict[str, str]) -> None:
    asked = {m["DeviceName"]: m.get("Ebs") or {} for m in merged.get("BlockDeviceMappings") or []}
    for device, attached in instance.get_block_device_mapping:
        volume = backend.get_volume(attached.volume_id)
        volume.add_tags(tags)
        volume.made_for = instance.id
        for member, attribute in (("Iops", "iops"), ("Throughput", "throughput")):
            value = asked.get(device, {}).get(member)
            if value is not None:
                setattr(volume, attribute, int(value))
        if volume.volume_type == "gp3":
            volume.throughput = volume.throughput or 125


def run_instances() -> None:
    """RunInstances through ``launch``."""
    from moto.core.responses import ActionResult
    from moto.ec2.exceptions import InvalidParameterCombination
    from moto.ec2.models import EC2Backend
    from moto.ec2.responses import EC2Response
    from moto.ec2.utils import parse_user_data

    put(EC2Backend, "run_instances_of_moto", EC2Backend.run_instances)

    def method(self: Any) -> Any:
        request = dict(self.params)
        if request.get("NetworkInterfaces") and request.get("SubnetId"):
            raise InvalidParameterCombination(
                msg="Network interfaces and an instance-level subnet ID may not be specified on the same request"
            )
        request["UserData"] = parse_user_data(request.get("UserData"))
        request["Monitoring"] = request.get("Monitoring") or None
        count = int(request.pop("MaxCount", None) or 1)
        least = int(request.get("MinCount") or count)
        self._parse_tag_specification()  # refuses what AWS refuses
        merged, _ = merge(self.ec2_backend, request)
        check(self.ec2_backend, merged)
        self.error_on_dryrun()
        count = affordable(self.ec2_backend, merged, min(least, count), count)
        return ActionResult(launch(self.ec2_backend, request, count))

    put(EC2Response, "run_instances", method)


def network_cards() -> None:
    """An attachment shows the network card that the launch asked for; moto says 0 for all 32 of a p5."""
    from moto.ec2.models.elastic_network_interfaces import Attachment

    @wrap(Attachment, "__init__")
    def _(original: Any, self: Any, eni: Any) -> None:
        original(self, eni)
        self.network_card_index = getattr(eni, "network_card_index", 0)


PATCHES = (run_instances, network_cards)
