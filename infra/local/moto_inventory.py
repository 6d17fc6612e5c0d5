"""What exists in the server: one entry per resource, typed and named as Terraform does it.

Things that AWS makes by itself (default VPCs, main route tables, default groups, Canonical's images) are left out.
What AWS makes on behalf of another resource has that one's id as its ``owner``: a group's instances, an instance's
volumes and network interfaces, a NAT gateway's interface.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from typing import Any

Entry = dict[str, Any]


def resources() -> list[Entry]:
    """``type``, ``id``, ``region`` ("" for global services), ``tags`` and ``owner`` of each, in stable order."""
    found = [entry for service, list_them in SERVICES.items() for entry in _all(service, list_them)]
    return sorted(found, key=lambda entry: (entry["region"], entry["type"], entry["id"]))


def _all(service: str, list_them: Callable[[Any], Iterator[Entry]]) -> Iterator[Entry]:
    """Only services that have been used: looking must not load any."""
    module = sys.modules.get(f"moto.{service}.models")
    if module is None:
        return
    for _account, region, backend in getattr(module, f"{service}_backends").iter_backends():
        for entry in list_them(backend):
            yield entry | {"region": "" if region == "aws" else region}


def _entry(kind: str, identity: str, tags: Any = None, owner: str = "") -> Entry:
    return {"type": kind, "id": identity, "tags": _plain(tags), "owner": owner}


def _plain(tags: Any) -> dict[str, str]:
    """moto keeps tags as a dictionary, as a dictionary of entries, or as a list of entries in one of three cases."""
    if isinstance(tags, dict):
        return {key: value["Value"] if isinstance(value, dict) else value for key, value in tags.items()}
    plain = {}
    for tag in tags or []:
        lower = {name.lower(): value for name, value in tag.items()}
        plain[lower["key"]] = lower["value"]
    return plain


def _ec2(backend: Any) -> Iterator[Entry]:
    def entry(kind: str, identity: str, tagged: str = "", owner: str = "") -> Entry:
        return _entry(kind, identity, backend.tags.get(tagged or identity, {}), owner)

    yield from _network(backend, entry)
    yield from _machines(backend, entry)
    for template in backend.launch_templates.values():
        yield entry("aws_launch_template", template.id)
    for pair in backend.key_pairs.values():
        yield entry("aws_key_pair", pair.key_name, pair.id)
    for group in getattr(backend, "placement_groups", {}).values():
        yield entry("aws_placement_group", group.group_name, group.id)
    for image in backend.amis.values():
        if image.owner_id == backend.account_id:
            yield entry("aws_ami", image.id)
    for snapshot in backend.snapshots.values():
        if snapshot.owner_id == backend.account_id:
            yield entry("aws_ebs_snapshot", snapshot.id, owner=snapshot.from_ami or "")


def _network(backend: Any, entry: Callable[..., Entry]) -> Iterator[Entry]:
    own = {vpc.id for vpc in backend.vpcs.values() if not vpc.is_default}
    for vpc in own:
        yield entry("aws_vpc", vpc)
    for zone in backend.subnets.values():
        for subnet in zone.values():
            if subnet.vpc_id in own:
                yield entry("aws_subnet", subnet.id)
    for table in backend.route_tables.values():
        if table.vpc_id in own and not _is_main(table):
            yield entry("aws_route_table", table.id)
    for groups in backend.groups.values():
        for group in groups.values():
            if not group.is_default and group.name != "default":
                yield entry("aws_security_group", group.id)
    for acl in backend.network_acls.values():
        if not acl.default and acl.vpc_id in own:
            yield entry("aws_network_acl", acl.id)
    for gateway in backend.internet_gateways.values():
        if gateway.vpc is None or gateway.vpc.id in own:
            yield entry("aws_internet_gateway", gateway.id)
    for nat in backend.nat_gateways.values():
        if nat.state not in ("deleted", "deleting"):
            yield entry("aws_nat_gateway", nat.id)
    for address in backend.addresses:
        yield entry("aws_eip", address.allocation_id or address.public_ip)
    for point in backend.vpc_end_points.values():
        if point.state not in ("deleted", "deleting"):
            yield entry("aws_vpc_endpoint", point.id)
    for peering in backend.vpc_pcxs.values():
        live = peering._status.code in ("initiating-request", "pending-acceptance", "active")
        if live and peering.vpc.region == backend.region_name:
            yield entry("aws_vpc_peering_connection", peering.id)
    for log in backend.flow_logs.values():
        yield entry("aws_flow_log", log.id)
    for options in backend.dhcp_options_sets.values():
        yield entry("aws_vpc_dhcp_options", options.id)


def _is_main(table: Any) -> bool:
    return bool(getattr(table, "main_association_id", None))


def _machines(backend: Any, entry: Callable[..., Entry]) -> Iterator[Entry]:
    running = {i.id: i for r in backend.reservations.values() for i in r.instances if i.state != "terminated"}
    for identity, instance in running.items():
        group = getattr(instance, "autoscaling_group", None)
        yield entry("aws_instance", identity, owner=group.name if group is not None else "")
    for volume in backend.volumes.values():
        maker = getattr(volume, "made_for", "")
        yield entry("aws_ebs_volume", volume.id, owner=maker if maker in running else "")
    owners = _interface_owners(backend)
    for card in backend.enis.values():
        maker = getattr(card, "made_for", "")
        owner = maker if maker in running else owners.get(card.id, "")
        yield entry("aws_network_interface", card.id, owner=owner)


def _interface_owners(backend: Any) -> dict[str, str]:
    owners = {nat._eni.id: nat.id for nat in backend.nat_gateways.values() if nat.state == "available"}
    for point in backend.vpc_end_points.values():
        owners |= dict.fromkeys(point.network_interface_ids, point.id)
    efs = sys.modules.get("moto.efs.models")
    if efs is not None:
        for target in efs.efs_backends[backend.account_id][backend.region_name].mount_targets_by_id.values():
            owners[target.network_interface_id] = target.mount_target_id
    return owners


def _autoscaling(backend: Any) -> Iterator[Entry]:
    for group in backend.autoscaling_groups.values():
        yield _entry("aws_autoscaling_group", group.name, group.tags)
    for name in backend.launch_configurations:
        yield _entry("aws_launch_configuration", name)


def _iam(backend: Any) -> Iterator[Entry]:
    for role in backend.roles.values():
        if not role.path.startswith("/aws-service-role/"):
            yield _entry("aws_iam_role", role.name, role.tags)
    for profile in backend.instance_profiles.values():
        yield _entry("aws_iam_instance_profile", profile.name, profile.tags)
    for policy in backend.managed_policies.values():
        if ":iam::aws:" not in policy.arn:
            yield _entry("aws_iam_policy", policy.arn, policy.tags)
    for user in backend.users.values():
        yield _entry("aws_iam_user", user.name)


def _efs(backend: Any) -> Iterator[Entry]:
    for system in backend.file_systems_by_id.values():
        identity = system.file_system_id
        yield _entry("aws_efs_file_system", identity, backend.list_tags_for_resource(identity))
    for target in backend.mount_targets_by_id.values():
        yield _entry("aws_efs_mount_target", target.mount_target_id)
    for identity in backend.access_points:
        yield _entry("aws_efs_access_point", identity, backend.list_tags_for_resource(identity))


def _s3(backend: Any) -> Iterator[Entry]:
    for bucket in backend.buckets.values():
        yield _entry("aws_s3_bucket", bucket.name, backend.tagger.get_tag_dict_for_resource(bucket.arn))


def _elbv2(backend: Any) -> Iterator[Entry]:
    tags = backend.tagging_service.get_tag_dict_for_resource
    for balancer in backend.load_balancers.values():
        yield _entry("aws_lb", balancer.arn, tags(balancer.arn))
        for listener in balancer.listeners.values():
            yield _entry("aws_lb_listener", listener.arn, tags(listener.arn))
    for group in backend.target_groups.values():
        yield _entry("aws_lb_target_group", group.arn, tags(group.arn))


def _logs(backend: Any) -> Iterator[Entry]:
    for group in backend.groups.values():
        yield _entry("aws_cloudwatch_log_group", group.name, backend.tagger.get_tag_dict_for_resource(group.arn))


def _ssm(backend: Any) -> Iterator[Entry]:
    for name, versions in list(backend._parameters.items()):
        if versions and not name.startswith("/aws/"):
            tags = backend._resource_tags["Parameter"].get(name, {})
            yield _entry("aws_ssm_parameter", name, tags)


def _kms(backend: Any) -> Iterator[Entry]:
    for key in backend.keys.values():
        aliases = [name for name, alias in key.aliases.items() if alias is not None]
        managed = any(name.startswith("alias/aws/") for name in aliases) or key.key_manager == "AWS"
        if not managed and key.key_state != "PendingDeletion":
            yield _entry("aws_kms_key", key.id, backend.tagger.get_tag_dict_for_resource(key.id))


def _route53(backend: Any) -> Iterator[Entry]:
    for zone in backend.zones.values():
        yield _entry("aws_route53_zone", zone.id)


SERVICES: dict[str, Callable[[Any], Iterator[Entry]]] = {
    "ec2": _ec2,
    "autoscaling": _autoscaling,
    "iam": _iam,
    "efs": _efs,
    "s3": _s3,
    "elbv2": _elbv2,
    "logs": _logs,
    "ssm": _ssm,
    "kms": _kms,
    "route53": _route53,
}
