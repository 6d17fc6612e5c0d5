"""The users of the machines, as a root knows them: key pairs, and what cloud-init is told."""

from __future__ import annotations

from typing import Any

from infra.cloud.project.storage import region_storage
from infra.cloud.project.terms import Ref, identifier
from infra.spec.models import Cluster

PLACE = "/etc/infra/place.json"
IMPORTABLE = ("ssh-rsa ", "ssh-ed25519 ")
"""The kinds of key that EC2 takes as a key pair; the others work, but reach a machine through cloud-init only."""


def key_pairs(cluster: Cluster) -> dict[str, str]:
    """The first key of each user that EC2 can hold as a key pair."""
    pairs: dict[str, str] = {}
    for name, user in sorted(cluster.access.users.items()):
        usable = [key for key in user.keys if key.startswith(IMPORTABLE)]
        pairs |= {name: usable[0]} if usable else {}
    return pairs


def key_name(cluster: Cluster) -> Ref | None:
    """The key pair that machines start with: the first user's (by name) who has sudo, else the first user's."""
    users = sorted(key_pairs(cluster), key=lambda name: (not cluster.access.users[name].sudo, name))
    return Ref(f'module.identity.keys["{users[0]}"]') if users else None


def cloud_config(cluster: Cluster, region: str) -> dict[str, Any]:
    """What cloud-init does at the first boot: users, keys, and where the machine is. All else is the policy's.

    An image serves every region, so the file systems of the one that it woke up in are told to it here.
    """
    users = [
        {
            "name": name,
            "shell": "/bin/bash",
            "ssh_authorized_keys": user.keys,
            **({"groups": ["sudo"], "sudo": "ALL=(ALL) NOPASSWD:ALL"} if user.sudo else {}),
        }
        for name, user in sorted(cluster.access.users.items())
    ]
    found: dict[str, Any] = {"users": ["default", *users]}
    if place(cluster, region):
        content = Ref("jsonencode(local.place)")
        found["write_files"] = [{"path": PLACE, "permissions": "0644", "content": content}]
    return found


def place(cluster: Cluster, region: str) -> dict[str, Any]:
    """What a machine is told of where it woke up; {} when there is nothing to tell.

    With Kubernetes: its cluster, and in which region's SSM it finds what it joins. ``endpoint`` is another AWS than
    Amazon's.
    """
    found: dict[str, Any] = {}
    systems = [name for name, item in region_storage(cluster, region).items() if item.efs]
    if systems:
        found["efs"] = {name: Ref(f"module.storage_{identifier(name)}.id") for name in systems}
    if cluster.kubernetes and cluster.aws:
        found |= {"cluster": cluster.cluster, "home": cluster.aws.home}
        if cluster.aws.endpoint and not cluster.local:
            found["endpoint"] = cluster.aws.endpoint
    return {"region": region, **found} if found else {}
