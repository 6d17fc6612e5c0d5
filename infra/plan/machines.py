"""The physical machines of a cluster, and what each of them is to become. Pure."""

from __future__ import annotations

from infra.plan.model import Machine
from infra.spec.models import Cluster, Metal, MetalHost, Profile


def machines(cluster: Cluster) -> tuple[Machine, ...]:
    """Every metal host, in the file's order."""
    return tuple(
        _machine(cluster, group, metal, host) for group, metal in cluster.metal.items() for host in metal.hosts
    )


def _machine(cluster: Cluster, group: str, metal: Metal, host: MetalHost) -> Machine:
    gpus = f"{metal.gpus.count} × {metal.gpus.model}" if metal.gpus else ""
    port = f":{host.port}" if host.port != 22 else ""
    login = f"{metal.user}@{host.address or host.name}{port}"
    return Machine(host.name, group, metal.profile, login, gpus, wants(cluster.profiles[metal.profile]))


def wants(profile: Profile) -> tuple[str, ...]:
    """What a profile makes of a machine, in words."""
    found: list[str] = [profile.os]
    if profile.nvidia:
        module = f" ({profile.nvidia.module} module)" if profile.nvidia.module else ""
        found += [f"driver {profile.nvidia.driver}{module}", f"CUDA {profile.nvidia.cuda}"]
    if profile.docker:
        found.append(f"docker {profile.docker.version}")
    return (*found, *profile.run_list)
