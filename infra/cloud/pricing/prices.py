"""What Terraform's resources cost an hour, from their planned values and the dated list prices.

    prices.price_of("aws_nat_gateway", {}, "us-east-1")  -> Cost(known=0.045, usage=("NAT gateway: data",))

A part without a known price is named in ``Cost.unknown``, and never 0; what is paid by use in ``Cost.usage``. Spot
has no list price: its on-demand price is an upper bound (``Cost.bound``).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from infra.cloud.pricing.price_table import Price, Table, shipped, thing
from infra.plan.model import Cost, total

Values = Mapping[str, Any]
"""A resource's attributes as in Terraform's JSON; what is not known until apply is missing or None."""

GP3_IOPS, GP3_THROUGHPUT = 3000, 125
"""What a gp3 volume has without a further charge: operations per second, MiB/s."""

_fresh: list[Table] = []


@dataclass(frozen=True, slots=True)
class GroupCost:
    """An Auto Scaling group: ``desired`` of its first instance type; ``maximum`` of its dearest one."""

    desired: Cost
    maximum: Cost
    instance_types: tuple[str, ...]


def table() -> Table:
    """The prices in use: the shipped ones, under fresh ones where :func:`use` gave some."""
    return _fresh[0] if _fresh else shipped()


def use(fresh: Table | None) -> None:
    """Prefer these prices to the shipped ones from now on, in this process; None goes back."""
    _fresh[:] = [] if fresh is None else [fresh.over(shipped())]


def hourly(kind: str, key: str, region: str) -> Price | None:
    """The list price of one thing, None when it is not known. Kinds and keys: ``price_table.THINGS``."""
    return table().price(kind, key, region)


def instance_cost(name: str, region: str, *, spot: bool = False) -> Cost:
    """One machine of that type, without its disks."""
    cost = _list("instance", name, region)
    return Cost(cost.known, cost.unknown, cost.usage, bound=spot and bool(cost.known))


def price_of(resource_type: str, values: Values, region: str, template: Values | None = None) -> Cost | None:
    """What the resource costs an hour as long as it exists; None for types that cost nothing of their own.

    ``values`` is the planned ``after`` (or ``before``). ``template`` is the launch template that a group uses, for
    what only it says: the type when there is just one, disks, a public address, a capacity block.
    """
    if resource_type == "aws_autoscaling_group":
        return group_cost(values, region, template).desired
    pricer = _PRICERS.get(resource_type)
    return None if pricer is None else pricer(values, region)


def group_cost(values: Values, region: str, template: Values | None = None) -> GroupCost:
    """An Auto Scaling group now and at its largest. See :func:`price_of` for the arguments."""
    policy = _block(values, "mixed_instances_policy")
    overrides = _blocks(_block(policy, "launch_template"), "override")
    chosen = [one.get("instance_type") for one in overrides] or [(template or {}).get("instance_type")]
    names = tuple(str(name) for name in chosen if name)
    spot = _buys_spot(_block(policy, "instances_distribution"))
    rest = _template_rest(template, region)
    machines = [_machine(name, region, template or {}, spot) + rest for name in names]
    if not machines or any(one.get("weighted_capacity") for one in overrides):
        machines = [_unknown("machines of an Auto Scaling group")]
    low = _number(values.get("desired_capacity"))
    low = _number(values.get("min_size")) if low is None else low
    dearest = max(machines, key=lambda one: one.known)
    largest = Cost(dearest.known, total(machines).unknown, dearest.usage, dearest.bound)
    return GroupCost(_times(machines[0], low), _times(largest, _number(values.get("max_size"))), names)


def disk_cost(disk: Values, region: str) -> Cost:
    """An EBS volume: ``size`` or ``volume_size`` in GiB, ``type`` or ``volume_type``. Only gp3 has list prices."""
    size = _number(disk.get("volume_size") or disk.get("size"))
    kind = disk.get("volume_type") or disk.get("type")
    if kind != "gp3":
        return _unknown(f"EBS {kind or 'volume'} in {region}")
    if size is None:
        return _unknown("EBS gp3 of unknown size")
    iops = (_number(disk.get("iops")) or GP3_IOPS) - GP3_IOPS
    throughput = (_number(disk.get("throughput")) or GP3_THROUGHPUT) - GP3_THROUGHPUT
    wanted = {"gp3": size, "gp3-iops": iops, "gp3-throughput": throughput}
    return total(_list("ebs", key, region, count) for key, count in wanted.items() if count > 0)


def _instance(values: Values, region: str) -> Cost:
    name = values.get("instance_type")
    if not name:
        return _unknown("machine of unknown type")
    market = _block(values, "instance_market_options").get("market_type")
    root = _blocks(values, "root_block_device")
    disks = total(disk_cost(disk, region) for disk in (*root, *_blocks(values, "ebs_block_device")))
    if not root:  # the image decides
        disks += _unknown("root disk of unknown size")
    if values.get("instance_state") == "stopped":  # only what it stores is paid
        return disks
    address = _address(region) if _true(values.get("associate_public_ip_address")) else Cost()
    return _machine(str(name), region, values, market == "spot") + disks + address


def _machine(name: str, region: str, options: Values, spot: bool) -> Cost:
    market = _block(options, "instance_market_options").get("market_type")
    if market == "capacity-block":
        return _unknown("capacity block (paid in advance)")
    return instance_cost(name, region, spot=spot or market == "spot")


def _template_rest(template: Values | None, region: str) -> Cost:
    """Disks and public address of one machine made from the template."""
    disks = [ebs for one in _blocks(template or {}, "block_device_mappings") for ebs in _blocks(one, "ebs")]
    cost = total(disk_cost(disk, region) for disk in disks) if disks else _unknown("disks of Auto Scaling groups")
    interfaces = _blocks(template or {}, "network_interfaces")
    public = any(_true(one.get("associate_public_ip_address")) for one in interfaces)
    return cost + _address(region) if public else cost


def _buys_spot(distribution: Values) -> bool:
    """Whether a mixed group buys any of its machines as spot; without a word on it, all are on-demand."""
    share = _number(distribution.get("on_demand_percentage_above_base_capacity"))
    return share is not None and share < 100


def _nat_gateway(values: Values, region: str) -> Cost:
    return _list("nat-gateway", "hour", region) + _usage("NAT gateway: data")


def _load_balancer(values: Values, region: str) -> Cost:
    key = str(values.get("load_balancer_type") or "application")
    if key not in ("application", "network"):
        return _unknown(f"{key} load balancer in {region}")
    subnets = values.get("subnets")
    zones = len(subnets) if isinstance(subnets, list) and subnets else len(_blocks(values, "subnet_mapping"))
    addresses = Cost() if _true(values.get("internal")) else _times(_address(region), zones)
    return _list("load-balancer", key, region) + _usage("load balancer: capacity units") + addresses


def _endpoint(values: Values, region: str) -> Cost:
    gateway = (values.get("vpc_endpoint_type") or "Gateway") == "Gateway"
    return Cost() if gateway else _unknown(f"interface endpoint in {region}") + _usage("interface endpoint: data")


def _reservation(values: Values, region: str) -> Cost:
    """Reserved capacity is paid whether machines run in it or not."""
    name = values.get("instance_type")
    machine = instance_cost(str(name), region) if name else _unknown("machine of unknown type")
    return _times(machine, _number(values.get("instance_count")))


def _address(region: str) -> Cost:
    return _list("public-ipv4", "address", region)


def _list(kind: str, key: str, region: str, count: float = 1) -> Cost:
    """``count`` units at their list price."""
    price = hourly(kind, key, region)
    return _unknown(f"{thing(kind, key)[1]} in {region}") if price is None else Cost(price.hourly(count))


def _unknown(what: str) -> Cost:
    return Cost(unknown=(what,))


def _usage(what: str) -> Cost:
    return Cost(usage=(what,))


def _times(cost: Cost, count: float | None) -> Cost:
    """So many of the same; of none it is nothing, of an unknown number it is unknown."""
    if count is None:
        return cost if cost.unknown and not cost.known else _unknown("number of machines")
    return Cost(cost.known * count, cost.unknown, cost.usage, cost.bound) if count else Cost()


_PRICERS: dict[str, Callable[[Values, str], Cost]] = {
    "aws_cloudwatch_log_group": lambda values, region: _usage("CloudWatch logs"),
    "aws_dynamodb_table": lambda values, region: _usage("DynamoDB requests"),
    "aws_ebs_volume": disk_cost,
    "aws_ec2_capacity_reservation": _reservation,
    "aws_efs_file_system": lambda values, region: _usage("EFS storage"),
    "aws_eip": lambda values, region: _address(region),
    "aws_instance": _instance,
    "aws_kms_key": lambda values, region: _unknown(f"KMS key in {region}"),
    "aws_lb": _load_balancer,
    "aws_nat_gateway": _nat_gateway,
    "aws_route53_zone": lambda values, region: _unknown("Route 53 zone"),
    "aws_s3_bucket": lambda values, region: _usage("S3 storage"),
    "aws_vpc_endpoint": _endpoint,
    "aws_vpc_peering_connection": lambda values, region: _usage("transfer between regions"),
}


def _blocks(values: Values, name: str) -> Sequence[Values]:
    """A nested block's entries: Terraform gives a list, a single object, or nothing."""
    found = values.get(name)
    entries = found if isinstance(found, list) else [found]
    return [one for one in entries if isinstance(one, Mapping)]


def _block(values: Values, name: str) -> Values:
    return next(iter(_blocks(values, name)), {})


def _number(raw: object) -> float | None:
    """Terraform's numbers, also those that a schema keeps as texts; None when missing or not known yet."""
    if raw is None or isinstance(raw, bool):
        return None
    try:
        number = float(str(raw))
    except ValueError:
        return None
    return number if 0 <= number < 1e12 else None


def _true(raw: object) -> bool:
    return raw is True or raw == "true"
