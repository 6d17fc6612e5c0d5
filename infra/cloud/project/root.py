"""The root module of one region: ``main.tf.json`` from a Cluster. Pure; the same Cluster gives the same text.

One module call per thing (``module.network``, ``module.pool_<name>``…), the AMI look-ups they share, and outputs.
Texts of the file are literals to Terraform: a :class:`~infra.cloud.project.terms.Ref` alone becomes an expression.
"""

from __future__ import annotations

from typing import Any

from infra.cloud.project import machines, storage
from infra.cloud.project.access import cloud_config, key_pairs, place
from infra.cloud.project.provider import ProviderLine
from infra.cloud.project.settings import provider_block, terraform_block
from infra.cloud.project.terms import Ref, identifier, terms
from infra.spec import ledger
from infra.spec.addresses import plan_addresses
from infra.spec.models import Cluster


def build(cluster: Cluster, region: str, line: ProviderLine) -> dict[str, Any]:
    """The content of ``main.tf.json`` for one region of the cluster. The cluster must have an ``aws`` part."""
    images = machines.image_data(cluster, region)
    root: dict[str, Any] = {
        "terraform": terraform_block(cluster, region, line),
        "provider": {"aws": provider_block(cluster, region, line)},
        "data": {"aws_ami": images} if images else {},
        "locals": {
            "cloud_config": cloud_config(cluster, region),
            **_place(cluster, region),
            **machines.shared_interfaces(cluster, region, line),
        },
        "module": {
            "network": _network(cluster, region),
            "security": _security(cluster, region),
            "identity": _identity(cluster, region),
            **machines.pool_calls(cluster, region, line),
            **machines.host_calls(cluster, region),
            **machines.control_plane_call(cluster, region),
            **storage.storage_calls(cluster, region),
        },
        "output": _outputs(cluster, region),
    }
    written: dict[str, Any] = terms({key: value for key, value in root.items() if value})
    return written


def limits(cluster: Cluster, region: str, line: ProviderLine) -> list[str]:
    """Sentences on what the cluster asks for and this provider line cannot express; empty for the current line."""
    if line.major >= 6:
        return []
    found = []
    for name, pool in machines.region_pools(cluster, region).items():
        if pool.efa:
            found.append(f"pools.{name}: machines get one ordinary network interface, no EFA")
        if pool.capacity.kind == "block":
            found.append(f"pools.{name}: the capacity block is used as an ordinary reservation")
    for name, item in storage.region_storage(cluster, region).items():
        if item.efs and item.efs.throughput != "bursting":
            found.append(f"storage.{name}: throughput is bursting, not {item.efs.throughput}")
        if item.efs and item.efs.backup:
            found.append(f"storage.{name}: no daily backup")
    return [f"{sentence} (AWS provider {line.constraint.strip('=~ ')} has no argument for it)" for sentence in found]


def _network(cluster: Cluster, region: str) -> dict[str, Any]:
    existing = cluster.network.existing.get(region)
    if existing is not None:
        return {
            "source": "./modules/existing",
            "vpc": existing.vpc.model_dump(),
            "private": existing.private.model_dump(),
            "public": existing.public and existing.public.model_dump(),
        }
    addresses = plan_addresses(cluster)[region]
    return {
        "source": "./modules/network",
        "cluster": cluster.cluster,
        "address": "module.network",
        "region": region,
        "cidr": addresses.vpc,
        "private_cidrs": addresses.private,
        "public_cidrs": addresses.public,
        "nat": cluster.network.nat,
        "flow_logs": cluster.network.flow_logs,
    }


def _place(cluster: Cluster, region: str) -> dict[str, Any]:
    found = place(cluster, region)
    return {"place": found} if found else {}


def _security(cluster: Cluster, region: str) -> dict[str, Any]:
    networks = machines.far_networks(cluster, region)
    if machines.has_control_plane(cluster, region):
        networks = [Ref("module.network.cidr"), *networks]
    return {
        "source": "./modules/security",
        "cluster": cluster.cluster,
        "address": "module.security",
        "vpc_id": Ref("module.network.vpc_id"),
        "ssh_from": cluster.access.ssh_from,
        **({"overlay_from": networks} if networks else {}),
    }


def _identity(cluster: Cluster, region: str) -> dict[str, Any]:
    return {
        "source": "./modules/identity",
        "cluster": cluster.cluster,
        "address": "module.identity",
        "region": region,
        **({"home": cluster.aws.home} if cluster.kubernetes and cluster.aws else {}),
        "kinds": machines.kinds(cluster, region),
        "buckets": storage.bucket_names(cluster),
        "users": key_pairs(cluster),
        **_pull(cluster),
    }


def _pull(cluster: Cluster) -> dict[str, list[str]]:
    """What machines that fetch their policy by themselves read and write: nothing else in that bucket."""
    place = ledger.known(cluster) if cluster.converge.pull else None
    if place is None:
        return {}
    top = f"{place.bucket}/{place.prefix}"
    return {"archives": [f"{top}policies", f"{top}promoted"], "reports": [f"{top}reports"]}


def _outputs(cluster: Cluster, region: str) -> dict[str, Any]:
    pools = {name: Ref(f"module.pool_{identifier(name)}.groups") for name in machines.region_pools(cluster, region)}
    hosts = {name: Ref(f"module.host_{identifier(name)}.machines") for name in machines.region_hosts(cluster, region)}
    stores = {
        name: Ref(f"module.storage_{identifier(name)}.{'dns_name' if item.efs else 'bucket'}")
        for name, item in storage.region_storage(cluster, region).items()
    }
    wanted = {
        "vpc_id": ("Id of the VPC", Ref("module.network.vpc_id")),
        "pools": ("Names of the Auto Scaling groups by pool", pools),
        "hosts": ("Id and addresses of each machine by host", hosts),
        "storage": ("Name of the bucket, or under which the file system is mounted, by storage", stores),
    }
    if machines.has_control_plane(cluster, region):
        wanted["control_plane"] = ("Where the Kubernetes API is", Ref("module.control_plane.endpoint"))
    return {name: {"description": text, "value": value} for name, (text, value) in wanted.items() if value}
