"""The parts of a root that are machines: pools, hosts and the control plane."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from infra.cloud.project.access import PLACE, key_name
from infra.cloud.project.images import image, look_ups
from infra.cloud.project.provider import ProviderLine
from infra.cloud.project.terms import Ref, expression, identifier
from infra.spec import catalog
from infra.spec.addresses import plan_addresses
from infra.spec.models import CONTROL_PLANE, Cluster, Host, Pool, Profile


def region_pools(cluster: Cluster, region: str) -> dict[str, Pool]:
    return {name: pool for name, pool in sorted(cluster.pools.items()) if region in cluster.pool_regions(pool)}


def pool_calls(cluster: Cluster, region: str, line: ProviderLine) -> dict[str, Any]:
    common = {
        "source": "./modules/pool",
        "cluster": cluster.cluster,
        **_access(cluster, "node"),
    }
    return {
        f"pool_{identifier(name)}": {**common, **_pool(cluster, name, pool, line)}
        for name, pool in region_pools(cluster, region).items()
    }


def _pool(cluster: Cluster, name: str, pool: Pool, line: ProviderLine) -> dict[str, Any]:
    efa = _efa_type(pool, line)
    return {
        "address": f"module.pool_{identifier(name)}",
        "name": name,
        "profile": pool.profile,
        "image_id": image(profile_of(cluster, pool), pool.instance_types[0]),
        "instance_types": pool.instance_types,
        "size": {"min": pool.size.min, "desired": pool.size.desired, "max": pool.size.max},
        "autoscaled": cluster.autoscaled(name),
        "capacity": {
            "kind": pool.capacity.kind,
            "reservation": pool.capacity.reservation,
            "on_demand_base": pool.capacity.on_demand_base,
        },
        "placement": pool.placement,
        "zone": pool.zone,
        "disk": pool.disk,
        "subnets": Ref(f"module.network.{pool.subnets}_subnets"),
        "public": pool.subnets == "public",
        "interfaces": Ref(f'local.interfaces["{efa.name}"]') if efa else [{}],
        **_told(cluster, pool),
        "labels": pool.labels,
        "taints": {taint.key: f"{taint.value}:{taint.effect}" for taint in pool.taints},
        "resources": resources(pool, efa),
    }


def _told(cluster: Cluster, pool: Pool) -> dict[str, Any]:
    """cloud-init's orders for a machine that joins a Kubernetes cluster by itself: its place says as what."""
    if cluster.kubernetes is None:
        return {}
    taints = [taint.model_dump() for taint in pool.taints]
    place = expression({"role": "node", "labels": pool.labels, "taints": taints})
    file = f'{{path = "{PLACE}", permissions = "0644", content = jsonencode(merge(local.place, {place}))}}'
    return {
        "cloud_config": Ref(f"merge(local.cloud_config, {{write_files = [{file}]}})"),
        # A pod is one hop further than its machine.
        "metadata_hops": 2 if cluster.kubernetes.pod_credentials == "node" else 1,
    }


def far_networks(cluster: Cluster, region: str) -> list[str]:
    """Networks outside a region's VPC that have machines of the same Kubernetes cluster: those of metal that the file
    knows, and the VPCs of the other regions that are made by us. A way there is the lab's own matter."""
    if cluster.kubernetes is None or not (region_pools(cluster, region) or has_control_plane(cluster, region)):
        return []
    found = {metal.cidr for metal in cluster.metal.values() if metal.cidr}
    for other, addresses in plan_addresses(cluster).items():
        used = region_pools(cluster, other) or has_control_plane(cluster, other)
        if other != region and other not in cluster.network.existing and used:
            found.add(addresses.vpc)
    return sorted(found)


def region_hosts(cluster: Cluster, region: str) -> dict[str, Host]:
    return {name: host for name, host in sorted(cluster.hosts.items()) if region in cluster.host_region(host)}


def host_calls(cluster: Cluster, region: str) -> dict[str, Any]:
    return {
        f"host_{identifier(name)}": {
            "source": "./modules/host",
            "cluster": cluster.cluster,
            "address": f"module.host_{identifier(name)}",
            "name": name,
            "machines": host.count,
            "profile": host.profile,
            "image_id": image(profile_of(cluster, host), host.instance_type),
            "instance_type": host.instance_type,
            "disk": host.disk,
            "subnets": Ref(f"module.network.{host_subnets(cluster, host)}_subnets"),
            "public": host_subnets(cluster, host) == "public",
            **_access(cluster, "host"),
        }
        for name, host in region_hosts(cluster, region).items()
    }


def host_subnets(cluster: Cluster, host: Host) -> str:
    """``public`` or ``private``: what the host says, else public when anybody may reach it from outside."""
    return host.subnets or ("public" if cluster.access.ssh_from else "private")


def control_plane_call(cluster: Cluster, region: str) -> dict[str, Any]:
    """``module.control_plane`` in the home region of a cluster with Kubernetes; nothing elsewhere."""
    if cluster.kubernetes is None or not has_control_plane(cluster, region):
        return {}
    plane = cluster.kubernetes.control_plane
    call = {
        "source": "./modules/control_plane",
        "cluster": cluster.cluster,
        "address": "module.control_plane",
        "machines": plane.count,
        "image_id": image(cluster.profiles[CONTROL_PLANE], plane.instance_type),
        "instance_type": plane.instance_type,
        "disk": plane.disk,
        "vpc_id": Ref("module.network.vpc_id"),
        "cidr": Ref("module.network.cidr"),
        "subnets": Ref("module.network.private_subnets"),
        "api_from": sorted({*cluster.access.ssh_from, *far_networks(cluster, region)}),
        "overlay_from": far_networks(cluster, region),
        "nodes": Ref("module.security.nodes"),
        **_access(cluster, "control-plane"),
        "security_groups": [],
        "place": Ref(f"merge(local.place, {expression({'role': CONTROL_PLANE})})"),
    }
    return {"control_plane": call}


def image_data(cluster: Cluster, region: str) -> dict[str, Any]:
    """The image look-ups of all machines in a region."""
    pools, hosts = region_pools(cluster, region).values(), region_hosts(cluster, region).values()
    wanted = [(profile_of(cluster, pool), pool.instance_types[0]) for pool in pools]
    wanted += [(profile_of(cluster, host), host.instance_type) for host in hosts]
    if cluster.kubernetes and has_control_plane(cluster, region):
        wanted.append((cluster.profiles[CONTROL_PLANE], cluster.kubernetes.control_plane.instance_type))
    return look_ups(wanted)


def profile_of(cluster: Cluster, machine: Pool | Host) -> Profile:
    """The machine's profile; the default one when the file lacks it, which is a rule's matter."""
    return cluster.profiles.get(machine.profile) or Profile()


def has_control_plane(cluster: Cluster, region: str) -> bool:
    return cluster.cloud_plane is not None and cluster.aws is not None and region == cluster.aws.home


def kinds(cluster: Cluster, region: str) -> list[str]:
    """The kinds of machine in a region; each has a role of its own."""
    present = {
        "control-plane": has_control_plane(cluster, region),
        "host": bool(region_hosts(cluster, region)),
        "node": bool(region_pools(cluster, region)),
    }
    return [kind for kind, there in present.items() if there]


def _access(cluster: Cluster, kind: str) -> dict[str, Any]:
    """Who may reach a machine, and what it may do."""
    return {
        "security_groups": [Ref("module.security.nodes")],
        "instance_profile": Ref(f'module.identity.profiles["{kind}"]'),
        "key_name": key_name(cluster),
        "cloud_config": Ref("local.cloud_config"),
    }


def shared_interfaces(cluster: Cluster, region: str, line: ProviderLine) -> dict[str, Any]:
    """``interfaces``: the network interfaces of each instance type whose EFA cards are used. {} when there is none."""
    pools = region_pools(cluster, region).values()
    types = {kind.name: kind for kind in (_efa_type(pool, line) for pool in pools) if kind is not None}
    return {"interfaces": {name: efa_interfaces(kind) for name, kind in types.items()}} if types else {}


def efa_interfaces(kind: catalog.InstanceType) -> list[dict[str, Any]]:
    """One network interface on each card that takes EFA, and always the machine's own on the first.

    The first carries the machine's address. The others are without IP (``efa-only``) where the type has that, so that
    large machines do not use up a subnet.
    """
    found: list[dict[str, Any]] = []
    for card in kind.network_cards:
        if card.index == 0:
            found.append({"card": 0, "device": 0, **({"type": "efa"} if card.efa else {})})
        if card.index > 0 or (card.efa_only and not card.efa):
            names = [name for name, fits in (("efa-only", card.efa_only), ("efa", card.efa)) if fits]
            found += [{"card": card.index, "device": 1, "type": name} for name in names[:1]]
    return found


def _efa_type(pool: Pool, line: ProviderLine) -> catalog.InstanceType | None:
    """The type whose EFA interfaces the pool's machines get: of several the one with the fewest; None for no EFA."""
    kinds = [kind for kind in _types(pool) if kind.efa] if pool.efa and line.major >= 6 else []
    return min(kinds, key=lambda kind: kind.max_efa_interfaces, default=None)


def resources(pool: Pool, efa: catalog.InstanceType | None) -> dict[str, dict[str, str]]:
    """What a machine of each type offers beyond CPU and memory, as Kubernetes names it."""
    return {name: _offers(pool, _instance(name), efa) for name in pool.instance_types}


def _offers(pool: Pool, kind: catalog.InstanceType | None, efa: catalog.InstanceType | None) -> dict[str, str]:
    found = {"ephemeral-storage": f"{pool.disk}G"}
    if kind is not None:
        counts = {"nvidia.com/gpu": _gpus(kind, "nvidia"), "amd.com/gpu": _gpus(kind, "amd")}
        found |= {name: str(count) for name, count in counts.items() if count}
    if efa is not None:
        found["vpc.amazonaws.com/efa"] = str(efa.max_efa_interfaces)
    return found


def _types(pool: Pool) -> list[catalog.InstanceType]:
    return [kind for kind in map(_instance, pool.instance_types) if kind is not None]


@lru_cache(maxsize=512)
def _instance(name: str) -> catalog.InstanceType | None:
    return catalog.instance(name)


def _gpus(kind: catalog.InstanceType, maker: str) -> int:
    return sum(gpu.count for gpu in kind.gpus if gpu.manufacturer.lower() == maker)
