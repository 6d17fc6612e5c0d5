"""The plan as data: what would happen to each thing, why, what cannot be undone, and what it costs. Pure.

``data()`` is the documented JSON of ``infra plan --json`` and of the saved ``plan.json``; ``from_data`` reads it back.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Literal

FORMAT = 1
LINKS = "links"
"""The name of the project between the regions, wherever a region's name stands."""

Action = Literal["create", "update", "replace", "delete", "import", "read", "forget"]
ACTIONS: tuple[Action, ...] = ("create", "update", "replace", "delete", "import", "read", "forget")


@dataclass(frozen=True, slots=True)
class Cost:
    """Dollars per hour. ``known`` is the sum of what has a price; ``unknown`` names what has none.

    ``bound`` is True when the figure is only an upper bound (spot, priced at its on-demand list price).
    """

    known: float = 0.0
    unknown: tuple[str, ...] = ()
    usage: tuple[str, ...] = ()
    bound: bool = False

    def __add__(self, other: Cost) -> Cost:
        return Cost(
            self.known + other.known,
            tuple(sorted({*self.unknown, *other.unknown})),
            tuple(sorted({*self.usage, *other.usage})),
            self.bound or other.bound,
        )


def total(costs: Iterable[Cost]) -> Cost:
    found = Cost()
    for cost in costs:
        found = found + cost
    return found


@dataclass(frozen=True, slots=True)
class Change:
    """What would happen to one resource.

    ``address`` is Terraform's; ``title`` is the same in the words of cluster.yaml ("pool gpu: Auto Scaling group").
    ``reasons`` are short sentences, the attributes that move first. ``irreversible`` says what would be lost, or "".
    ``about`` is what the thing is, in a few words, or "": ``1 to 50 × c5.9xlarge, spot``.
    """

    address: str
    type: str
    action: Action
    title: str = ""
    reasons: tuple[str, ...] = ()
    irreversible: str = ""
    before: Cost = Cost()
    after: Cost = Cost()
    about: str = ""


@dataclass(frozen=True, slots=True)
class Leftover:
    """Something in AWS that an unfinished apply made and no state knows: its Terraform type, its id, and its title.

    It is among the plan's changes as a deletion, which an apply does itself, before Terraform's.
    """

    type: str
    id: str
    title: str = ""

    @property
    def key(self) -> tuple[str, str]:
        return (self.type, self.id)


@dataclass(frozen=True, slots=True)
class RegionPlan:
    """One region: its changes in Terraform's order, what is drifted, what the engine cannot do here.

    ``project`` is the digest of the Terraform project that was planned, ``world`` the digest per address of what each
    changed thing was and becomes, ``file`` that of Terraform's own plan. ``full`` is what the region costs when every
    pool has grown to its largest size.
    """

    region: str
    changes: tuple[Change, ...] = ()
    drift: tuple[Change, ...] = ()
    limits: tuple[str, ...] = ()
    before: Cost = Cost()
    after: Cost = Cost()
    full: Cost = Cost()
    project: str = ""
    world: dict[str, str] = field(default_factory=dict)
    file: str = ""
    seconds: float = 0.0
    leftovers: tuple[Leftover, ...] = ()
    images: dict[str, str] = field(default_factory=dict)
    """Profile -> the AMI that its machines start from here, where infra chose it."""
    awaits: dict[str, str] = field(default_factory=dict)
    """Stand-in for an AMI -> the profile that is baked first. Such a region is planned once more after the bake."""
    ends: dict[str, dict[str, str]] = field(default_factory=dict)
    """Of the links alone: region -> id of its VPC and its route tables by name, with stand-ins for those to be made."""
    waits: tuple[str, ...] = ()
    """Of the links alone: the regions that make or remove any of these. They go first, and the links are planned once
    more."""
    kept: tuple[str, ...] = ()
    """What an unfinished apply made, nothing stands for, and may hold data: it is left alone."""

    @property
    def empty(self) -> bool:
        return not self.changes

    def count(self, action: Action) -> int:
        return sum(change.action == action for change in self.changes)


@dataclass(frozen=True, slots=True)
class Machine:
    """A physical machine as the file wants it. ``wants`` are short sentences: OS, driver, CUDA, run-list."""

    name: str
    group: str
    profile: str
    login: str
    gpus: str = ""
    wants: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ImageStep:
    """What is done to a profile's image ahead of Terraform: baked, or made the one that its machines start from.

    ``images`` is the AMI by region, of those that are there already. ``reasons`` are short sentences, such as
    ``nvidia.driver 575 -> 580``.
    """

    action: Literal["bake", "promote"]
    profile: str
    digest: str
    regions: tuple[str, ...]
    reasons: tuple[str, ...] = ()
    images: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class NodeStep:
    """What is done to one running machine over SSH.

    ``before`` is the digest of the policy that it has ("" for none), ``digest`` the one that it gets. ``group`` is what
    it is in in cluster.yaml (``metal.titan``), ``at_once`` how many of that group may be away at a time. ``reboot``
    says that it will restart, as far as can be told. ``seen`` is the digest of what was found on it: a machine that
    somebody changed meanwhile makes the plan stale. ``joins`` is what it then becomes in Kubernetes, where it is not
    yet: a machine with nothing else to do has the action ``join``.
    """

    node: str
    action: Literal["bootstrap", "converge", "join"]
    profile: str
    digest: str
    group: str
    before: str = ""
    reasons: tuple[str, ...] = ()
    reboot: bool = False
    at_once: int = 1
    login: str = ""
    seen: str = ""
    joins: Literal["", "node", "control-plane"] = ""


@dataclass(frozen=True, slots=True)
class Silent:
    """A machine that this plan does not cover, and why: it does not answer, or is not trusted yet."""

    node: str
    why: str
    fix: str = ""


@dataclass(frozen=True, slots=True)
class Plan:
    """One saved plan over all regions."""

    cluster: str
    created: str
    who: str
    spec: str
    spec_file: str
    engine: dict[str, str]
    regions: tuple[RegionPlan, ...] = ()
    machines: tuple[Machine, ...] = ()
    only: tuple[str, ...] = ()
    destroy: bool = False
    as_of: str = ""
    endpoint: str = ""
    images: tuple[ImageStep, ...] = ()
    nodes: tuple[NodeStep, ...] = ()
    silent: tuple[Silent, ...] = ()
    settled: tuple[str, ...] = ()
    """The machines that were looked at and are as the file wants them."""
    warnings: tuple[dict[str, str], ...] = ()
    notes: tuple[str, ...] = ()
    prices_date: str = ""
    format: int = FORMAT

    @property
    def empty(self) -> bool:
        return not self.images and not self.nodes and all(region.empty for region in self.regions)

    @property
    def names(self) -> list[str]:
        """Its regions, without the links between them."""
        return [region.region for region in self.regions if region.region != LINKS]

    @property
    def irreversible(self) -> list[Change]:
        return [change for region in self.regions for change in region.changes if change.irreversible]

    def count(self, action: Action) -> int:
        return sum(region.count(action) for region in self.regions)

    def data(self) -> dict[str, Any]:
        """The plan as JSON data; ``steps`` is its graph, which follows from the rest."""
        from infra.plan import steps

        return {**asdict(self), "steps": [asdict(step) for step in steps.of(self)]}


def from_data(data: dict[str, Any]) -> Plan:
    """Read a plan back. Raises ValueError when it is not of this format."""
    if data.get("format") != FORMAT:
        raise ValueError(f"a plan of format {data.get('format')!r}; this infra reads format {FORMAT}")
    try:
        regions = tuple(_region(item) for item in data["regions"])
        rest = {item.name: data[item.name] for item in fields(Plan) if item.name != "regions"}
        rest["machines"] = tuple(Machine(**{**item, "wants": tuple(item["wants"])}) for item in data["machines"])
        rest["images"] = tuple(_image(item) for item in data["images"])
        rest["nodes"] = tuple(NodeStep(**{**item, "reasons": tuple(item["reasons"])}) for item in data["nodes"])
        rest["silent"] = tuple(Silent(**item) for item in data["silent"])
        for key in ("only", "warnings", "notes", "settled"):
            rest[key] = tuple(rest[key])
        return Plan(regions=regions, **rest)
    except (KeyError, TypeError) as error:
        raise ValueError(f"damaged: {error}") from error


def _image(data: dict[str, Any]) -> ImageStep:
    return ImageStep(**{**data, "regions": tuple(data["regions"]), "reasons": tuple(data["reasons"])})


def _region(data: dict[str, Any]) -> RegionPlan:
    given = dict(data)
    given["changes"] = tuple(_change(item) for item in given["changes"])
    given["drift"] = tuple(_change(item) for item in given["drift"])
    given["limits"] = tuple(given["limits"])
    given["kept"] = tuple(given.get("kept", ()))
    given["waits"] = tuple(given.get("waits", ()))
    given["leftovers"] = tuple(Leftover(**item) for item in given.get("leftovers", ()))
    for key in ("before", "after", "full"):
        given[key] = _cost(given[key])
    return RegionPlan(**given)


def _change(data: dict[str, Any]) -> Change:
    given = dict(data)
    given["reasons"] = tuple(given["reasons"])
    given["before"], given["after"] = _cost(given["before"]), _cost(given["after"])
    return Change(**given)


def _cost(data: dict[str, Any]) -> Cost:
    return Cost(data["known"], tuple(data["unknown"]), tuple(data["usage"]), data["bound"])
