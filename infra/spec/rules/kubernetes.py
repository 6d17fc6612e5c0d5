"""Kubernetes: versions, address room, the control plane."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator

from infra.errors import Problem
from infra.spec.rules.base import Context, Rule

OLDEST, NEWEST = 34, 37  # minor versions that were supported when this was written (2026-11)
NODE_BITS = 24  # a node gets a /24 of the pods' network
CONTROL_PLANE_VCPUS, CONTROL_PLANE_MIB = 2, 2048


class KubeVersion(Rule):
    name = "kube-version"
    level = "error"
    summary = "The version of Kubernetes is a minor version such as 1.36, with or without a patch."
    passes = 'kubernetes: {version: "1.36"}'
    fails = 'kubernetes: {version: "36"}'

    def check(self, ctx: Context) -> Iterator[Problem]:
        kubernetes = ctx.cluster.kubernetes
        parts = kubernetes.version.split(".") if kubernetes else []
        if kubernetes and (parts[0] != "1" or len(parts) not in (2, 3)):
            near = f"1.{parts[0]}" if len(parts) == 1 and OLDEST <= int(parts[0]) <= NEWEST else f"1.{NEWEST - 1}"
            yield self.found(
                ctx,
                ("kubernetes", "version"),
                f"kubernetes.version is {kubernetes.version!r}",
                f"versions of Kubernetes are 1.{OLDEST} … 1.{NEWEST}",
                f'write: version: "{near}"',
            )


class KubeVersionSupported(Rule):
    name = "kube-version-supported"
    level = "warning"
    summary = f"The version of Kubernetes is one that its makers support (1.{OLDEST} to 1.{NEWEST}, November 2026)."
    passes = 'kubernetes: {version: "1.36"}'
    fails = 'kubernetes: {version: "1.28"}'

    def check(self, ctx: Context) -> Iterator[Problem]:
        kubernetes = ctx.cluster.kubernetes
        parts = kubernetes.version.split(".") if kubernetes else []
        if kubernetes and parts[0] == "1" and len(parts) > 1 and not OLDEST <= int(parts[1]) <= NEWEST:
            old = int(parts[1]) < OLDEST
            yield self.found(
                ctx,
                ("kubernetes", "version"),
                f"Kubernetes {kubernetes.version} is {'no longer supported' if old else 'newer than we know'}",
                "it gets no security fixes" if old else f"tried are 1.{OLDEST} to 1.{NEWEST}",
                f'write: version: "1.{NEWEST - 1}"',
            )


class PodRoom(Rule):
    name = "pod-room"
    level = "error"
    summary = "pod_cidr has a /24 for every node at the pools' maximum."
    passes = "kubernetes: {pod_cidr: 10.32.0.0/20}"
    fails = "kubernetes: {pod_cidr: 10.32.0.0/22}"

    def check(self, ctx: Context) -> Iterator[Problem]:
        kubernetes = ctx.cluster.kubernetes
        if kubernetes is None:
            return
        nodes = sum(group.most * len(group.regions) for group in ctx.groups if group.loc[0] != "hosts")
        nodes += sum(len(metal.hosts) for metal in ctx.cluster.metal.values())
        prefix = ipaddress.IPv4Network(kubernetes.pod_cidr).prefixlen
        room = 2 ** max(NODE_BITS - prefix, 0) if prefix <= NODE_BITS else 0
        if nodes > room:
            bits = max(nodes - 1, 0).bit_length()
            yield self.found(
                ctx,
                ("kubernetes", "pod_cidr"),
                f"kubernetes.pod_cidr {kubernetes.pod_cidr} has room for {room} nodes, and there may be {nodes}",
                f"each node gets a /{NODE_BITS} for its pods",
                f"write a /{NODE_BITS - bits} or larger",
            )


class ServiceRoom(Rule):
    name = "service-room"
    level = "error"
    summary = "service_cidr is from /12 to /27."
    passes = "kubernetes: {service_cidr: 10.31.0.0/16}"
    fails = "kubernetes: {service_cidr: 10.16.0.0/30}"

    def check(self, ctx: Context) -> Iterator[Problem]:
        kubernetes = ctx.cluster.kubernetes
        net = ipaddress.IPv4Network(kubernetes.service_cidr) if kubernetes else None
        if net is not None and not 12 <= net.prefixlen <= 27:
            why = "the API server takes 2^20 addresses at most" if net.prefixlen < 12 else "ten services are the least"
            yield self.found(
                ctx,
                ("kubernetes", "service_cidr"),
                f"kubernetes.service_cidr is a /{net.prefixlen}",
                why,
                f"write: {ipaddress.IPv4Network((net.network_address, 32)).supernet(new_prefix=16)}",
            )


class ControlPlaneSize(Rule):
    name = "control-plane-size"
    level = "error"
    summary = "Machines of the control plane have 2 vCPUs and 2 GiB or more."
    passes = "kubernetes: {control_plane: {instance_type: m5.large}}"
    fails = "kubernetes: {control_plane: {instance_type: t3.micro}}"

    def check(self, ctx: Context) -> Iterator[Problem]:
        kubernetes = ctx.cluster.kubernetes
        cloud = kubernetes is not None and not kubernetes.control_plane.metal
        kind = ctx.kind(kubernetes.control_plane.instance_type) if kubernetes and cloud else None
        if kind and (kind.vcpus < CONTROL_PLANE_VCPUS or kind.memory_mib < CONTROL_PLANE_MIB):
            yield self.found(
                ctx,
                ("kubernetes", "control_plane", "instance_type"),
                f"{kind.name} has {kind.vcpus} vCPUs and {kind.memory_mib} MiB",
                "kubeadm refuses to make a control plane with less than 2 vCPUs and 2 GiB",
                "write: instance_type: m5.large",
            )


class ControlPlaneZones(Rule):
    name = "control-plane-zones"
    level = "warning"
    summary = "Three machines of the control plane are in three zones."
    passes = "network: {zones: 3}\nkubernetes: {control_plane: {count: 3}}"
    fails = "network: {zones: 2}\nkubernetes: {control_plane: {count: 3}}"

    def check(self, ctx: Context) -> Iterator[Problem]:
        cluster = ctx.cluster
        plane = cluster.cloud_plane
        if not (plane and cluster.aws) or cluster.aws.home in cluster.network.existing:
            return
        if plane.count > cluster.network.zones:
            available = len(ctx.catalog.zones(cluster.aws.home))
            yield self.found(
                ctx,
                ("kubernetes", "control_plane"),
                f"{plane.count} machines of the control plane are in "
                f"{cluster.network.zones} zone{'s' if cluster.network.zones > 1 else ''}",
                "the loss of the zone that has two of them stops the API server",
                "write: network: {zones: 3}" if available >= 3 else "choose a home region with three zones",
            )


RULES = (KubeVersion, KubeVersionSupported, PodRoom, ServiceRoom, ControlPlaneSize, ControlPlaneZones)
