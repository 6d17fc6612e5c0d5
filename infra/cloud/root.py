"""The root module of one region: ``main.tf.json`` from a Cluster. Pure; the same Cluster gives the same text.

One module call per thing (``module.network``, ``module.pool_<name>``…), the AMI look-ups they share, and outputs.
Texts of the file are literals to Terraform: a :class:`~infra.cloud.root_terms.Ref` alone becomes an expression.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from infra import files
from infra.cloud import modules
from infra.cloud import root_machines as machines
from infra.cloud.provider import ProviderLine
from infra.cloud.root_settings import provider_block, terraform_block
from infra.cloud.root_terms import Ref, identifier, terms
from infra.spec.addresses import plan_addresses
from infra.spec.models import Cluster

MAIN = "main.tf.json"


def build(cluster: Cluster, region: str, line: ProviderLine) -> dict[str, Any]:
    """The content of ``main.tf.json`` for one region of the cluster. The cluster must have an ``aws`` part."""
    root: dict[str, Any] = {
        "terraform": terraform_block(cluster, region, line),
        "provider": {"aws": provider_block(cluster, region, line)},
        "data": _data(cluster, region),
        "locals": {"cloud_config": machines.cloud_config(cluster)},
        "module": {
            "network": _network(cluster, region),
            "security": _security(cluster),
            "identity": _identity(cluster, region),
            **machines.pool_calls(cluster, region, line),
        },
        "output": _outputs(cluster, region),
    }
    written: dict[str, Any] = terms({key: value for key, value in root.items() if value})
    return written


def write(cluster: Cluster, region: str, line: ProviderLine, into: Path) -> None:
    """Make ``into`` a complete Terraform project: ``main.tf.json`` and ``modules/``. Only what changed is written."""
    modules.render(line, into / modules.FOLDER)
    text = text_of(build(cluster, region, line))
    path = into / MAIN
    if not path.is_file() or files.read_text(path) != text:
        files.write_text(path, text)


def text_of(root: dict[str, Any]) -> str:
    """The text of ``main.tf.json``: sorted keys, two spaces, a final newline."""
    return json.dumps(root, indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def limits(cluster: Cluster, region: str, line: ProviderLine) -> list[str]:
    """Sentences on what the cluster asks for and this provider line cannot express; empty for the current line."""
    if line.major >= 6:
        return []
    found = []
    for name, pool in machines.region_pools(cluster, region).items():
        if pool.efa:
            found.append(f"pools.{name}: EFA interfaces are left out; machines get one ordinary interface")
        if pool.capacity.kind == "block":
            found.append(f"pools.{name}: the capacity block is used as a plain capacity reservation")
    version = line.constraint.strip("=~ ")
    return [f"{sentence} (AWS provider {version} has no argument for it)" for sentence in found]


def _data(cluster: Cluster, region: str) -> dict[str, Any]:
    pairs: set[tuple[str, str]] = set()
    for pool in machines.region_pools(cluster, region).values():
        pairs |= machines.wanted_image(cluster, pool.profile, pool.instance_types[0])
    return {"aws_ami": machines.image_data(pairs)} if pairs else {}


def _network(cluster: Cluster, region: str) -> dict[str, Any]:
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


def _security(cluster: Cluster) -> dict[str, Any]:
    return {
        "source": "./modules/security",
        "cluster": cluster.cluster,
        "address": "module.security",
        "vpc_id": Ref("module.network.vpc_id"),
        "ssh_from": cluster.access.ssh_from,
    }


def _identity(cluster: Cluster, region: str) -> dict[str, Any]:
    kinds = ["node"] if machines.region_pools(cluster, region) else []
    return {
        "source": "./modules/identity",
        "cluster": cluster.cluster,
        "address": "module.identity",
        "region": region,
        "kinds": kinds,
        "buckets": sorted({storage.s3.bucket for storage in cluster.storage.values() if storage.s3}),
        "users": {name: user.keys[0] for name, user in sorted(cluster.access.users.items())},
    }


def _outputs(cluster: Cluster, region: str) -> dict[str, Any]:
    pools = {name: Ref(f"module.pool_{identifier(name)}.group") for name in machines.region_pools(cluster, region)}
    return {
        "vpc_id": {"description": "Id of the VPC", "value": Ref("module.network.vpc_id")},
        "pools": {"description": "Name of the Auto Scaling group by pool", "value": pools},
    }
