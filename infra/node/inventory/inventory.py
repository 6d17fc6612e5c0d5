"""Every machine of a cluster under one name each: the physical ones of the file, and the instances that AWS has. Pure.

A machine is built only when it is looked at: whoever picks one by its name pays for one, however many there are.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property

from infra.node.inventory import pattern as patterns
from infra.node.inventory.instance import Instance, names
from infra.node.inventory.pattern import Pattern
from infra.node.model import Node
from infra.spec import catalog
from infra.spec.load import Loaded
from infra.spec.models import CONTROL_PLANE, Cluster, Metal, MetalHost

CLOUD_USER = "ubuntu"  # of Canonical's images, and of ours, which are baked on them


class Inventory:
    """The machines of one cluster. ``notes`` say what could not be looked at."""

    def __init__(self, loaded: Loaded, instances: Sequence[Instance] = (), notes: Sequence[str] = ()) -> None:
        self.loaded = loaded
        self.cluster: Cluster = loaded.cluster
        self.notes = tuple(notes)
        self._instances = tuple(instances)
        self._built: dict[str, Node] = {}

    @cached_property
    def nodes(self) -> tuple[Node, ...]:
        """All of them: the file's first, in its order, then AWS's by region, kind and name."""
        return (*(self._metal(name) for name in self._places), *self._cloud.values())

    @cached_property
    def instances(self) -> Mapping[str, Instance]:
        """Name -> what AWS says of it; without the physical machines."""
        by_id = {item.id: item for item in self._instances}
        return {name: by_id[node.instance] for name, node in self._cloud.items()}

    def get(self, name: str) -> Node | None:
        """The machine of that name or instance id."""
        if name in self._places:
            return self._metal(name)
        short = name.split(".")[0]
        if short in self._places and self._host(short).name == name:
            return self._metal(short)
        return self._cloud.get(name) or self._by_id.get(name)

    def pick(self, words: Sequence[str] = ()) -> list[Node]:
        """The machines that the patterns stand for, each once, in the patterns' order; all without a pattern.

        Raises UsageError for a pattern that is not well formed, or that stands for nothing.
        """
        found: dict[str, Node] = {}
        for pattern in patterns.parse(words or ["all"]):
            for node in self._matching(pattern):
                found.setdefault(node.name, node)
        return list(found.values())

    def jumps(self, nodes: Iterable[Node]) -> tuple[Node, ...]:
        """The machines of ours that these are reached through, and those that they are reached through."""
        found: dict[str, Node] = {}
        waiting = [node.jump for node in nodes]
        while waiting:
            name = waiting.pop()
            node = self.get(name) if name and name not in found else None
            if node is not None:
                found[name] = node
                waiting.append(node.jump)
        return tuple(found.values())

    def _matching(self, pattern: Pattern) -> list[Node]:
        if pattern.everything:
            return list(self.nodes)
        if pattern.exact:
            picked = {name: self.get(name) for name in pattern.values}
            missing = [name for name, node in picked.items() if node is None]
            if missing:
                raise self._nothing(pattern, missing, self._names())
            return [node for node in picked.values() if node is not None]
        key = pattern.key
        if not key:
            chosen = [name for name in self._names() if pattern.fits(name)]
            found = [node for node in map(self.get, chosen) if node is not None]
        else:
            found = [
                *self._metal_with(pattern),
                *(item for item in self._cloud.values() if pattern.fits(_of(item, key))),
            ]
        if not found:
            choices = list(dict.fromkeys(_of(node, key) for node in self.nodes)) if key else self._names()
            raise self._nothing(pattern, [], [item for item in choices if item])
        return found

    def _metal_with(self, pattern: Pattern) -> Iterator[Node]:
        """The physical machines of the groups that fit: a group is looked at, not each of its machines."""
        for group, metal in self.cluster.metal.items():
            has = {"group": group, "profile": metal.profile, "kind": "metal", "region": ""}[pattern.key]
            if has and pattern.fits(has):
                for host in metal.hosts:
                    if self._places[host.short][0] == group:
                        yield self._metal(host.short)

    def _nothing(self, pattern: Pattern, missing: Sequence[str], choices: Sequence[str]) -> Exception:
        return patterns.nothing(pattern.text, missing, choices, "\n".join(self.notes))

    def _names(self) -> list[str]:
        return [*self._places, *self._cloud]

    @cached_property
    def _places(self) -> dict[str, tuple[str, int]]:
        """Name of a physical machine -> its group, and its number there."""
        found: dict[str, tuple[str, int]] = {}
        for group, metal in self.cluster.metal.items():
            for number, host in enumerate(metal.hosts):
                found.setdefault(host.short, (group, number))
        return found

    def _host(self, name: str) -> MetalHost:
        group, number = self._places[name]
        return self.cluster.metal[group].hosts[number]

    def _metal(self, name: str) -> Node:
        if name not in self._built:
            group, number = self._places[name]
            self._built[name] = self._metal_node(group, self.cluster.metal[group], number)
        return self._built[name]

    def _metal_node(self, group: str, metal: Metal, number: int) -> Node:
        host = metal.hosts[number]
        return Node(
            name=host.short,
            kind="metal",
            group=group,
            profile=metal.profile,
            user=metal.user,
            address=host.address or host.name,
            port=host.port,
            jump=self._jump(metal.jump or "", host.short),
            host_keys=(" ".join(host.host_key.split()[:2]),) if host.host_key else (),
            gpus=f"{metal.gpus.count} × {metal.gpus.model}" if metal.gpus else "",
            labels=dict(metal.labels),
            where=self.loaded.where("metal", group, "hosts", number),
        )

    def _jump(self, written: str, name: str) -> str:
        """A host of ours by its group's name is its first machine; a machine is not reached through itself."""
        meant = f"{written}-1" if written in self.cluster.hosts and written not in self._places else written
        return "" if meant == name else meant

    @cached_property
    def _by_id(self) -> dict[str, Node]:
        return {node.instance: node for node in self._cloud.values()}

    @cached_property
    def _cloud(self) -> dict[str, Node]:
        if not self._instances:
            return {}
        called = names(self._instances, self._places)
        order = {region: number for number, region in enumerate(self.cluster.aws.regions if self.cluster.aws else ())}
        kinds = ("control-plane", "host", "pool")
        ordered = sorted(
            self._instances,
            key=lambda item: (
                order.get(item.region, len(order)),
                item.region,
                kinds.index(item.kind),
                item.group,
                _natural(called[item.id]),
            ),
        )
        doors: dict[str, str] = {}  # region -> the first public host there
        for item in ordered:
            if item.kind == "host" and item.public and item.state == "running":
                doors.setdefault(item.region, called[item.id])
        return {called[item.id]: self._cloud_node(item, called[item.id], doors) for item in ordered}

    def _cloud_node(self, item: Instance, name: str, doors: Mapping[str, str]) -> Node:
        section = "pools" if item.kind == "pool" else "hosts"
        wanted = getattr(self.cluster, section).get(item.group) if item.kind != CONTROL_PLANE else None
        if item.kind == CONTROL_PLANE:
            where = self.loaded.where("kubernetes", "control_plane") if self.cluster.kubernetes else ""
        else:
            where = self.loaded.where(section, item.group) if wanted is not None else ""
        profile = wanted.profile if wanted is not None else item.profile
        if item.kind == CONTROL_PLANE and CONTROL_PLANE in self.cluster.profiles:
            profile = CONTROL_PLANE
        return Node(
            name=name,
            kind=item.kind,
            group=item.group,
            profile=profile,
            user=CLOUD_USER,
            address=item.address,
            jump="" if item.public else doors.get(item.region, ""),
            region=item.region,
            instance=item.id,
            instance_type=item.type,
            image=item.image,
            gpus=_gpus(item.type),
            labels=dict(wanted.labels) if wanted is not None else {},
            where=where,
        )


def regions_asked(metal: Inventory, words: Sequence[str]) -> tuple[str, ...]:
    """The regions in which AWS must be asked before these patterns can be picked from (``metal`` has the file); or ().

    A physical machine by its name, its group or ``kind:metal`` needs no AWS, unless one of AWS's is its jump host; nor
    does a name with a wildcard whose beginning no instance's name can have.
    """
    cluster = metal.cluster
    if cluster.aws is None:
        return ()
    asked = _Asked(metal, tuple(cluster.aws.regions))
    found = {region for pattern in patterns.parse(words or ["all"]) for region in asked.of(pattern)}
    return tuple(region for region in cluster.aws.regions if region in found)


class _Asked:
    def __init__(self, metal: Inventory, regions: tuple[str, ...]) -> None:
        self.metal = metal
        self.cluster = metal.cluster
        self.regions = regions

    def of(self, pattern: Pattern) -> Iterable[str]:
        if pattern.exact:
            return {region for name in pattern.values for region in self._name(name)}
        if pattern.everything:
            return self.regions
        if not pattern.key:
            begins = [patterns.literal(value) for value in pattern.values]
            if any(self._may_be_cloud(text) for text in begins):
                return self.regions
            groups = self.cluster.metal  # whichever of them fits: their jump hosts
            return {region for group in groups for region in self._jump(groups[group].jump or "")}
        if pattern.key == "region":
            return [region for region in self.regions if pattern.fits(region)]
        if pattern.key == "kind" and pattern.values == ("metal",):
            jumps = [metal.jump or "" for metal in self.cluster.metal.values()]
            return {region for jump in jumps for region in self._jump(jump)}
        if pattern.key == "group" and all(map(self._only_metal, pattern.values)):
            return {region for value in pattern.values for region in self._jump(self.cluster.metal[value].jump or "")}
        return self.regions

    def _only_metal(self, group: str) -> bool:
        """A pool or a host may have the name of a group of metal too."""
        cluster = self.cluster
        return group in cluster.metal and group not in cluster.pools and group not in cluster.hosts

    def _name(self, name: str) -> Iterable[str]:
        node = self.metal.get(name)
        if node is not None:
            return self._jump(node.jump)
        return self._instance(name) or self.regions

    def _jump(self, jump: str) -> Iterable[str]:
        """Where the jump host is, or the jump host of that one, if it is an instance."""
        doors = self.metal.jumps([door]) if (door := self.metal.get(jump)) else ()
        for name in (jump, *(item.jump for item in (door, *doors) if item)):
            if found := self._instance(name):
                return found
        return ()

    def _instance(self, name: str) -> Iterable[str]:
        """Where the host of that name, or of that group, is; () when the file has none."""
        host = self.cluster.hosts.get(name) or self.cluster.hosts.get(name.rpartition("-")[0])
        return [region for region in self.cluster.host_region(host) if region in self.regions] if host else ()

    def _may_be_cloud(self, begin: str) -> bool:
        stems = [*self.cluster.pools, *self.cluster.hosts, CONTROL_PLANE, "i"]
        return any(f"{stem}-".startswith(begin) or begin.startswith(f"{stem}-") for stem in stems)


def _of(node: Node, key: str) -> str:
    return str(getattr(node, key))


def _natural(name: str) -> tuple[str, int, str]:
    """dev-2 comes before dev-10."""
    stem, _, number = name.rpartition("-")
    return (stem, int(number), "") if number.isdigit() and len(number) < 6 else (stem, 0, number)


def _gpus(kind: str) -> str:
    found = catalog.instance(kind) if kind else None
    counted = [f"{gpu.count} × {gpu.name}" for gpu in found.gpus] if found else []
    return ", ".join(counted)
