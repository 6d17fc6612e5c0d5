"""The users of the machines, as a root knows them: key pairs, and what cloud-init is told."""

from __future__ import annotations

from typing import Any

from infra.cloud.project.terms import Ref
from infra.spec.models import Cluster

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


def cloud_config(cluster: Cluster) -> dict[str, Any]:
    """What cloud-init does at the first boot: the users and their keys. All else is the policy's."""
    users = [
        {
            "name": name,
            "shell": "/bin/bash",
            "ssh_authorized_keys": user.keys,
            **({"groups": ["sudo"], "sudo": "ALL=(ALL) NOPASSWD:ALL"} if user.sudo else {}),
        }
        for name, user in sorted(cluster.access.users.items())
    ]
    return {"users": ["default", *users]}
