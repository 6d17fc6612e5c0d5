"""Physical machines: that each has one name and one place."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator

from infra.errors import Problem
from infra.spec.models import MetalHost
from infra.spec.rules.access import key_problem
from infra.spec.rules.base import Context, Loc, Rule

_DNS = re.compile(
    r"(?=.{1,253}$)[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?(\.[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?)*\.?"
)


def hosts(ctx: Context) -> Iterator[tuple[str, Loc, MetalHost]]:
    """Group, place in the file, and host."""
    for group, metal in ctx.cluster.metal.items():
        for place, host in enumerate(metal.hosts):
            yield group, ("metal", group, "hosts", place), host


class HostNameTwice(Rule):
    name = "host-name-twice"
    level = "error"
    summary = "No two metal hosts have the same name, with or without their domain."
    passes = 'metal: {desk: {profile: cpu, hosts: ["box-[1-3].lab"]}}'
    fails = 'metal: {desk: {profile: cpu, hosts: ["box-[1-3].lab", box-2.lab]}}'

    def check(self, ctx: Context) -> Iterator[Problem]:
        first: dict[str, str] = {}
        for group, loc, host in hosts(ctx):
            if host.short in first:
                yield self.found(
                    ctx,
                    loc,
                    f"the host {host.name} of metal.{group} has the name of one in metal.{first[host.short]}",
                    f"a machine is known as {host.short!r} everywhere",
                    "remove one, or rename it",
                )
            first.setdefault(host.short, group)


class HostAddressTwice(Rule):
    name = "host-address-twice"
    level = "error"
    summary = "No two metal hosts have the same address and port."
    passes = (
        "metal: {desk: {profile: cpu, hosts: [{name: left, address: 192.0.2.1}, "
        "{name: right, address: 192.0.2.1, port: 2222}]}}"
    )
    fails = (
        "metal: {desk: {profile: cpu, hosts: [{name: left, address: 192.0.2.1}, {name: right, address: 192.0.2.1}]}}"
    )

    def check(self, ctx: Context) -> Iterator[Problem]:
        first: dict[tuple[str, int], str] = {}
        for _, loc, host in hosts(ctx):
            place = (host.address, host.port)
            if host.address and place in first:
                yield self.found(
                    ctx,
                    loc,
                    f"{first[place]} and {host.name} have the same address {host.address}, port {host.port}",
                    "they would be one machine",
                    "correct the address, or give a port",
                )
            first.setdefault(place, host.name)


class HostAddress(Rule):
    name = "host-address"
    level = "error"
    summary = "A metal host's address is an IP address or a DNS name."
    passes = "metal: {desk: {profile: cpu, hosts: [{name: left, address: left.lab}]}}"
    fails = "metal: {desk: {profile: cpu, hosts: [{name: left, address: 192.0.2.300}]}}"

    def check(self, ctx: Context) -> Iterator[Problem]:
        for _, loc, host in hosts(ctx):
            text = host.address or host.name
            numeric = re.fullmatch(r"[0-9.]+", text)
            good = is_ip(text) if ":" in text or numeric else is_dns(text)
            if not good:
                key = "address" if host.address else "name"
                yield self.found(
                    ctx,
                    loc,
                    f"the {key} {text[:80]!r} is neither an IP address nor a DNS name",
                    "SSH could not find the machine",
                    "write: address: 192.0.2.11" + (" and port: 22 beside it" if ":" in text else ""),
                )


def is_dns(text: str) -> bool:
    return bool(_DNS.fullmatch(text))


def is_ip(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


class HostInCidr(Rule):
    name = "host-in-cidr"
    level = "warning"
    summary = "The addresses of a metal group lie in its cidr."
    passes = "metal: {desk: {profile: cpu, cidr: 192.0.2.0/24, hosts: [{name: left, address: 192.0.2.1}]}}"
    fails = "metal: {desk: {profile: cpu, cidr: 192.0.2.0/24, hosts: [{name: left, address: 198.51.100.1}]}}"

    def check(self, ctx: Context) -> Iterator[Problem]:
        for group, loc, host in hosts(ctx):
            cidr = ctx.cluster.metal[group].cidr
            if cidr and is_ip(host.address) and ipaddress.ip_address(host.address) not in ipaddress.ip_network(cidr):
                yield self.found(
                    ctx,
                    loc,
                    f"{host.name} ({host.address}) is not in metal.{group}.cidr ({cidr})",
                    "firewalls and overlap checks go by the cidr",
                    "correct one of them",
                )


class HostKey(Rule):
    name = "host-key"
    level = "error"
    summary = "A host_key is the text of an SSH host key's .pub file."
    passes = (
        "metal: {desk: {profile: cpu, hosts: [{name: left, host_key: "
        '"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIFrORCiFghWA5IVhIrl+Sfz3oMUZ5NRhtPQ7MAB7L40P"}]}}'
    )
    fails = 'metal: {desk: {profile: cpu, hosts: [{name: left, host_key: "SHA256:abc"}]}}'

    def check(self, ctx: Context) -> Iterator[Problem]:
        for _, loc, host in hosts(ctx):
            if host.host_key is None:
                continue
            short = len(host.host_key.split()) < 2
            why = "it is a type and a text in base64" if short else key_problem(host.host_key)
            if why:
                yield self.found(
                    ctx,
                    (*loc, "host_key"),
                    f"the host_key of {host.name} is not usable",
                    why,
                    "give the line of: ssh-keyscan -t ed25519 HOST (without the name), checked at the machine itself",
                )


RULES = (HostNameTwice, HostAddressTwice, HostAddress, HostInCidr, HostKey)
