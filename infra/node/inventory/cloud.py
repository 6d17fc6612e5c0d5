"""A cluster's machines in AWS: which there are, and the host keys that AWS vouches for."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, TypeVar

from infra.cloud.aws import Session, translated
from infra.cloud.site import look_site
from infra.errors import LocalError
from infra.node.inventory.instance import CloudKind, Instance
from infra.node.inventory.inventory import Inventory, regions_asked
from infra.node.model import Node
from infra.spec.load import Loaded
from infra.spec.models import CONTROL_PLANE

T = TypeVar("T")
Item = Mapping[str, Any]
AT_ONCE = 8
LIVING = ["pending", "running"]
STOPPED = "the embedded AWS is not running: there is no instance (infra apply makes them)"
_KEY = re.compile(r"(?:ssh|ecdsa)-[A-Za-z0-9@.-]+ AAAA[A-Za-z0-9+/]+={0,3}")
_BEGIN, _END = "-----BEGIN SSH HOST KEY KEYS-----", "-----END SSH HOST KEY KEYS-----"


def inventory(loaded: Loaded, words: Sequence[str] = (), *, health: bool = False) -> Inventory:
    """The inventory as far as the patterns reach: AWS is asked only where one of them may mean an instance.

    With ``health`` AWS is also asked how its instances are. An embedded AWS that does not run has none: a note says
    so. Raises UsageError for a pattern that is not well formed, and what AWS refuses.
    """
    metal = Inventory(loaded)
    regions = regions_asked(metal, words)
    if not regions:
        return metal
    try:
        session = look_site(loaded).session
    except LocalError:
        return Inventory(loaded, (), (STOPPED,))
    session.guard()
    return Inventory(loaded, instances(session, loaded.cluster.cluster, regions, health=health))


def instances(session: Session, cluster: str, regions: Sequence[str], *, health: bool = False) -> list[Instance]:
    """The cluster's machines that are pending or running, by its tags. Regions are asked side by side."""

    def look(region: str) -> list[Instance]:
        filters = [
            {"Name": "tag:infra:cluster", "Values": [cluster]},
            {"Name": "instance-state-name", "Values": LIVING},
        ]
        items = _pages(session, region, "ec2", "describe_instances", "Reservations", Filters=filters)
        made = [_instance(cluster, region, item) for group in items for item in group["Instances"]]
        found = [item for item in made if item is not None]
        return _with_health(session, region, found) if health and found else found

    return [item for found in _each(session, regions, look) for item in found]


def host_keys(session: Session, region: str, ident: str) -> tuple[str, ...]:
    """The host keys that the instance printed on its console when it first started, ed25519 first; () for none (yet).

    The console is AWS's own channel: what stands there was written by that very machine. Its text is kept for some
    time only, and comes minutes after the start.
    """
    for latest in (False, True):
        with translated("ec2:GetConsoleOutput", ident, session.profile):
            client = session.client("ec2", region)
            said = client.get_console_output(InstanceId=ident, **({"Latest": True} if latest else {}))
        found = parse_keys(str(said.get("Output") or ""))
        if found:
            return found
    return ()


def parse_keys(text: str) -> tuple[str, ...]:
    """The keys of the last block that cloud-init wrote on a console, as ``type base64``, ed25519 first."""
    begin = text.rfind(_BEGIN)
    end = text.find(_END, begin)
    if begin < 0 or end < 0:
        return ()
    keys = dict.fromkeys(_KEY.findall(text[begin:end]))
    return tuple(sorted(keys, key=lambda key: not key.startswith("ssh-ed25519 ")))


def vouched(loaded: Loaded, nodes: Iterable[Node], known: Callable[[Node], bool]) -> list[Node]:
    """The nodes, those of AWS that are not ``known`` (their key is not pinned yet) with the keys AWS vouches for."""
    given = list(nodes)
    unknown = [node for node in given if node.instance and not node.host_keys and not known(node)]
    if not unknown:
        return given
    session = look_site(loaded).session
    keys = _each(session, unknown, lambda node: host_keys(session, node.region, node.instance))
    found = {node.name: key for node, key in zip(unknown, keys, strict=True)}
    return [replace(node, host_keys=found[node.name]) if found.get(node.name) else node for node in given]


K = TypeVar("K")


def _each(session: Session, things: Sequence[K], look: Callable[[K], T]) -> list[T]:
    if not things:
        return []
    session.client("ec2")  # loads botocore once, before the threads would all do so
    with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="nodes") as pool:
        return list(pool.map(look, things))


def _instance(cluster: str, region: str, item: Item) -> Instance | None:
    """None for an instance that is none of the cluster's machines: a bake's, or somebody's with our tag."""
    tags = {tag["Key"]: tag["Value"] for tag in item.get("Tags", ())}
    kind: CloudKind
    if tags.get("infra:pool"):
        kind, group = "pool", tags["infra:pool"]
    elif tags.get("infra:host"):
        kind, group = "host", tags["infra:host"]
    elif tags.get("infra:control-plane"):
        kind, group = "control-plane", CONTROL_PLANE
    else:
        return None
    launched = item.get("LaunchTime")
    return Instance(
        id=item["InstanceId"],
        region=region,
        kind=kind,
        group=group,
        profile=tags.get("infra:profile", ""),
        label=tags.get("Name", "").removeprefix(f"{cluster}-"),
        state=item["State"]["Name"],
        type=item.get("InstanceType", ""),
        image=item.get("ImageId", ""),
        private=item.get("PrivateIpAddress") or "",
        public=item.get("PublicIpAddress") or "",
        zone=item.get("Placement", {}).get("AvailabilityZone", ""),
        launched=launched.astimezone(UTC).isoformat() if isinstance(launched, datetime) else "",
    )


def _with_health(session: Session, region: str, found: Sequence[Instance]) -> list[Instance]:
    """Two calls a region: AWS's checks of every instance that runs, and what the groups think of theirs."""
    ours = {item.id for item in found}
    statuses = _pages(session, region, "ec2", "describe_instance_status", "InstanceStatuses")
    said = {item["InstanceId"]: _checks(item) for item in statuses if item["InstanceId"] in ours}
    if any(item.kind == "pool" for item in found):
        members = _pages(session, region, "autoscaling", "describe_auto_scaling_instances", "AutoScalingInstances")
        for member in members:
            word = _member(member)
            if word and member["InstanceId"] in ours:
                said[member["InstanceId"]] = word
    return [replace(item, health=said.get(item.id, "")) for item in found]


def _checks(item: Item) -> str:
    said = {item.get("SystemStatus", {}).get("Status", ""), item.get("InstanceStatus", {}).get("Status", "")}
    for word in ("impaired", "initializing", "insufficient-data"):
        if word in said:
            return word
    return "ok" if said == {"ok"} else ""


def _member(item: Item) -> str:
    """What its group thinks of it, when that is worth a word."""
    state = str(item.get("LifecycleState", ""))
    if str(item.get("HealthStatus", "")).lower() == "unhealthy":
        return "Unhealthy"
    return "" if state == "InService" else state


def _pages(session: Session, region: str, service: str, operation: str, answer: str, **arguments: Any) -> list[Item]:
    with translated(f"{service}:{operation}", region, session.profile):
        client = session.client(service, region)
        return [item for page in client.get_paginator(operation).paginate(**arguments) for item in page[answer]]
