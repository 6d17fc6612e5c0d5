"""Which of the things that a plan would create are there already, and what is there that no plan knows. Pure.

A killed apply leaves things in AWS that Terraform did not live to record. Each is found by its tags or its name, and
either **adopted** (imported into the state instead of created again) or **left over**: nothing in cluster.yaml stands
for it, or another one of the same address is in use. What may hold data is never counted as left over.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from infra.cloud.mending.kinds import KINDS, Kind
from infra.cloud.mending.rules import Rules as Rules
from infra.plan.words import kind as kind_name
from infra.plan.words import title

CLUSTER = "infra:cluster"
ADDRESS = "infra:address"
SLACK = timedelta(minutes=5)  # AWS's clock and ours need not agree

Id = tuple[str, str]
"""A thing in AWS: its Terraform type and its id as a state has it."""


@dataclass(frozen=True, slots=True)
class Found:
    """Something that is in AWS. ``id`` is as in a Terraform state, ``import_id`` what an import wants ('' = ``id``).

    ``keys`` are arguments of its kind with their values, under Terraform's names; ``vpc`` is the VPC that it is in.
    """

    type: str
    id: str
    tags: Mapping[str, str] = field(default_factory=dict)
    keys: Mapping[str, Any] = field(default_factory=dict)
    import_id: str = ""
    vpc: str = ""
    created: datetime | None = None

    @property
    def key(self) -> Id:
        return (self.type, self.id)

    @property
    def title(self) -> str:
        """Such as ``network: VPC vpc-0123``."""
        address, slash, key = self.tags.get(ADDRESS, "").partition("/")
        name = title(f'{address}["{key}"]' if slash else address) if address else kind_name(self.type)
        return f"{name} {self.id}"


@dataclass(frozen=True, slots=True)
class Create:
    """Something that a plan would make: its address, its type, and the arguments that are known."""

    address: str
    type: str
    values: Mapping[str, Any]

    @property
    def tag(self) -> str:
        """The tag ``infra:address`` that it would get, '' when it would get none."""
        tags = self.values.get("tags")
        if isinstance(tags, Mapping) and tags.get(ADDRESS):
            return str(tags[ADDRESS])
        pairs = self.values.get("tag")  # an Auto Scaling group has blocks
        for pair in pairs if isinstance(pairs, Sequence) and not isinstance(pairs, str) else ():
            if isinstance(pair, Mapping) and pair.get("key") == ADDRESS:
                return str(pair.get("value") or "")
        return ""


@dataclass(frozen=True, slots=True)
class Match:
    """``imports``: what to adopt, by address. ``doubts``: sentences on what has our name and may not be ours."""

    imports: Mapping[str, Found]
    doubts: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Leftovers:
    """``remove``: in the order of removal. ``kept``: what stays because it may hold data, and what it stands on."""

    remove: tuple[Found, ...] = ()
    kept: tuple[Found, ...] = ()


def creates(shown: Mapping[str, Any]) -> list[Create]:
    """Everything that a plan (Terraform's documented JSON) would newly make."""
    return [
        Create(item["address"], item["type"], item["change"].get("after") or {})
        for item in shown.get("resource_changes", [])
        if item.get("mode") == "managed" and item["change"]["actions"] == ["create"] and not item.get("deposed")
    ]


def known(shown: Mapping[str, Any]) -> set[Id]:
    """Everything that the state behind a plan knows of, and what the plan already imports."""
    found: set[Id] = set()
    modules = [shown.get("prior_state", {}).get("values", {}).get("root_module", {})]
    while modules:
        module = modules.pop()
        modules += module.get("child_modules", [])
        for item in module.get("resources", []):
            if item.get("mode") == "managed" and item.get("values", {}).get("id"):
                found.add((item["type"], str(item["values"]["id"])))
    for item in shown.get("resource_changes", []):
        before = item["change"].get("before")
        if item.get("mode") == "managed" and isinstance(before, Mapping) and before.get("id"):
            found.add((item["type"], str(before["id"])))
    return found


def match(
    wanted: Sequence[Create], found: Sequence[Found], taken: Collection[Id], rules: Rules, vpcs: Collection[str] = ()
) -> Match:
    """Which of ``wanted`` is there already. ``taken`` is what the state knows; ``vpcs`` the VPCs it knows.

    Tags decide before names. Nothing is adopted twice, and no address gets two.
    """
    imports: dict[str, Found] = {}
    doubts: list[str] = []
    used = set(taken)
    homes = set(vpcs)
    weights = _weights(found)
    order = sorted(wanted, key=lambda item: item.type != "aws_vpc")  # what lies in a VPC depends on which is chosen
    for create in order:
        candidates = [item for item in found if item.key not in used and _tagged_for(create, item, rules)]
        chosen = _best(candidates, homes, weights)
        if chosen is not None:
            imports[create.address] = chosen
            used.add(chosen.key)
            if chosen.type == "aws_vpc":
                homes.add(chosen.id)
    for create in order:
        if create.address in imports:
            continue
        for item in found:
            if item.key in used or not _named(create, item):
                continue
            doubt = _doubt(item, KINDS[item.type], rules)
            if doubt:
                doubts.append(f"{title(create.address)}: {item.id} {doubt}")
                continue
            imports[create.address] = item
            used.add(item.key)
            break
    return Match(imports, tuple(doubts))


def leftovers(found: Sequence[Found], taken: Collection[Id], rules: Rules, everything: bool = False) -> Leftovers:
    """What carries our tags and is neither in the state nor adopted (both are in ``taken``).

    With ``everything`` (a destroy) what may hold data goes, too.
    """
    loose = [
        item
        for item in found
        if item.key not in taken and item.type in KINDS and _ours(item, rules.cluster) and item.tags.get(ADDRESS)
    ]
    kept = [] if everything else [item for item in loose if KINDS[item.type].data]
    holders = {item.id for item in kept}
    homes = {item.vpc for item in found if item.vpc and (item in kept or holders & set(map(str, item.keys.values())))}
    kept += [item for item in loose if item not in kept and homes & {item.vpc, item.id}]
    return Leftovers(tuple(in_order(item for item in loose if item not in kept)), tuple(kept))


def in_order(items: Iterable[Found]) -> list[Found]:
    """As they must be removed: what stands on something goes before it."""
    return sorted(items, key=lambda item: (KINDS[item.type].removal, item.id))


def document(imports: Mapping[str, Found]) -> dict[str, Any]:
    """The import blocks, as Terraform's JSON syntax has them."""
    return {
        "import": [
            {"to": address, "id": imports[address].import_id or imports[address].id} for address in sorted(imports)
        ]
    }


def vpcs_of(taken: Iterable[Id]) -> set[str]:
    return {ident for type_, ident in taken if type_ == "aws_vpc"}


def _ours(item: Found, cluster: str) -> bool:
    return item.tags.get(CLUSTER) == cluster


def _tagged_for(create: Create, item: Found, rules: Rules) -> bool:
    tag = create.tag
    return bool(tag) and item.type == create.type and _ours(item, rules.cluster) and item.tags.get(ADDRESS) == tag


def _named(create: Create, item: Found) -> bool:
    """Whether it is the very thing by the arguments that AWS lets only one have."""
    kind = KINDS.get(create.type)
    if kind is None or item.type != create.type or not kind.key:
        return False
    return all(
        create.values.get(name) not in (None, "") and create.values.get(name) == item.keys.get(name)
        for name in kind.key
    )


def _doubt(item: Found, kind: Kind, rules: Rules) -> str:
    """Why something of our name may not be ours; '' when it is."""
    owner = item.tags.get(CLUSTER)
    if owner == rules.cluster or not kind.tagged:
        return ""
    if owner:
        return f"is there already and belongs to the cluster {owner}"
    if rules.trusting:
        return ""
    if item.created is not None and rules.since is not None and item.created >= rules.since - SLACK:
        return ""
    born = f" (made {item.created.astimezone(UTC):%Y-%m-%d %H:%M} UTC)" if item.created else ""
    return f"is there already{born} and carries no tag of ours; if it is yours, infra plan --adopt takes it over"


def _weights(found: Sequence[Found]) -> dict[str, int]:
    """How many things refer to each id."""
    counts: dict[str, int] = {}
    for item in found:
        for value in {item.vpc, *map(str, item.keys.values())} - {"", item.id}:
            counts[value] = counts.get(value, 0) + 1
    return counts


def _best(candidates: Sequence[Found], homes: Collection[str], weights: Mapping[str, int]) -> Found | None:
    """Of several with the same tag: one in a VPC of ours, the most used, the oldest."""
    if not candidates:
        return None
    never = datetime.max.replace(tzinfo=UTC)
    fitting = [item for item in candidates if not item.vpc or not homes or item.vpc in homes]
    if not fitting:
        return None
    return min(fitting, key=lambda item: (-weights.get(item.id, 0), item.created or never, item.id))
