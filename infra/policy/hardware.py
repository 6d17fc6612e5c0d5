"""What the machines of a profile have in common that its policy must know: the kernel module, the fabric manager.

Whatever can be seen on the machine itself is decided there, by PCI id. This is the rest: one archive goes to all
machines of the profile, so the weakest GPU decides the module, and the strongest whether a fabric manager is needed.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from infra.spec import catalog, gpus
from infra.spec.models import Cluster, Profile

# Families with NVSwitch in their sizes of more than one GPU.
SWITCHED = ("p4d", "p4de", "p5", "p5e", "p5en", "p6")
# Physical machines: so many of these in one box are on an NVSwitch board, if they are on any. Where there is none,
# the fabric manager is installed and its service stays off.
BOARDS = {"v100": 16, "a100": 8, "h100": 8, "h200": 8, "b200": 8, "b300": 8}


@dataclass(frozen=True, slots=True)
class Machine:
    """A kind of machine that has the profile. ``models`` are those of its GPUs that are known."""

    models: tuple[gpus.Model, ...]
    switched: bool


def machines(cluster: Cluster, name: str) -> Iterator[Machine]:
    """Every kind of machine of a profile. Those in the cloud with an AMI of their own never see the policy."""
    if cluster.profiles[name].image is None:
        for pool in cluster.pools.values():
            if pool.profile == name:
                yield from map(_instance, pool.instance_types)
        for host in cluster.hosts.values():
            if host.profile == name:
                yield _instance(host.instance_type)
    for metal in cluster.metal.values():
        model = gpus.by_name(metal.gpus.model) if metal.gpus and metal.profile == name else None
        if model is not None and metal.gpus is not None:
            yield Machine((model,), metal.gpus.count >= BOARDS.get(model.name, 99))


def _instance(type_name: str) -> Machine:
    kind = catalog.instance(type_name)
    if kind is None:
        return Machine((), False)
    found = (gpus.by_ec2_name(gpu.name, gpu.manufacturer) for gpu in kind.gpus)
    family = kind.family.partition("-")[0]
    switched = kind.gpu_count > 1 and (family in SWITCHED or family.startswith("p6"))
    return Machine(tuple(model for model in found if model), switched)


def module(profile: Profile, found: list[Machine]) -> gpus.Module:
    """The kernel module: as the profile says, else the one that every GPU of its machines can have."""
    assert profile.nvidia is not None
    if profile.nvidia.module is not None:
        return profile.nvidia.module
    old = any("open" not in model.architecture.modules for machine in found for model in machine.models)
    return "proprietary" if old or gpus.branch(profile.nvidia.driver) < gpus.OPEN_SINCE else "open"


def fabric_manager(found: list[Machine]) -> bool:
    return any(machine.switched for machine in found)
