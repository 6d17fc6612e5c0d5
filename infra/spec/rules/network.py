"""Addresses: that they are enough, and nobody else's."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from dataclasses import dataclass

from infra.errors import Problem
from infra.spec.addresses import region_blocks
from infra.spec.rules.base import Context, Group, Loc, Rule

Net = ipaddress.IPv4Network
PRIVATE = tuple(map(Net, ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10")))
DOCKER = Net("172.17.0.0/16")
RESERVED_IN_SUBNET = 5  # AWS keeps the first four addresses of a subnet and the last


@dataclass(frozen=True)
class Named:
    """A network (or one address) and who has it. ``kin``: those of the same kin may overlap."""

    label: str
    loc: Loc
    net: Net
    kin: str


def networks(ctx: Context) -> list[Named]:
    """Every network the file speaks of: the VPCs', pods, services, and those of the metal."""
    cluster = ctx.cluster
    found = []
    if cluster.aws and any(region not in cluster.network.existing for region in cluster.aws.regions):
        found.append(Named("network.cidr", ("network", "cidr"), Net(cluster.network.cidr), "aws"))
    if cluster.kubernetes:
        kube = cluster.kubernetes
        found.append(Named("kubernetes.pod_cidr", ("kubernetes", "pod_cidr"), Net(kube.pod_cidr), "pods"))
        loc = ("kubernetes", "service_cidr")
        found.append(Named("kubernetes.service_cidr", loc, Net(kube.service_cidr), "services"))
    for name, metal in cluster.metal.items():
        if metal.cidr:
            found.append(Named(f"metal.{name}.cidr", ("metal", name, "cidr"), Net(metal.cidr), "metal"))
    return found


def metal_addresses(ctx: Context) -> Iterator[Named]:
    for group, metal in ctx.cluster.metal.items():
        for place, host in enumerate(metal.hosts):
            net = address(host.address)
            if net:
                yield Named(f"metal host {host.short}", ("metal", group, "hosts", place), net, "metal")


def address(text: str) -> Net | None:
    """An IPv4 address as a network of one; None for a name."""
    try:
        return Net(text)
    except ValueError:
        return None


class CidrOverlap(Rule):
    name = "cidr-overlap"
    level = "error"
    summary = "The networks of AWS, pods, services and metal do not overlap; metal addresses lie in none of the others."
    passes = "network: {cidr: 10.40.0.0/14}\nkubernetes: {pod_cidr: 10.32.0.0/13, service_cidr: 10.31.0.0/16}"
    fails = "network: {cidr: 10.32.0.0/14}\nkubernetes: {pod_cidr: 10.32.0.0/13, service_cidr: 10.31.0.0/16}"

    def check(self, ctx: Context) -> Iterator[Problem]:
        nets = networks(ctx)
        for place, one in enumerate(nets):
            for other in nets[place + 1 :]:
                if one.kin != other.kin and one.net.overlaps(other.net):
                    yield self._problem(ctx, one, other)
        others = [net for net in nets if net.kin != "metal"]
        for host in metal_addresses(ctx):
            for net in others:
                if host.net.overlaps(net.net):
                    yield self._problem(ctx, net, host)

    def _problem(self, ctx: Context, one: Named, other: Named) -> Problem:
        shown = str(other.net).removesuffix("/32")
        free = free_network(other.net.prefixlen, [named.net for named in [*networks(ctx), *metal_addresses(ctx)]])
        return self.found(
            ctx,
            other.loc,
            f"{other.label} ({shown}) overlaps {one.label} ({one.net})",
            "a packet to an address in both would reach only one of them",
            f"choose another; free is: {free}" if free and other.net.prefixlen < 32 else f"choose another {one.label}",
        )


def free_network(prefix: int, taken: list[Net]) -> str:
    """A private network of that size that overlaps none of ``taken``; empty when there is none."""
    for whole in PRIVATE[:2]:
        if prefix >= whole.prefixlen:
            for place in range(min(2 ** (prefix - whole.prefixlen), 4096)):
                start = int(whole.network_address) + place * 2 ** (32 - prefix)
                net = Net((start, prefix))
                if not any(net.overlaps(other) for other in [*taken, DOCKER]):
                    return str(net)
    return ""


class CidrDocker(Rule):
    name = "cidr-docker"
    level = "warning"
    summary = "No network overlaps Docker's default bridge, 172.17.0.0/16."
    passes = "network: {cidr: 172.20.0.0/16}"
    fails = "network: {cidr: 172.17.0.0/16}"

    def check(self, ctx: Context) -> Iterator[Problem]:
        for named in [*networks(ctx), *metal_addresses(ctx)]:
            if named.net.overlaps(DOCKER):
                yield self.found(
                    ctx,
                    named.loc,
                    f"{named.label} ({str(named.net).removesuffix('/32')}) overlaps Docker's bridge ({DOCKER})",
                    "on a machine with Docker, those addresses are its containers",
                    "choose another network, or another bridge in Docker's daemon.json (bip)",
                )


class CidrPrivate(Rule):
    name = "cidr-private"
    level = "warning"
    summary = "Networks are of the private ranges (10/8, 172.16/12, 192.168/16, 100.64/10)."
    passes = "network: {cidr: 10.40.0.0/14}"
    fails = "network: {cidr: 11.0.0.0/14}"

    def check(self, ctx: Context) -> Iterator[Problem]:
        for named in networks(ctx):
            if named.kin != "metal" and not any(named.net.subnet_of(whole) for whole in PRIVATE):
                yield self.found(
                    ctx,
                    named.loc,
                    f"{named.label} ({named.net}) is not a private network",
                    "the machines could not reach whoever has these addresses on the Internet",
                    f"choose a private one, such as {free_network(named.net.prefixlen, []) or '10.40.0.0/14'}",
                )


class CidrRoom(Rule):
    name = "cidr-room"
    level = "error"
    summary = "network.cidr can be shared among the regions: at least a /24 for each."
    passes = "network: {cidr: 10.40.0.0/24}"
    fails = "network: {cidr: 10.40.0.0/26}"

    def check(self, ctx: Context) -> Iterator[Problem]:
        if ctx.cluster.aws is None:
            return
        try:
            region_blocks(ctx.cluster.network.cidr, len(ctx.cluster.aws.regions))
        except ValueError as error:
            yield self.found(
                ctx, ("network", "cidr"), str(error), "a region's part is cut in subnets", "write a larger network"
            )


def addresses(ctx: Context, group: Group) -> int:
    """How many addresses a group's machines take in a region at most: one each, with EFA one per card but for cards
    that take interfaces without an address."""
    pool = ctx.cluster.pools.get(str(group.loc[1])) if group.loc[0] == "pools" else None
    kind = ctx.kind(group.types[0]) if pool and pool.efa else None
    cards = kind.network_cards[1:] if kind else ()
    return group.most * (1 + sum(card.efa and not card.efa_only for card in cards))


class SubnetRoom(Rule):
    name = "subnet-room"
    level = "error"
    summary = "The subnets of each region have an address for every machine at its pools' maximum."
    passes = "network: {cidr: 10.40.0.0/22}\npools: {cpu: {size: {max: 200}}}"
    fails = "network: {cidr: 10.40.0.0/24}\npools: {cpu: {size: {max: 200}}}"

    def check(self, ctx: Context) -> Iterator[Problem]:
        for region, nets in ctx.addresses.items():
            for public, subnets in ((False, nets.private), (True, nets.public)):
                room = sum(Net(net).num_addresses - RESERVED_IN_SUBNET for net in subnets)
                wanted = sum(addresses(ctx, g) for g in ctx.groups if region in g.regions and g.public == public)
                if wanted > room:
                    kind = "public" if public else "private"
                    yield self.found(
                        ctx,
                        ("network", "cidr"),
                        f"the {kind} subnets of {region} have {room} addresses, and its machines need up to {wanted}",
                        f"its part of {ctx.cluster.network.cidr} is {nets.vpc}, and the {kind} part of that is "
                        f"{', '.join(subnets)}",
                        "write a larger network.cidr (at most a /16 for each region), or smaller pools",
                    )


class ZonesAvailable(Rule):
    name = "zones-available"
    level = "error"
    summary = "Every region has as many zones as network.zones asks for."
    passes = "aws: {regions: [us-west-2]}\nnetwork: {zones: 3}"
    fails = "aws: {regions: [us-west-1]}\nnetwork: {zones: 3}\npools: null"

    def check(self, ctx: Context) -> Iterator[Problem]:
        cluster = ctx.cluster
        for region in cluster.aws.regions if cluster.aws else []:
            zones = ctx.catalog.zones(region)
            if zones and len(zones) < cluster.network.zones and region not in cluster.network.existing:
                yield self.found(
                    ctx,
                    ("network", "zones"),
                    f"network.zones is {cluster.network.zones}, and {region} has {len(zones)}",
                    f"they are {', '.join(zones)}",
                    f"write: zones: {len(zones)}",
                )


class NatForPrivate(Rule):
    name = "nat-for-private"
    level = "warning"
    summary = "Machines in private subnets have a NAT gateway to reach the Internet through."
    passes = "network: {nat: one}"
    fails = "network: {nat: none}"

    def check(self, ctx: Context) -> Iterator[Problem]:
        if ctx.cluster.network.nat != "none":
            return
        closed = [
            group
            for group in ctx.groups
            if not group.public and any(region not in ctx.cluster.network.existing for region in group.regions)
        ]
        if closed:
            yield self.found(
                ctx,
                ("network", "nat"),
                f"network.nat is none, and {', '.join(g.label for g in closed[:4])} is in private subnets",
                "these machines reach no package or container registry, nor SSM; S3 alone has an endpoint",
                "write: nat: one; or subnets: public",
            )


class ExistingRegions(Rule):
    name = "existing-regions"
    level = "warning"
    summary = "When network.existing is used, it covers every region."
    passes = "network: {existing: {us-west-2: {vpc: {id: vpc-1}, private: {ids: [subnet-1]}}}}"
    fails = (
        "aws: {regions: [us-west-2, us-east-1]}\n"
        "network: {existing: {us-west-2: {vpc: {id: vpc-1}, private: {ids: [subnet-1]}}}}"
    )

    def check(self, ctx: Context) -> Iterator[Problem]:
        existing = ctx.cluster.network.existing
        for region in ctx.cluster.aws.regions if ctx.cluster.aws and existing else []:
            if region not in existing:
                yield self.found(
                    ctx,
                    ("network", "existing"),
                    f"network.existing has no {region}",
                    "a new VPC would be made there",
                    f"add {region}, if the lab has a VPC there",
                )


class ExistingPublic(Rule):
    name = "existing-public"
    level = "error"
    summary = "Public machines in an existing VPC need its public subnets named."
    passes = "network: {existing: {us-west-2: {vpc: {id: vpc-1}, private: {ids: [subnet-1]}}}}"
    fails = (
        "pools: {cpu: {subnets: public}}\n"
        "network: {existing: {us-west-2: {vpc: {id: vpc-1}, private: {ids: [subnet-1]}}}}"
    )

    def check(self, ctx: Context) -> Iterator[Problem]:
        for region, network in ctx.cluster.network.existing.items():
            for group in ctx.groups if network.public is None else ():
                if group.public and region in group.regions:
                    yield self.found(
                        ctx,
                        group.loc,
                        f"{group.label} is in public subnets of {region}, which are not named",
                        "network.existing names only private ones there",
                        "name them: public: {ids: [subnet-…]}; or write: subnets: private",
                    )


RULES = (
    CidrOverlap,
    CidrDocker,
    CidrPrivate,
    CidrRoom,
    SubnetRoom,
    ZonesAvailable,
    NatForPrivate,
    ExistingRegions,
    ExistingPublic,
)
