"""Instance types: that they exist, where, and what they can do."""

from __future__ import annotations

from collections.abc import Iterator

from infra.errors import Problem
from infra.spec.explain import close
from infra.spec.rules.base import Context, Rule

ARCHITECTURES = ("x86_64", "arm64")


class InstanceTypeKnown(Rule):
    name = "instance-type-known"
    level = "error"
    summary = "Instance types exist."
    passes = "pools: {cpu: {instance_types: [m5.large]}}"
    fails = "pools: {cpu: {instance_types: [m5.lrge]}}"

    def check(self, ctx: Context) -> Iterator[Problem]:
        for group in ctx.groups:
            for place, name in enumerate(group.types):
                if ctx.kind(name) is None:
                    near = close(name, ctx.catalog.names(), 0.7)
                    yield self.found(
                        ctx,
                        group.type_loc(place),
                        f"{group.label}: there is no instance type {name!r}",
                        f"it is not in the data of {ctx.catalog.date} ({ctx.catalog.source})",
                        f"did you mean: {near}" if near else "check its name",
                    )


class InstanceTypeOffered(Rule):
    name = "instance-type-offered"
    level = "error"
    summary = "Instance types are offered in the regions that use them."
    passes = "pools: {gpu: {instance_types: [p5.48xlarge]}}"
    fails = "aws: {regions: [eu-west-1]}\npools: {gpu: {instance_types: [p5.48xlarge]}}"

    def check(self, ctx: Context) -> Iterator[Problem]:
        for group in ctx.groups:
            for place, name in enumerate(group.types):
                for region in group.regions:
                    if ctx.catalog.offered(name, region) is False:
                        listed = ctx.cluster.aws.regions if ctx.cluster.aws else []
                        others = [other for other in listed if ctx.catalog.offered(name, other)]
                        yield self.found(
                            ctx,
                            group.type_loc(place),
                            f"{group.label}: {region} does not offer {name}",
                            f"so says the data of {ctx.catalog.date}",
                            f"use another type, or put it in {' or '.join(others)}" if others else "use another type",
                        )


class InstanceTypeCurrent(Rule):
    name = "instance-type-current"
    level = "warning"
    summary = "Instance types are still in AWS's current lists."
    passes = "pools: {gpu: {instance_types: [g4dn.xlarge]}}"
    fails = "pools: {gpu: {instance_types: [p3.8xlarge]}}"

    def check(self, ctx: Context) -> Iterator[Problem]:
        for group in ctx.groups:
            old = [(place, kind) for place, name in enumerate(group.types) if (kind := ctx.kind(name))]
            old = [(place, kind) for place, kind in old if not kind.listed]
            if old:
                names, date = ", ".join(kind.name for _, kind in old), old[0][1].last_listed
                yield self.found(
                    ctx,
                    group.type_loc(old[0][0]),
                    f"{group.label}: {names} {'is' if len(old) == 1 else 'are'} no longer in the lists of AWS",
                    f"last seen {date}; new machines may be refused, and where they are offered is not known",
                    "move to a newer family, such as g5, g6 or p4d" if old[0][1].gpus else "move to a newer family",
                )


class InstanceTypeZones(Rule):
    name = "instance-type-zones"
    level = "warning"
    summary = "Some zone that the cluster uses offers the pool's instance types."
    passes = "pools: {cpu: {instance_types: [m5.large]}}"
    fails = "network: {zones: 2}\npools: {gpu: {instance_types: [p5e.48xlarge]}}"

    def check(self, ctx: Context) -> Iterator[Problem]:
        network = ctx.cluster.network
        for group in ctx.groups:
            for region in group.regions:
                used = ctx.catalog.zones(region)[: network.zones]
                offers = [ctx.catalog.zones_offering(name, region) for name in group.types]
                known = [set(zones) for zones in offers if zones]
                if region in network.existing or len(known) < len(group.types) or not known:
                    continue
                if not set.union(*known) & set(used):
                    yield self.found(
                        ctx,
                        group.type_loc(0),
                        f"{group.label}: {', '.join(group.types)} is offered in {', '.join(sorted(set.union(*known)))}",
                        f"the cluster uses {', '.join(used)} there; the letters of zones differ between accounts",
                        f"write: network: {{zones: {len(ctx.catalog.zones(region))}}}",
                    )


class ArchitectureOne(Rule):
    name = "architecture-one"
    level = "error"
    summary = "A pool's instance types have one CPU architecture."
    passes = "pools: {cpu: {instance_types: [m6g.large, c6g.large]}}"
    fails = "pools: {cpu: {instance_types: [m5.large, m6g.large]}}"

    def check(self, ctx: Context) -> Iterator[Problem]:
        for group in ctx.groups:
            found = {name: _architectures(ctx, name) for name in group.types if _architectures(ctx, name)}
            if found and not set.intersection(*found.values()):
                shown = ", ".join(f"{name} ({'/'.join(sorted(item))})" for name, item in found.items())
                yield self.found(
                    ctx,
                    (*group.loc, "instance_types"),
                    f"{group.label} mixes CPU architectures: {shown}",
                    "an image runs on one of them",
                    "make a pool for each",
                )


class ArchitectureImage(Rule):
    name = "architecture-image"
    level = "error"
    summary = "A profile with an image of its own is used on one CPU architecture."
    passes = "profiles: {cpu: {image: ami-0123456789abcdef0}}"
    fails = "profiles: {cpu: {image: ami-0123456789abcdef0}}\nhosts: {arm: {profile: cpu, instance_type: m6g.large}}"

    def check(self, ctx: Context) -> Iterator[Problem]:
        for name, profile in ctx.cluster.profiles.items():
            users = [group for group in ctx.groups if profile.image and group.profile == name]
            found = {group.label: _architectures(ctx, group.types[0]) for group in users}
            known = [item for item in found.values() if item]
            if known and not set.intersection(*known):
                shown = ", ".join(f"{label} ({'/'.join(sorted(item))})" for label, item in found.items())
                yield self.found(
                    ctx,
                    ("profiles", name, "image"),
                    f"the image of the profile {name} is used on different CPUs: {shown}",
                    "an image runs on one of them",
                    "make a profile for each",
                )


def _architectures(ctx: Context, name: str) -> set[str]:
    kind = ctx.kind(name)
    return {item for item in (kind.architectures if kind else ()) if item in ARCHITECTURES}


class ArchitectureSupported(Rule):
    name = "architecture-supported"
    level = "error"
    summary = "Instance types are of x86_64 or arm64, for which there are images."
    passes = "pools: {cpu: {instance_types: [m6g.large]}}"
    fails = "pools: {cpu: {instance_types: [mac1.metal]}}"

    def check(self, ctx: Context) -> Iterator[Problem]:
        for group in ctx.groups:
            for place, name in enumerate(group.types):
                kind = ctx.kind(name)
                if kind and kind.architectures and not _architectures(ctx, name):
                    yield self.found(
                        ctx,
                        group.type_loc(place),
                        f"{group.label}: {name} is {'/'.join(kind.architectures)}",
                        f"there are images for {' and '.join(ARCHITECTURES)}",
                        "use another type",
                    )


class PlacementSupported(Rule):
    name = "placement-supported"
    level = "error"
    summary = "Instance types can be in the placement group that the pool asks for."
    passes = "pools: {cpu: {placement: cluster, instance_types: [c5.large]}}"
    fails = "pools: {cpu: {placement: cluster, instance_types: [t3.micro]}}"

    def check(self, ctx: Context) -> Iterator[Problem]:
        for name, pool in ctx.cluster.pools.items():
            for place, type_name in enumerate(pool.instance_types if pool.placement else ()):
                kind = ctx.kind(type_name)
                if kind and kind.placement and pool.placement not in kind.placement:
                    yield self.found(
                        ctx,
                        ("pools", name, "instance_types", place),
                        f"{type_name} cannot be in a placement group of the kind {pool.placement}",
                        f"it can be in: {', '.join(kind.placement)}",
                        "use another type, or remove placement",
                    )


class SpreadRoom(Rule):
    name = "spread-room"
    level = "error"
    summary = "A pool with placement spread has at most 7 machines in each zone."
    passes = "network: {zones: 2}\npools: {cpu: {placement: spread, size: {max: 14}}}"
    fails = "network: {zones: 2}\npools: {cpu: {placement: spread, size: {max: 15}}}"

    def check(self, ctx: Context) -> Iterator[Problem]:
        for name, pool in ctx.cluster.pools.items():
            zones = 1 if pool.zone else ctx.cluster.network.zones
            room = 7 * zones
            if pool.placement == "spread" and pool.size.max > room:
                yield self.found(
                    ctx,
                    ("pools", name, "size", "max"),
                    f"the pool {name} may have {pool.size.max} machines, each on hardware of its own",
                    f"a spread placement group takes 7 in each zone: {room} in {zones}",
                    f"write: max: {room}; or placement: partition",
                )


class EfaSupported(Rule):
    name = "efa-supported"
    level = "error"
    summary = "With efa, every instance type of the pool has EFA, and the same interfaces."
    passes = "pools: {gpu: {instance_types: [p5.48xlarge], efa: true, placement: cluster}}"
    fails = "pools: {gpu: {instance_types: [g4dn.xlarge], efa: true, placement: cluster}}"

    def check(self, ctx: Context) -> Iterator[Problem]:
        for name, pool in ctx.cluster.pools.items():
            counts = {}
            for place, type_name in enumerate(pool.instance_types if pool.efa else ()):
                kind = ctx.kind(type_name)
                if kind is None:
                    continue
                counts[type_name] = kind.max_efa_interfaces
                if not kind.efa:
                    yield self.found(
                        ctx,
                        ("pools", name, "instance_types", place),
                        f"{type_name} has no EFA",
                        f"the pool {name} has efa: true",
                        f"use a type with EFA{_with_efa(ctx, type_name)}, or write: efa: false",
                    )
            if len(set(counts.values()) - {0}) > 1:
                shown = ", ".join(f"{type_name} ({count})" for type_name, count in counts.items())
                yield self.found(
                    ctx,
                    ("pools", name, "instance_types"),
                    f"the pool {name} mixes types with different numbers of EFA interfaces: {shown}",
                    "the launch template says which there are, once for all types",
                    "make a pool for each",
                )


def _with_efa(ctx: Context, name: str) -> str:
    """The smallest type of the same family that has EFA, as an addition to a sentence."""
    family = name.partition(".")[0] + "."
    kinds = [ctx.kind(other) for other in ctx.catalog.names() if other.startswith(family)]
    fitting = sorted((kind.vcpus, kind.name) for kind in kinds if kind and kind.efa)
    return f", such as {fitting[0][1]}" if fitting else ""


class EfaPublic(Rule):
    name = "efa-public"
    level = "error"
    summary = "A pool with several EFA interfaces is in private subnets."
    passes = "pools: {gpu: {instance_types: [p5.48xlarge], efa: true, placement: cluster}}"
    fails = "pools: {gpu: {instance_types: [p5.48xlarge], efa: true, placement: cluster, subnets: public}}"

    def check(self, ctx: Context) -> Iterator[Problem]:
        for name, pool in ctx.cluster.pools.items():
            kind = ctx.kind(pool.instance_types[0])
            if pool.efa and pool.subnets == "public" and kind and kind.max_efa_interfaces > 1:
                yield self.found(
                    ctx,
                    ("pools", name, "subnets"),
                    f"the pool {name} is in public subnets, and has several network interfaces",
                    "AWS gives no public address to a machine that starts with more than one",
                    "write: subnets: private",
                )


class EfaPlacement(Rule):
    name = "efa-placement"
    level = "warning"
    summary = "A pool with efa is in a cluster placement group."
    passes = "pools: {gpu: {instance_types: [p5.48xlarge], efa: true, placement: cluster}}"
    fails = "pools: {gpu: {instance_types: [p5.48xlarge], efa: true}}"

    def check(self, ctx: Context) -> Iterator[Problem]:
        for name, pool in ctx.cluster.pools.items():
            if pool.efa and pool.placement != "cluster" and pool.capacity.kind != "block":
                yield self.found(
                    ctx,
                    ("pools", name, "efa"),
                    f"the pool {name} has efa without placement: cluster",
                    "EFA does not leave a subnet, and its machines may be far apart or in different zones",
                    "write: placement: cluster",
                )


class EfaUsed(Rule):
    name = "efa-used"
    level = "warning"
    summary = "A pool of machines made for EFA (four or more interfaces) uses it."
    passes = "pools: {gpu: {instance_types: [p5.48xlarge], efa: true, placement: cluster}}"
    fails = "pools: {gpu: {instance_types: [p5.48xlarge]}}"

    def check(self, ctx: Context) -> Iterator[Problem]:
        for name, pool in ctx.cluster.pools.items():
            kind = ctx.kind(pool.instance_types[0])
            if not pool.efa and pool.size.max > 1 and kind and kind.max_efa_interfaces >= 4:
                yield self.found(
                    ctx,
                    ("pools", name),
                    f"the pool {name} does not use the {kind.max_efa_interfaces} EFA interfaces of {kind.name}",
                    "training over several machines would be many times slower",
                    "write: efa: true, placement: cluster",
                )


RULES = (
    InstanceTypeKnown,
    InstanceTypeOffered,
    InstanceTypeCurrent,
    InstanceTypeZones,
    ArchitectureOne,
    ArchitectureImage,
    ArchitectureSupported,
    PlacementSupported,
    SpreadRoom,
    EfaSupported,
    EfaPublic,
    EfaPlacement,
    EfaUsed,
)
