"""The parts of a region that are in use, each with its health, in the words of cluster.yaml. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from infra.cloud.describing import Item
from infra.cloud.health import Seen
from infra.cloud.mending.known import Known, Thing
from infra.cloud.project.links import sides
from infra.cloud.refusals import launch
from infra.plan.noise import AUTOSCALER

GONE = "the state knows it, AWS does not"
# EC2's codes of a failed scaling activity -> what helps.
CAPACITY = {
    "InsufficientInstanceCapacity": "AWS has none of these machines there now: name more instance types, or wait",
    "UnfulfillableCapacity": "AWS has none of these machines there now: name more instance types, or wait",
    "MaxSpotInstanceCountExceeded": "the quota of spot machines is used up: ask for more",
    "VcpuLimitExceeded": "the quota of vCPUs is used up: ask for more (see infra doctor)",
    "InstanceLimitExceeded": "the quota of machines is used up: ask for more (see infra doctor)",
    "ReservationCapacityExceeded": "the capacity reservation is full",
    "SpotMaxPriceTooLow": "spot machines cost more than allowed now",
    "Unsupported": "these machines are not offered there: name other instance types or zones",
}


@dataclass(frozen=True, slots=True)
class Part:
    """One row. ``kind``: network, nat, peering, pool, host, control-plane, balancer, efs or s3; ``facts`` are by kind
    (see docs/json.md). Healthy is what has no problem."""

    part: str
    kind: str
    id: str
    state: str
    facts: Mapping[str, Any] = field(default_factory=dict)
    problems: tuple[str, ...] = ()

    @property
    def healthy(self) -> bool:
        return not self.problems

    def data(self) -> dict[str, Any]:
        return {**asdict(self), "healthy": self.healthy, "problems": list(self.problems)}


def parts(known: Known, seen: Seen, peerings: Sequence[Thing] = ()) -> list[Part]:
    """Every part that has a health, in the order of cluster.yaml. ``peerings`` join the region with others."""
    found = [*_network(known, seen), *(_peering(thing, known.region, seen) for thing in peerings)]
    found += _pools(known, seen)
    machines = [_machine(thing, seen) for thing in known.of("aws_instance")]
    found += [part for part in machines if part.kind == "host"]
    found += [_file_system(thing, known, seen) for thing in known.of("aws_efs_file_system")]
    found += [_bucket(thing, seen) for thing in known.of("aws_s3_bucket")]
    found += [part for part in machines if part.kind == "control-plane"]
    found += [_balancer(thing, known, seen) for thing in known.of("aws_lb_target_group")]
    return found


def _network(known: Known, seen: Seen) -> Iterator[Part]:
    for thing in known.of("aws_vpc"):
        vpc = seen.vpcs.get(thing.id)
        lost = [subnet.key or subnet.id for subnet in known.of("aws_subnet") if subnet.id not in seen.subnets]
        problems = [] if vpc else [GONE]
        problems += [f"subnet {name} is gone" for name in lost] if vpc else []
        yield Part("network", "network", thing.id, _state(vpc), _network_facts(vpc, seen), tuple(problems))
    for name, vpc in seen.vpcs.items():
        if not known.of("aws_vpc"):
            yield Part("network", "network", name, _state(vpc), {**_network_facts(vpc, seen), "existing": True})
    for thing in known.of("aws_nat_gateway"):
        nat = seen.nats.get(thing.id)
        addresses = [item.get("PublicIp", "") for item in nat["NatGatewayAddresses"]] if nat else []
        state = _state(nat)
        wrong = [] if state in ("available", "pending") else [GONE if nat is None else f"is {state}"]
        if nat and nat.get("FailureMessage"):
            wrong.append(str(nat["FailureMessage"]))
        yield Part(
            "network", "nat", thing.id, state, {"zone": thing.key, "address": ", ".join(addresses)}, tuple(wrong)
        )


def _peering(thing: Thing, region: str, seen: Seen) -> Part:
    """The way to another region, as this side sees it."""
    item = seen.peerings.get(thing.id)
    state = str(item["Status"]["Code"]) if item else "gone"
    far = next((name for name in sides(thing.address) if name != region), "")
    problems = () if state in ("active", "provisioning") else (GONE if item is None else f"is {state}",)
    return Part("network", "peering", thing.id, state, {"region": far}, problems)


def _network_facts(vpc: Item | None, seen: Seen) -> dict[str, Any]:
    if vpc is None:
        return {}
    zones = {item["AvailabilityZone"] for item in seen.subnets.values()}
    return {"cidr": vpc.get("CidrBlock", ""), "subnets": len(seen.subnets), "zones": len(zones)}


def _state(item: Item | None) -> str:
    return str(item.get("State", "available")) if item else "gone"


def _pools(known: Known, seen: Seen) -> Iterator[Part]:
    """One row for each pool, of however many groups it is."""
    pools: dict[str, list[Thing]] = {}
    for thing in known.of("aws_autoscaling_group"):
        pools.setdefault(thing.part, []).append(thing)
    for things in pools.values():
        groups = [_group(thing, known, seen) for thing in things]
        there = [group for group in groups if group.facts]
        common = groups[0].id.removesuffix(things[0].key)
        yield _joined(f"{common}*", groups, there) if len(groups) > 1 and there else groups[0]


def _joined(ident: str, groups: Sequence[Part], there: Sequence[Part]) -> Part:
    """A pool of a group for each type and zone: their sums. The maximum is the pool's, which they share."""
    facts = dict(there[0].facts)
    for key, value in facts.items():
        others = [group.facts[key] for group in there]
        if isinstance(value, bool):
            facts[key] = any(others)
        elif isinstance(value, int):
            facts[key] = max(others) if key == "max" else sum(others)
    facts["instance_types"] = dict(sum((Counter(group.facts["instance_types"]) for group in there), Counter()))
    facts["suspended"] = sorted({process for group in there for process in group.facts["suspended"]})
    facts["failure"] = next((group.facts["failure"] for group in there if group.facts["failure"]), None)
    problems = tuple(f"{group.id}: {problem}" for group in groups for problem in group.problems)
    return Part(groups[0].part, "pool", ident, _running(facts), facts, problems)


def _running(facts: Mapping[str, Any]) -> str:
    starting = f", {facts['pending']} starting" if facts["pending"] else ""
    return f"{facts['in_service']} of {facts['desired']}{starting}"


def _group(thing: Thing, known: Known, seen: Seen) -> Part:
    name = str(thing.values.get("name"))
    group = seen.groups.get(name)
    if group is None:
        return Part(thing.part, "pool", name, "gone", {}, (GONE,))
    machines: Sequence[Item] = group["Instances"]
    states = Counter(_life(item) for item in machines)
    unhealthy = sum(item.get("HealthStatus", "").lower() == "unhealthy" for item in machines)
    lives = Counter(_bought(seen.instances.get(item["InstanceId"])) for item in machines)
    template, version = _template(group)
    latest = str(seen.templates.get(template, {}).get("LatestVersionNumber", "")) or version
    older = sum(_version(item) not in ("", version) for item in machines)
    failed = failure(seen.activities.get(name, ()))
    desired, service = int(group["DesiredCapacity"]), states["in service"]
    facts = {
        "groups": 1,
        "min": int(group["MinSize"]),
        "desired": desired,
        "max": int(group["MaxSize"]),
        "in_service": service,
        "pending": states["pending"],
        "leaving": states["leaving"],
        "unhealthy": unhealthy,
        "spot": lives["spot"],
        "on_demand": lives["on-demand"],
        "instance_types": dict(Counter(str(item.get("InstanceType", "?")) for item in machines)),
        "image": _image(known, template),
        "template": {"id": template, "version": version, "latest": latest},
        "outdated": older,
        "autoscaled": any(tag["Key"] == AUTOSCALER for tag in group.get("Tags", ())),
        "suspended": sorted(item["ProcessName"] for item in group.get("SuspendedProcesses", ())),
        "failure": failed,
    }
    problems = [f"{unhealthy} unhealthy"] if unhealthy else []
    if failed and service < desired:
        problems.append(
            f"cannot start machines: {failed['message']}" + (f" ({failed['fix']})" if failed["fix"] else "")
        )
    return Part(thing.part, "pool", name, _running(facts), facts, tuple(problems))


def _life(item: Item) -> str:
    state = str(item.get("LifecycleState", ""))
    if state == "InService":
        return "in service"
    return "pending" if state.startswith(("Pending", "Warmed")) else "leaving"


def _bought(item: Item | None) -> str:
    return "spot" if item and item.get("InstanceLifecycle") == "spot" else "on-demand"


def _template(group: Item) -> tuple[str, str]:
    """(id, version) of the launch template that the group starts machines from."""
    mixed = group.get("MixedInstancesPolicy", {}).get("LaunchTemplate", {}).get("LaunchTemplateSpecification")
    said = mixed or group.get("LaunchTemplate") or {}
    return str(said.get("LaunchTemplateId", "")), str(said.get("Version", ""))


def _version(item: Item) -> str:
    return str((item.get("LaunchTemplate") or {}).get("Version", ""))


def _image(known: Known, template: str) -> str:
    found = [thing.values.get("image_id") for thing in known.of("aws_launch_template") if thing.id == template]
    return str(found[0]) if found and found[0] else ""


def failure(activities: Sequence[Item]) -> dict[str, str] | None:
    """The newest failed scaling activity, unless one went well after it: ``code``, ``message``, ``time``, ``fix``."""
    for item in activities:
        if item.get("StatusCode") == "Successful":
            return None
        if item.get("StatusCode") in ("Failed", "Cancelled"):
            message = " ".join(str(item.get("StatusMessage") or item.get("Description") or "").split())
            code = launch.code_of(message)
            moment = item.get("StartTime")
            return {
                "code": code,
                "message": message,
                "time": moment.isoformat(timespec="seconds") if moment else "",
                "fix": CAPACITY.get(code, ""),
            }
    return None


def _machine(thing: Thing, seen: Seen) -> Part:
    kind = "control-plane" if thing.part == "control plane" else "host"
    name = thing.key or thing.part
    machine = seen.instances.get(thing.id)
    state = str(machine["State"]["Name"]) if machine else "gone"
    checks = _checks(seen.checks.get(thing.id))
    facts = {
        "name": name,
        "type": str((machine or thing.values).get("InstanceType") or thing.values.get("instance_type") or ""),
        "public": str((machine or {}).get("PublicIpAddress") or ""),
        "private": str((machine or {}).get("PrivateIpAddress") or ""),
        "zone": str((machine or {}).get("Placement", {}).get("AvailabilityZone") or ""),
        "checks": checks,
    }
    problems = [] if state in ("running", "pending") else [GONE if machine is None else f"is {state}"]
    if checks == "impaired" and state == "running":
        problems.append("fails AWS' status checks: stop and start it")
    return Part(thing.part, kind, thing.id, state, facts, tuple(problems))


def _checks(item: Item | None) -> str:
    """ok, initializing, impaired, or "" when AWS says nothing of it (it does not run)."""
    if item is None:
        return ""
    said = {item.get("SystemStatus", {}).get("Status", ""), item.get("InstanceStatus", {}).get("Status", "")}
    if "impaired" in said:
        return "impaired"
    return "initializing" if "initializing" in said else "ok" if said == {"ok"} else ", ".join(sorted(said))


def _file_system(thing: Thing, known: Known, seen: Seen) -> Part:
    system = seen.file_systems.get(thing.id)
    if system is None:
        return Part(thing.part, "efs", thing.id, "gone", {}, (GONE,))
    mounts = seen.mounts.get(thing.id, ())
    targets = [
        {
            "zone": str(item.get("AvailabilityZoneName") or ""),
            "state": str(item.get("LifeCycleState", "")),
            "address": str(item.get("IpAddress") or ""),
        }
        for item in mounts
    ]
    wanted = [item for item in known.of("aws_efs_mount_target") if item.values.get("file_system_id") == thing.id]
    there = {item["MountTargetId"] for item in mounts}
    problems = [f"the mount target {item.key or item.id} is gone" for item in wanted if item.id not in there]
    problems += [f"the mount target in {item['zone']} is {item['state']}" for item in targets if _broken(item["state"])]
    state = str(system["LifeCycleState"])
    if _broken(state):
        problems.append(f"is {state}")
    facts = {"targets": targets, "bytes": int(system.get("SizeInBytes", {}).get("Value", 0))}
    return Part(thing.part, "efs", thing.id, state, facts, tuple(problems))


def _broken(state: str) -> bool:
    return state not in ("available", "creating", "updating")


def _bucket(thing: Thing, seen: Seen) -> Part:
    there = seen.buckets.get(thing.id, False)
    return Part(thing.part, "s3", thing.id, "available" if there else "gone", {}, () if there else (GONE,))


def _balancer(thing: Thing, known: Known, seen: Seen) -> Part:
    """The control plane's load balancer, by its targets."""
    if thing.id not in seen.targets:
        return Part(thing.part, "balancer", thing.id, "gone", {}, (GONE,))
    health = [item["TargetHealth"] for item in seen.targets[thing.id]]
    counts = Counter(str(item["State"]) for item in health)
    good = counts["healthy"]
    address = [str(item.values.get("dns_name") or "") for item in known.of("aws_lb") if item.part == thing.part]
    facts = {"targets": dict(counts), "address": address[0] if address else ""}
    bad = [item for item in health if item["State"] in ("unhealthy", "unavailable", "draining")]
    said = str(bad[0].get("Description") or bad[0].get("Reason") or "") if bad else ""
    problems = [f"{len(bad)} of {len(health)} do not answer on port {thing.values.get('port')}: {said}".rstrip(": ")]
    return Part(thing.part, "balancer", thing.id, f"{good} of {len(health)}", facts, tuple(problems if bad else ()))
