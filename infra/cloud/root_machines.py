"""The parts of a root that are machines: AMI look-ups, pools, hosts and the control plane."""

from __future__ import annotations

from typing import Any

from infra.cloud.provider import ProviderLine
from infra.cloud.root_terms import Ref, identifier
from infra.spec import catalog
from infra.spec.models import Cluster, Pool, Profile

CANONICAL = "099720109477"
RELEASES = {"ubuntu-22.04": "jammy-22.04", "ubuntu-24.04": "noble-24.04"}
ARCHITECTURES = {"x86_64": "amd64", "arm64": "arm64"}


def region_pools(cluster: Cluster, region: str) -> dict[str, Pool]:
    return {name: pool for name, pool in sorted(cluster.pools.items()) if region in cluster.pool_regions(pool)}


def pool_calls(cluster: Cluster, region: str, line: ProviderLine) -> dict[str, Any]:
    common = {
        "source": "./modules/pool",
        "cluster": cluster.cluster,
        "security_groups": [Ref("module.security.nodes")],
        "instance_profile": Ref('module.identity.profiles["node"]'),
        "key_name": key_name(cluster),
        "cloud_config": Ref("local.cloud_config"),
    }
    return {
        f"pool_{identifier(name)}": {**common, **_pool(cluster, name, pool, line)}
        for name, pool in region_pools(cluster, region).items()
    }


def _pool(cluster: Cluster, name: str, pool: Pool, line: ProviderLine) -> dict[str, Any]:
    return {
        "address": f"module.pool_{identifier(name)}",
        "name": name,
        "profile": pool.profile,
        "image_id": image(cluster, pool.profile, pool.instance_types[0]),
        "instance_types": pool.instance_types,
        "size": {"min": pool.size.min, "desired": pool.size.desired, "max": pool.size.max},
        "autoscaled": cluster.autoscaled(name),
        "capacity": {
            "kind": pool.capacity.kind,
            "reservation": pool.capacity.reservation,
            "on_demand_base": pool.capacity.on_demand_base,
        },
        "placement": pool.placement,
        "disk": pool.disk,
        "subnets": Ref(f"module.network.{pool.subnets}_subnets"),
        "public": pool.subnets == "public",
        "interfaces": interfaces(pool, line),
        "labels": pool.labels,
        "taints": {taint.key: f"{taint.value}:{taint.effect}" for taint in pool.taints},
        "resources": resources(pool),
    }


def interfaces(pool: Pool, line: ProviderLine) -> list[dict[str, Any]]:
    """The network interfaces of a pool's machines: one, or with EFA one on each card that takes it.

    The first card carries the machine's address. The other cards get interfaces without IP (``efa-only``) where the
    type has them, so that a large machine does not use up a subnet.
    """
    plain = {"card": 0, "device": 0, "type": "interface"}
    kind = catalog.instance(pool.instance_types[0])
    if not pool.efa or line.major < 6 or kind is None or not kind.efa:
        return [plain]
    found: list[dict[str, Any]] = []
    for card in kind.network_cards[: kind.max_efa_interfaces + 1]:
        if card.index == 0:
            found.append({**plain, "type": "efa"} if card.efa else plain)
            if not card.efa and card.efa_only:
                found.append({"card": 0, "device": 1, "type": "efa-only"})
        elif card.efa or card.efa_only:
            found.append({"card": card.index, "device": 1, "type": "efa-only" if card.efa_only else "efa"})
    return found


def resources(pool: Pool) -> dict[str, str]:
    """What the smallest machine of a pool offers beyond CPU and memory, as Kubernetes names it."""
    kinds = [kind for kind in map(catalog.instance, pool.instance_types) if kind is not None]
    found = {"ephemeral-storage": f"{pool.disk}G"}
    makers = {"nvidia": "nvidia.com/gpu", "amd": "amd.com/gpu"}
    for maker, resource in makers.items():
        counts = [sum(gpu.count for gpu in kind.gpus if gpu.manufacturer.lower() == maker) for kind in kinds]
        if counts and min(counts):
            found[resource] = str(min(counts))
    if pool.efa and kinds and kinds[0].max_efa_interfaces:
        found["vpc.amazonaws.com/efa"] = str(kinds[0].max_efa_interfaces)
    return found


def key_name(cluster: Cluster) -> Ref | None:
    """The key pair that machines start with: the first user's who has sudo, else the first user's."""
    users = sorted(cluster.access.users, key=lambda name: not cluster.access.users[name].sudo)
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


def image(cluster: Cluster, profile: str, instance_type: str) -> str:
    """The AMI of a profile: the one it names, else the newest of Canonical's for its OS."""
    wanted = cluster.profiles.get(profile, Profile())
    return wanted.image or Ref(f"data.aws_ami.{_image_name(wanted.os, _architecture(instance_type))}.id")


def image_data(pairs: set[tuple[str, str]]) -> dict[str, Any]:
    """The look-ups of Canonical's images for pairs of OS and architecture."""
    return {_image_name(system, architecture): _canonical(system, architecture) for system, architecture in pairs}


def wanted_image(cluster: Cluster, profile: str, instance_type: str) -> set[tuple[str, str]]:
    """The look-up that :func:`image` refers to, as a set of none or one."""
    wanted = cluster.profiles.get(profile, Profile())
    return set() if wanted.image else {(wanted.os, _architecture(instance_type))}


def _canonical(system: str, architecture: str) -> dict[str, Any]:
    release = f"ubuntu-{RELEASES[system]}-{ARCHITECTURES[architecture]}-server-*"
    names = [f"ubuntu/images/hvm-ssd/{release}", f"ubuntu/images/hvm-ssd-gp3/{release}"]
    return {
        "owners": [CANONICAL],
        "most_recent": True,
        "filter": [
            {"name": "name", "values": names},
            {"name": "architecture", "values": [architecture]},
            {"name": "virtualization-type", "values": ["hvm"]},
        ],
    }


def _image_name(system: str, architecture: str) -> str:
    return f"{system}-{architecture}".replace("-", "_").replace(".", "_")


def _architecture(instance_type: str) -> str:
    kind = catalog.instance(instance_type)
    known = [name for name in (kind.architectures if kind else ()) if name in ARCHITECTURES]
    return known[-1] if known else "x86_64"
