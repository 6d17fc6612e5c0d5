"""What a resource is, in a few words, from its planned values: sizes, types, networks. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

Values = Mapping[str, Any]


def about(kind: str, values: Values | None, template: Values | None = None) -> str:
    """Such as ``1 of 1 to 50 × c5.9xlarge, m5.12xlarge, spot``; "" for kinds of which nothing needs to be said.

    ``template`` is the launch template that a group starts machines from. What is known only later is left out.
    """
    teller = _TELLERS.get(kind)
    return teller(values or {}, template or {}) if teller else ""


def _group(values: Values, template: Values) -> str:
    policy = _block(values, "mixed_instances_policy")
    overrides = _block(policy, "launch_template").get("override") or []
    types = [str(one["instance_type"]) for one in overrides if isinstance(one, dict) and one.get("instance_type")]
    types = types or [str(template["instance_type"])] if types or template.get("instance_type") else []
    low, high, desired = (values.get(key) for key in ("min_size", "max_size", "desired_capacity"))
    size = f"{low} to {high}" if low != high else f"{high}"
    if desired is not None and low != high:
        size = f"{desired} of {size}"
    distribution = _block(policy, "instances_distribution")
    spot = distribution.get("on_demand_percentage_above_base_capacity") == 0
    base = distribution.get("on_demand_base_capacity") or 0
    bought = f"spot{f' above {base} on demand' if base else ''}" if spot else ""
    reserved = _block(template, "capacity_reservation_specification")
    reservation = _block(reserved, "capacity_reservation_target").get("capacity_reservation_id") or ""
    placement = f"placement group {values['placement_group']}" if values.get("placement_group") else ""
    machines = f"{size} × {', '.join(types)}" if types else f"{size} machines"
    return _said(machines, bought, str(reservation), placement)


def _instance(values: Values, template: Values) -> str:
    disk = _block(values, "root_block_device").get("volume_size")
    public = "public" if values.get("associate_public_ip_address") else ""
    return _said(str(values.get("instance_type") or ""), f"{disk} GB" if disk else "", public)


def _template(values: Values, template: Values) -> str:
    disk = _block(_block(values, "block_device_mappings"), "ebs").get("volume_size")
    return _said(str(values.get("image_id") or ""), f"{disk} GB" if disk else "")


def _bucket(values: Values, template: Values) -> str:
    versioned = "versioned" if _block(values, "versioning").get("enabled") else ""
    return _said(str(values.get("bucket") or ""), versioned)


def _balancer(values: Values, template: Values) -> str:
    return _said("internal" if values.get("internal") else "public", str(values.get("load_balancer_type") or ""))


def _plain(*names: str) -> Callable[[Values, Values], str]:
    return lambda values, template: _said(*(str(values.get(name) or "") for name in names))


def _block(values: Values, name: str) -> Values:
    """The only entry of a block, {} when it is not there."""
    found = values.get(name)
    return found[0] if isinstance(found, list) and found and isinstance(found[0], dict) else {}


def _said(*texts: str) -> str:
    return ", ".join(text for text in texts if text)


_TELLERS: Mapping[str, Callable[[Values, Values], str]] = {
    "aws_autoscaling_group": _group,
    "aws_instance": _instance,
    "aws_launch_template": _template,
    "aws_s3_bucket": _bucket,
    "aws_lb": _balancer,
    "aws_vpc": _plain("cidr_block"),
    "aws_subnet": _plain("cidr_block", "availability_zone"),
    "aws_route": _plain("destination_cidr_block"),
    "aws_efs_file_system": _plain("throughput_mode"),
    "aws_placement_group": _plain("strategy"),
}
