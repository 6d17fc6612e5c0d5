"""Instance types that moto's present lists have dropped (P3, P2, G3...), from our own excerpt of its earlier ones."""

from __future__ import annotations

from typing import Any


def older_types() -> None:
    """Labs still have P3 reservations and specs; DescribeInstanceTypes, offerings and launches know them here."""
    from moto.ec2.models import instance_types as moto

    from infra.spec.catalog import shipped

    catalog = shipped()
    for name in catalog.names():
        if name in moto.INSTANCE_TYPES:
            continue
        kind = catalog.instance(name)
        if kind is None:
            continue
        moto.INSTANCE_TYPES[name] = _answer(kind)
        moto.InstanceTypeBackend.instance_types.append(moto.InstanceType(name))
        for region in catalog.regions():
            zones = catalog.zones_offering(name, region)
            if not zones:
                continue
            _offer(moto.INSTANCE_TYPE_OFFERINGS, "region", region, name, region)
            for zone in zones:
                _offer(moto.INSTANCE_TYPE_OFFERINGS, "availability-zone", region, name, zone)


def _offer(offerings: dict[str, Any], kind: str, region: str, name: str, place: str) -> None:
    entry = {"InstanceType": name, "Location": place, "LocationType": kind}
    offerings[kind].setdefault(region, []).append(entry)


def _answer(kind: Any) -> dict[str, Any]:
    """The type as DescribeInstanceTypes gives it, as far as the excerpt knows."""
    answer: dict[str, Any] = {
        "InstanceType": kind.name,
        "CurrentGeneration": kind.current_generation,
        "BareMetal": kind.bare_metal,
        "BurstablePerformanceSupported": kind.burstable,
        "SupportedUsageClasses": list(kind.usage_classes),
        "SupportedRootDeviceTypes": ["ebs"],
        "SupportedVirtualizationTypes": ["hvm"],
        "ProcessorInfo": {"SupportedArchitectures": list(kind.architectures)},
        "VCpuInfo": {"DefaultVCpus": kind.vcpus},
        "MemoryInfo": {"SizeInMiB": kind.memory_mib},
        "InstanceStorageSupported": kind.local_nvme_gb > 0,
        "EbsInfo": {"EbsOptimizedSupport": "default", "EncryptionSupport": "supported"},
        "PlacementGroupInfo": {"SupportedStrategies": list(kind.placement)},
        "NetworkInfo": {
            "MaximumNetworkInterfaces": kind.max_interfaces,
            "MaximumNetworkCards": max(len(kind.network_cards), 1),
            "DefaultNetworkCardIndex": 0,
            "NetworkCards": [
                {"NetworkCardIndex": card.index, "MaximumNetworkInterfaces": card.max_interfaces}
                for card in kind.network_cards
            ],
            "EfaSupported": kind.efa,
            "Ipv6Supported": True,
        },
    }
    if kind.hypervisor:
        answer["Hypervisor"] = kind.hypervisor
    if kind.efa:
        answer["NetworkInfo"]["EfaInfo"] = {"MaximumEfaInterfaces": kind.max_efa_interfaces}
    if kind.gpus:
        answer["GpuInfo"] = {
            "Gpus": [
                {
                    "Name": gpu.name,
                    "Manufacturer": gpu.manufacturer,
                    "Count": gpu.count,
                    "MemoryInfo": {"SizeInMiB": gpu.memory_mib},
                }
                for gpu in kind.gpus
            ],
            "TotalGpuMemoryInMiB": sum(gpu.count * gpu.memory_mib for gpu in kind.gpus),
        }
    if kind.local_nvme_gb:
        answer["InstanceStorageInfo"] = {"TotalSizeInGB": kind.local_nvme_gb, "NvmeSupport": "supported"}
    return answer


PATCHES = (older_types,)
