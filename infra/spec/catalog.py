"""What EC2 instance types are made of, and where they are offered: a dated excerpt that ships, or fresher data.

The excerpt (``infra/data/instances.json.gz``) is taken by ``scripts/data/instances`` from the resource files of
moto, which are DescribeInstanceTypes and DescribeInstanceTypeOfferings answers. It is read on first use, in a few
milliseconds, and an instance type becomes an object only when somebody asks for it. Answers of the real API can be
laid over it with :meth:`Catalog.overlay`.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from importlib import resources
from typing import Any

from infra.errors import AssetError

DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz-_"
"""One digit says in which of up to six zones of a region a type is offered: bit 0 is the first zone."""


@dataclass(frozen=True, slots=True)
class Gpu:
    """One kind of GPU in a type. ``memory_mib`` is of one GPU; ``share`` < 1 is a slice of a physical one."""

    name: str
    count: int
    memory_mib: int
    manufacturer: str
    share: float = 1.0


@dataclass(frozen=True, slots=True)
class NetworkCard:
    """A network card: how many interfaces fit, and whether one may be an ``efa`` or an ``efa-only`` interface."""

    index: int
    max_interfaces: int
    efa: bool
    efa_only: bool


@dataclass(frozen=True, slots=True)
class InstanceType:
    """One EC2 instance type. Memory in MiB, disks in GB (10^9), as EC2 counts them.

    ``usage_classes`` are of on-demand, spot, capacity-block; ``placement`` of cluster, partition, spread.
    ``listed`` is False for a type that only an older list still has; ``last_listed`` is that list's date.
    """

    name: str
    vcpus: int
    memory_mib: int
    architectures: tuple[str, ...] = ()
    gpus: tuple[Gpu, ...] = ()
    max_efa_interfaces: int = 0
    network_cards: tuple[NetworkCard, ...] = ()
    max_interfaces: int = 0
    placement: tuple[str, ...] = ()
    usage_classes: tuple[str, ...] = ()
    bare_metal: bool = False
    burstable: bool = False
    local_nvme_gb: int = 0
    hypervisor: str = ""
    current_generation: bool = True
    listed: bool = True
    last_listed: str = ""

    @property
    def family(self) -> str:
        return self.name.partition(".")[0]

    @property
    def efa(self) -> bool:
        return self.max_efa_interfaces > 0

    @property
    def gpu_count(self) -> int:
        return sum(gpu.count for gpu in self.gpus)


@dataclass(frozen=True)
class Catalog:
    """Types and offerings of one moment. ``source`` and ``date`` say whose and when; shown wherever they decide."""

    source: str
    date: str
    _names: tuple[str, ...]
    _types: Mapping[str, InstanceType]
    _rows: Mapping[str, Sequence[Any]] = field(default_factory=dict)
    _tables: Mapping[str, Any] = field(default_factory=dict)
    _zones: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    _offers: Mapping[str, Mapping[str, int] | str] = field(default_factory=dict)

    def instance(self, name: str) -> InstanceType | None:
        """The type of that name, None when this catalog does not know it."""
        known = self._types.get(name)
        if known is None and name in self._rows:
            return _from_row(name, self._rows[name], self._tables)
        return known

    def names(self) -> tuple[str, ...]:
        """Every known type, sorted, retired ones included."""
        return self._names

    def regions(self) -> tuple[str, ...]:
        return tuple(sorted(self._zones))

    def zones(self, region: str) -> tuple[str, ...]:
        """The region's availability zones, sorted; empty when the region is unknown."""
        return self._zones.get(region, ())

    def offered(self, name: str, region: str) -> bool | None:
        """Whether the region offers the type. None: not known, because the region or the type is not in here,
        or because only an older list (``InstanceType.listed`` is False) had it in that region."""
        zones = self.zones_offering(name, region)
        if zones is None:
            return None
        if not zones:
            return False
        known = self.instance(name)
        fresh = isinstance(self._offers.get(region), Mapping)
        return True if fresh or known is None or known.listed else None

    def zones_offering(self, name: str, region: str) -> tuple[str, ...] | None:
        """The zones of the region that offer the type (of a retired type: offered it); None when not known."""
        if region not in self._zones or self.instance(name) is None:
            return None
        offers = self._offers.get(region, {})
        if isinstance(offers, str):
            place = self._tables["places"].get(name)
            mask = 0 if place is None else DIGITS.index(offers[place])
        else:
            mask = offers.get(name, 0)
        return tuple(zone for bit, zone in enumerate(self._zones[region]) if mask >> bit & 1)

    def overlay(
        self,
        types: Iterable[InstanceType],
        offerings: Mapping[str, Mapping[str, Iterable[str]]] | None = None,
        *,
        source: str,
        date: str,
    ) -> Catalog:
        """A catalog in which ``types`` replace those of the same name, and in which each region of ``offerings``
        (region -> zone -> type names) is as said there. All other regions and types stay as they were."""
        fresh = {**self._types, **{kind.name: kind for kind in types}}
        zones, offers = dict(self._zones), dict(self._offers)
        for region, by_zone in (offerings or {}).items():
            zones[region] = tuple(sorted(by_zone))
            masks: dict[str, int] = {}
            for bit, zone in enumerate(zones[region]):
                for name in by_zone[zone]:
                    masks[name] = masks.get(name, 0) | 1 << bit
            offers[region] = masks
        names = tuple(sorted({*self._names, *fresh}))
        return Catalog(source, date, names, fresh, self._rows, self._tables, zones, offers)


def from_api(raw: Mapping[str, Any], date: str = "") -> InstanceType:
    """One entry of DescribeInstanceTypes' ``InstanceTypes``."""
    net = raw["NetworkInfo"]
    disks = raw.get("InstanceStorageInfo", {})
    return InstanceType(
        name=raw["InstanceType"],
        vcpus=int(raw["VCpuInfo"]["DefaultVCpus"]),
        memory_mib=int(raw["MemoryInfo"]["SizeInMiB"]),
        architectures=tuple(sorted(raw["ProcessorInfo"].get("SupportedArchitectures", ()))),
        gpus=tuple(_gpu(gpu) for gpu in raw.get("GpuInfo", {}).get("Gpus", ())),
        max_efa_interfaces=_efa_interfaces(net),
        network_cards=_cards(net),
        max_interfaces=int(net["MaximumNetworkInterfaces"]),
        placement=tuple(sorted(raw.get("PlacementGroupInfo", {}).get("SupportedStrategies", ()))),
        usage_classes=tuple(sorted(raw.get("SupportedUsageClasses", ()))),
        bare_metal=bool(raw.get("BareMetal")),
        burstable=bool(raw.get("BurstablePerformanceSupported")),
        local_nvme_gb=0 if disks.get("NvmeSupport", "unsupported") == "unsupported" else int(disks["TotalSizeInGB"]),
        hypervisor=raw.get("Hypervisor", ""),
        current_generation=bool(raw.get("CurrentGeneration", True)),
        last_listed=date,
    )


def _gpu(raw: Mapping[str, Any]) -> Gpu:
    # A slice of a GPU (g6f) has Count 0 and is counted as a logical GPU instead.
    return Gpu(
        name=raw["Name"],
        count=int(raw.get("LogicalGpuCount") or raw["Count"]),
        memory_mib=int(raw.get("MemoryInfo", {}).get("SizeInMiB", 0)),
        manufacturer=raw.get("Manufacturer", ""),
        share=float(raw.get("GpuPartitionSize", 1.0)),
    )


def _efa_interfaces(net: Mapping[str, Any]) -> int:
    return int(net.get("EfaInfo", {}).get("MaximumEfaInterfaces", 1)) if net.get("EfaSupported") else 0


def _cards(net: Mapping[str, Any]) -> tuple[NetworkCard, ...]:
    cards = []
    for place, raw in enumerate(net.get("NetworkCards", ())):
        # Answers from before 2025 do not name interface types; then every card up to the maximum takes an EFA.
        kinds = raw.get("InterfaceTypes", ["efa"] if place < _efa_interfaces(net) else [])
        cards.append(
            NetworkCard(
                index=int(raw["NetworkCardIndex"]),
                max_interfaces=int(raw["MaximumNetworkInterfaces"]),
                efa="efa" in kinds,
                efa_only="efa-only" in kinds,
            )
        )
    return tuple(sorted(cards, key=lambda card: card.index))


def _from_row(name: str, row: Sequence[Any], tables: Mapping[str, Any]) -> InstanceType:
    """The object behind one row of the excerpt; the columns are those that :func:`to_row` writes."""
    vcpus, memory, sets, gpus, efa, cards, interfaces, flags, nvme, source = row
    architectures, placement, usage, hypervisor = tables["sets"][sets]
    return InstanceType(
        name=name,
        vcpus=vcpus,
        memory_mib=memory,
        architectures=tuple(architectures),
        gpus=tuple(Gpu(*gpu) for gpu in tables["gpus"][gpus]),
        max_efa_interfaces=efa,
        network_cards=tuple(
            NetworkCard(index, count, bool(kinds & 1), bool(kinds & 2))
            for index, (count, kinds) in enumerate(tables["cards"][cards])
        ),
        max_interfaces=interfaces,
        placement=tuple(placement),
        usage_classes=tuple(usage),
        bare_metal=bool(flags & 1),
        burstable=bool(flags & 2),
        local_nvme_gb=nvme,
        hypervisor=hypervisor,
        current_generation=bool(flags & 4),
        listed=source == 0,
        last_listed=tables["sources"][source]["date"],
    )


def to_row(kind: InstanceType, source: int, tables: dict[str, list[Any]]) -> list[Any]:
    """The inverse of reading a row: what repeats goes into ``tables``. Used by ``scripts/data/instances``."""

    def place(table: str, value: Any) -> int:
        if value not in tables[table]:
            tables[table].append(value)
        return tables[table].index(value)

    if [card.index for card in kind.network_cards] != list(range(len(kind.network_cards))):
        raise ValueError(f"{kind.name}: network cards are not numbered from 0")
    sets = [list(kind.architectures), list(kind.placement), list(kind.usage_classes), kind.hypervisor]
    gpus = [[gpu.name, gpu.count, gpu.memory_mib, gpu.manufacturer, gpu.share] for gpu in kind.gpus]
    cards = [[card.max_interfaces, card.efa | card.efa_only << 1] for card in kind.network_cards]
    return [
        kind.vcpus,
        kind.memory_mib,
        place("sets", sets),
        place("gpus", gpus),
        kind.max_efa_interfaces,
        place("cards", cards),
        kind.max_interfaces,
        kind.bare_metal | kind.burstable << 1 | kind.current_generation << 2,
        kind.local_nvme_gb,
        source,
    ]


def parse(data: Mapping[str, Any]) -> Catalog:
    """A catalog from the content of ``instances.json.gz``."""
    rows: Mapping[str, Sequence[Any]] = data["types"]
    tables = {
        "sets": data["sets"],
        "gpus": data["gpus"],
        "cards": data["cards"],
        "sources": data["sources"],
        "places": {name: place for place, name in enumerate(rows)},
    }
    newest = data["sources"][0]
    return Catalog(
        source=newest["name"],
        date=newest["date"],
        _names=tuple(rows),
        _types={},
        _rows=rows,
        _tables=tables,
        _zones={region: tuple(zones) for region, zones in data["zones"].items()},
        _offers=data["offers"],
    )


@lru_cache(maxsize=1)
def shipped() -> Catalog:
    """The excerpt that ships with us. Raises AssetError when it is missing or damaged."""
    try:
        raw = resources.files("infra.data").joinpath("instances.json.gz").read_bytes()
        return parse(json.loads(gzip.decompress(raw)))
    except (OSError, EOFError, ValueError, KeyError) as error:
        raise AssetError(
            "the data on instance types that ships with infra cannot be read",
            where="infra/data/instances.json.gz",
            why=str(error),
            fix="reinstall: pip install --force-reinstall infra",
        ) from error


def instance(name: str) -> InstanceType | None:
    return shipped().instance(name)


def names() -> tuple[str, ...]:
    return shipped().names()


def regions() -> tuple[str, ...]:
    return shipped().regions()


def zones(region: str) -> tuple[str, ...]:
    return shipped().zones(region)


def offered(name: str, region: str) -> bool | None:
    return shipped().offered(name, region)
