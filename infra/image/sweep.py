"""What a bake needed for a while must be gone when it ends: looked for by its tag, removed, and proved gone.

Packer cleans up after itself, unless it is killed, loses its network or is refused by AWS.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from infra.cloud.aws import Session, code_of, translated
from infra.errors import CloudError
from infra.image import store
from infra.image.ledger import OF

TAG = "infra:bake"
DEADLINE = 10 * 60.0
LIVING = ["pending", "running", "stopping", "stopped", "shutting-down"]


@dataclass(frozen=True, slots=True)
class Left:
    """One thing that is still there. ``kind`` as people call it."""

    kind: str
    id: str

    def __str__(self) -> str:
        return f"{self.kind} {self.id}"


def left(session: Session, region: str, bake: str, name: str = "") -> list[Left]:
    """What carries the bake's tag, in the order in which it has to go; with ``name`` also a half-made AMI."""
    ec2 = session.client("ec2", region)
    mine = [{"Name": f"tag:{TAG}", "Values": [bake]}]
    with translated("ec2:DescribeInstances", region, session.profile):
        living = [*mine, {"Name": "instance-state-name", "Values": LIVING}]
        pages = ec2.get_paginator("describe_instances").paginate(Filters=living)
        found = [Left("instance", i["InstanceId"]) for p in pages for r in p["Reservations"] for i in r["Instances"]]
    if name:
        found += [Left("image", image) for image in _half_made(session, region, name)]
    for kind, operation, key, ident in (
        ("volume", "describe_volumes", "Volumes", "VolumeId"),
        ("network interface", "describe_network_interfaces", "NetworkInterfaces", "NetworkInterfaceId"),
        ("security group", "describe_security_groups", "SecurityGroups", "GroupId"),
    ):
        with translated(f"ec2:{operation}", region, session.profile):
            pages = ec2.get_paginator(operation).paginate(Filters=mine)
            found += [Left(kind, item[ident]) for page in pages for item in page[key]]
    with translated("ec2:DescribeKeyPairs", region, session.profile):
        found += [Left("key pair", item["KeyPairId"]) for item in ec2.describe_key_pairs(Filters=mine)["KeyPairs"]]
    return found


def sweep(session: Session, region: str, bake: str, name: str = "", deadline: float = DEADLINE) -> list[Left]:
    """Remove all of it; what there was. Raises CloudError naming what is left after the deadline."""
    began, found = time.monotonic(), left(session, region, bake, name)
    remaining = found
    while remaining:
        refused = _remove(session, region, remaining)
        remaining = left(session, region, bake, name)
        if remaining and time.monotonic() - began > deadline:
            raise CloudError(
                f"the bake left something in {region} that cannot be removed: {', '.join(map(str, remaining))}",
                where=f"tag {TAG}={bake}",
                why="; ".join(refused) or "AWS has not removed it yet",
                fix="remove it in the EC2 console; an instance costs until it is gone",
            )
        if remaining:
            time.sleep(0.2 if session.local else 5)
    return found


def _half_made(session: Session, region: str, name: str) -> list[str]:
    """Images of that name that never got their tags: Packer was killed while it made them."""
    with translated("ec2:DescribeImages", region, session.profile):
        said = session.client("ec2", region).describe_images(
            Owners=["self"], Filters=[{"Name": "name", "Values": [name]}]
        )
    return [item["ImageId"] for item in said["Images"] if OF not in {tag["Key"] for tag in item.get("Tags", ())}]


def _remove(session: Session, region: str, things: list[Left]) -> list[str]:
    """Ask for each to be removed; what was refused (an instance must end before its group can go)."""
    from botocore.exceptions import ClientError

    ec2 = session.client("ec2", region)
    how: dict[str, Callable[[str], Any]] = {
        "instance": lambda ident: ec2.terminate_instances(InstanceIds=[ident]),
        "image": lambda ident: _remove_image(session, region, ident),
        "volume": lambda ident: ec2.delete_volume(VolumeId=ident),
        "network interface": lambda ident: ec2.delete_network_interface(NetworkInterfaceId=ident),
        "security group": lambda ident: ec2.delete_security_group(GroupId=ident),
        "key pair": lambda ident: ec2.delete_key_pair(KeyPairId=ident),
    }
    refused = []
    for thing in things:
        try:
            how[thing.kind](thing.id)
        except ClientError as error:
            if not code_of(error).endswith(".NotFound"):
                refused.append(f"{thing}: {code_of(error)}")
    return refused


def _remove_image(session: Session, region: str, ident: str) -> None:
    ec2 = session.client("ec2", region)
    said = ec2.describe_images(ImageIds=[ident])["Images"]
    disks = [disk.get("Ebs", {}).get("SnapshotId", "") for item in said for disk in item["BlockDeviceMappings"]]
    ec2.deregister_image(ImageId=ident)
    store.delete_snapshots(session, region, [snapshot for snapshot in disks if snapshot])
