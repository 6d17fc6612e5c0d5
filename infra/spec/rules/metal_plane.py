"""Kubernetes: a control plane on physical machines."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator

from infra.errors import Problem
from infra.spec.explain import did_you_mean
from infra.spec.models import ControlPlane
from infra.spec.rules.base import Context, Loc, Rule
from infra.spec.rules.metal import is_dns, is_ip
from infra.spec.rules.network import networks

LOC: Loc = ("kubernetes", "control_plane")
CLOUD = ("instance_type", "count", "disk")
FLOOR = ("address", "schedule")
ONE = "pools: null\nmetal: {desk: {profile: cpu, hosts: [{name: box-1, address: 192.0.2.1}]}}\n"
THREE = (
    "pools: null\nmetal: {desk: {profile: cpu, cidr: 192.0.2.0/24, hosts: [{name: box-1, address: 192.0.2.1}, "
    "{name: box-2, address: 192.0.2.2}, {name: box-3, address: 192.0.2.3}]}}\n"
)


def plane_of(ctx: Context) -> ControlPlane | None:
    return ctx.cluster.kubernetes.control_plane if ctx.cluster.kubernetes else None


class PlaneMachines(Rule):
    name = "control-plane-machines"
    level = "error"
    summary = "kubernetes.control_plane.metal names one or three machines of metal, each once."
    passes = ONE + "kubernetes: {control_plane: {metal: [box-1]}}"
    fails = ONE + "kubernetes: {control_plane: {metal: [box-7]}}"

    def check(self, ctx: Context) -> Iterator[Problem]:
        plane = plane_of(ctx)
        if plane is None or not plane.metal:
            return
        known = [host.short for metal in ctx.cluster.metal.values() for host in metal.hosts]
        loc = (*LOC, "metal")
        short = [name.split(".")[0] for name in plane.metal]
        for place, name in enumerate(short):
            if name not in known:
                fix = did_you_mean(name, known, "name machines of metal: (physical ones, which SSH reaches)")
                why = f"the machines are: {', '.join(known[:10]) or 'none'}{', …' if len(known) > 10 else ''}"
                yield self.found(ctx, loc, f"control_plane.metal names {name!r}", why, fix)
            elif name in short[:place]:
                yield self.found(ctx, loc, f"control_plane.metal names {name} twice", "", "remove one of them")
        if len(short) not in (1, 3):
            two = "of two machines, the loss of either stops etcd: one alone is safer"
            yield self.found(
                ctx,
                loc,
                f"control_plane.metal names {len(short)} machines",
                two if len(short) == 2 else "etcd needs more than half of its members",
                "name one machine, or three",
            )


class PlaneKinds(Rule):
    name = "control-plane-kinds"
    level = "error"
    summary = "A control plane is of instances or of physical machines; pools join one of instances."
    passes = "kubernetes: {control_plane: {instance_type: m5.large}}"
    fails = ONE + "kubernetes: {control_plane: {metal: [box-1], instance_type: m5.large}}"

    def check(self, ctx: Context) -> Iterator[Problem]:
        plane = plane_of(ctx)
        if plane is None:
            return
        wrong = [key for key in (CLOUD if plane.metal else FLOOR) if key in plane.model_fields_set]
        for key in wrong:
            of = "instances in AWS" if plane.metal else "physical machines"
            fix = f"remove {key}, or metal" if plane.metal else f"remove {key}, or name the machines: metal: [box-1]"
            yield self.found(ctx, (*LOC, key), f"control_plane.{key} is of {of}", "", fix)
        if plane.metal and ctx.cluster.pools:
            yield self.found(
                ctx,
                (*LOC, "metal"),
                f"the pools ({', '.join(ctx.cluster.pools)}) cannot join a control plane on physical machines",
                "instances find their cluster in SSM, where only a control plane in AWS leaves what they need",
                "leave out control_plane.metal: physical machines join one in AWS; or make two clusters",
            )


class PlaneAddress(Rule):
    name = "control-plane-address"
    level = "error"
    summary = "The API of three physical machines has an address of its own, a free one in their network, or a name."
    passes = THREE + "kubernetes: {control_plane: {metal: ['box-[1-3]'], address: 192.0.2.9}}"
    fails = THREE + "kubernetes: {control_plane: {metal: ['box-[1-3]']}}"

    def check(self, ctx: Context) -> Iterator[Problem]:
        plane = plane_of(ctx)
        if plane is None or not plane.metal:
            return
        loc = (*LOC, "address") if plane.address else (*LOC, "metal")
        for what, why, fix in _wrong(ctx, plane):
            yield self.found(ctx, loc, what, why, fix)


def _wrong(ctx: Context, plane: ControlPlane) -> Iterator[tuple[str, str, str]]:
    hosts = ctx.cluster.plane_hosts
    places = [host.address or host.name for _, host in hosts]
    for place in {place for place in places if places.count(place) > 1}:
        why = "they speak to each other, and are spoken to, at these addresses"
        yield f"machines of the control plane have one address, {place}", why, "give each its own, at port 22"
    if not plane.address:
        if len(plane.metal) > 1:
            why = "who speaks to one of the machines would be lost with it"
            yield f"{len(plane.metal)} machines, and no address for the API", why, "write: address: A-FREE-ADDRESS"
        return
    text = plane.address
    if not plane.virtual:
        if is_ip(text) or not is_dns(text) or text.replace(".", "").isdigit():
            why = "an IPv4 address without a prefix, or a name in DNS"
            yield f"control_plane.address is {text[:80]!r}", why, "write: address: 192.168.7.9"
        return
    address = ipaddress.IPv4Address(text)
    if owner := next((host.short for _, host in hosts if text in (host.address, host.name)), ""):
        yield f"control_plane.address {text} is {owner}'s own", "it goes from one machine to another", "name a free one"
    for named in networks(ctx):
        if named.kin != "metal" and address in named.net:
            what = f"control_plane.address {text} lies in {named.label} ({named.net})"
            yield what, "it is an address of the machines' network", "name a free address there"
    for group in dict.fromkeys(group for group, _ in hosts):
        cidr = ctx.cluster.metal[group].cidr
        if cidr and address not in ipaddress.IPv4Network(cidr):
            what = f"control_plane.address {text} is not in metal.{group}.cidr ({cidr})"
            yield what, "a machine can only have addresses of its own network", "name a free address there"


RULES = (PlaneMachines, PlaneKinds, PlaneAddress)
