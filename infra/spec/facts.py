"""What an account can tell that a file cannot: live instance types, quotas, names that are taken.

Pure data; whoever has credentials fills it in and hands it to the rules.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from infra.spec.catalog import Catalog, InstanceType

# EC2's vCPU quotas, as Service Quotas knows them (service code ec2): key here -> quota code.
QUOTA_CODES: Mapping[str, str] = {
    "on-demand:standard": "L-1216C47A",
    "on-demand:g": "L-DB2E81BA",
    "on-demand:p": "L-417A185B",
    "on-demand:f": "L-74FC7D96",
    "on-demand:x": "L-7295265B",
    "on-demand:inf": "L-1945791B",
    "on-demand:trn": "L-2C3B7624",
    "on-demand:dl": "L-6E869C2A",
    "spot:standard": "L-34B43A08",
    "on-demand:hpc": "L-F7808C92",
    "spot:f": "L-88CF9481",
    "spot:g": "L-3819A6DF",
    "spot:p": "L-7212CCBC",
    "spot:p5": "L-C4BD4855",
    "spot:x": "L-E3A00192",
    "spot:inf": "L-B5D1601B",
    "spot:trn": "L-6B0D517C",
    "spot:dl": "L-85EED4F7",
}

_STANDARD = set("acdhimrtz")


@dataclass(frozen=True)
class Facts:
    """Everything is by region. What is not there is not known, and rules that need it are silent."""

    catalog: Catalog | None = None
    quotas: Mapping[str, Mapping[str, int]] = field(default_factory=dict)  # region -> quota key -> vCPUs allowed
    used: Mapping[str, Mapping[str, int]] = field(default_factory=dict)  # the same, vCPUs of others than this cluster
    key_pairs: Mapping[str, frozenset[str]] = field(default_factory=dict)  # region -> names that are not this cluster's


def quota_key(kind: InstanceType, market: str) -> str:
    """The quota that machines of a type count against; ``market`` is ``on-demand`` or ``spot``."""
    family = kind.family
    if market == "spot" and family.startswith("p5"):
        return "spot:p5"
    for group in ("inf", "trn", "dl", "hpc", "mac"):
        if family.startswith(group):
            return f"{market}:{group}"
    if family.startswith(("g", "vt")):
        return f"{market}:g"
    return f"{market}:standard" if family[0] in _STANDARD else f"{market}:{family[0]}"
