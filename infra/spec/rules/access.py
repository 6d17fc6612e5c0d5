"""Who may log in, and from where."""

from __future__ import annotations

import base64
import binascii
import ipaddress
import struct
from collections.abc import Iterator

from infra.errors import Problem
from infra.spec.rules.base import Context, Loc, Rule
from infra.spec.rules.network import PRIVATE

LENGTHS = {"ssh-ed25519": 32}
KINDS = (
    "ssh-ed25519",
    "ssh-rsa",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    "sk-ssh-ed25519@openssh.com",
    "sk-ecdsa-sha2-nistp256@openssh.com",
)


class SshOpen(Rule):
    name = "ssh-open"
    level = "error"
    summary = "SSH is not open to the whole Internet."
    passes = "access: {ssh_from: [198.51.100.0/24]}"
    fails = "access: {ssh_from: [0.0.0.0/0]}"

    def check(self, ctx: Context) -> Iterator[Problem]:
        for place, net in enumerate(ctx.cluster.access.ssh_from):
            if net == "0.0.0.0/0":
                yield self.found(
                    ctx,
                    ("access", "ssh_from", place),
                    "SSH would be open to the whole Internet (0.0.0.0/0)",
                    "every machine with a public address is then tried by robots within minutes",
                    "name your own network (your address: curl https://checkip.amazonaws.com, then ADDRESS/32); "
                    "or write ssh_from: [] and come in through SSM",
                )


class SshWide(Rule):
    name = "ssh-wide"
    level = "warning"
    summary = "Public networks that may use SSH are no larger than a /16."
    passes = "access: {ssh_from: [198.51.100.0/24]}"
    fails = "access: {ssh_from: [128.0.0.0/2]}"

    def check(self, ctx: Context) -> Iterator[Problem]:
        for place, text in enumerate(ctx.cluster.access.ssh_from):
            net = ipaddress.IPv4Network(text)
            if 0 < net.prefixlen < 16 and not any(net.subnet_of(whole) for whole in PRIVATE):
                yield self.found(
                    ctx,
                    ("access", "ssh_from", place),
                    f"SSH would be open to {net.num_addresses:,} addresses ({net})",
                    "few of them are the lab's",
                    "name the lab's own networks",
                )


class SshNobody(Rule):
    name = "ssh-nobody"
    level = "warning"
    summary = "When networks may use SSH, there is a user to log in."
    passes = "access: {ssh_from: [198.51.100.0/24]}"
    fails = "access: {ssh_from: [198.51.100.0/24], users: null}"

    def check(self, ctx: Context) -> Iterator[Problem]:
        access = ctx.cluster.access
        if access.ssh_from and not access.users and ctx.cluster.aws:
            yield self.found(
                ctx,
                ("access",),
                "port 22 is open, and no user has a key",
                "access.ssh_from names networks, access.users nobody",
                'add: users: {ada: {keys: ["ssh-ed25519 …"]}}; or write ssh_from: []',
            )


class KeyValid(Rule):
    name = "key-valid"
    level = "error"
    summary = "SSH public keys are whole: known type, sound base64, the type inside the same, RSA of 2048 bits or more."
    passes = (
        "access: {users: {ada: {keys: "
        '["ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIFrORCiFghWA5IVhIrl+Sfz3oMUZ5NRhtPQ7MAB7L40P ada@laptop"]}}}'
    )
    fails = (
        "access: {users: {ada: {keys: "
        '["ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIFrORCiFghWA5IVhIrl+Sfz3oMUZ5NRhtPQ7MAB7 ada@laptop"]}}}'
    )

    def check(self, ctx: Context) -> Iterator[Problem]:
        found: list[tuple[Loc, str, str]] = [
            (("access", "users", user, "keys", place), user, key) for user, place, key in _keys(ctx)
        ]
        access = ctx.cluster.access
        for name, keys in (("ssh_ca", access.ssh_ca), ("user_ca", access.user_ca)):
            found += [(("access", name, place), "a CA", key) for place, key in enumerate(keys)]
        for loc, owner, key in found:
            why = key_problem(key)
            if why:
                shown = f"{key.split()[0]} …{key.split()[1][-8:]}"
                yield self.found(
                    ctx,
                    loc,
                    f"the key {shown} of {owner} is not usable",
                    why,
                    "copy the whole line of the .pub file; a new key: ssh-keygen -t ed25519",
                )


class KeyTwice(Rule):
    name = "key-twice"
    level = "warning"
    summary = "No two users have the same key."
    passes = "cluster: example"
    fails = (
        "access: {users: {bob: {keys: "
        '["ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIFrORCiFghWA5IVhIrl+Sfz3oMUZ5NRhtPQ7MAB7L40P"]}}}'
    )

    def check(self, ctx: Context) -> Iterator[Problem]:
        first: dict[str, str] = {}
        for user, place, key in _keys(ctx):
            owner = first.setdefault(key.split()[1], user)
            if owner != user:
                yield self.found(
                    ctx,
                    ("access", "users", user, "keys", place),
                    f"{owner} and {user} have the same key",
                    "the logs could not tell who came in",
                    "give each a key of their own",
                )


def _keys(ctx: Context) -> Iterator[tuple[str, int, str]]:
    for user, item in ctx.cluster.access.users.items():
        yield from ((user, place, key) for place, key in enumerate(item.keys))


def key_problem(key: str) -> str:
    """Why an OpenSSH public key line is not usable; empty when it is."""
    kind, text = key.split()[:2]
    if kind not in KINDS:
        return f"the type {kind[:40]} is not supported; {KINDS[0]} is the best"
    try:
        parts = _fields(base64.b64decode(text, validate=True))
    except (binascii.Error, ValueError, struct.error):
        return "its text is cut off or changed"
    if not parts or parts[0] != kind.encode():
        return f"it says {kind}, and inside it is another type"
    if kind in LENGTHS and (len(parts) != 2 or len(parts[1]) != LENGTHS[kind]):
        return "its text is cut off or changed"
    if kind == "ssh-rsa":
        bits = int.from_bytes(parts[2], "big").bit_length() if len(parts) == 3 else 0
        return "" if bits >= 2048 else f"it is RSA of {bits} bits; 2048 is the least" if bits else "it is cut off"
    return "" if len(parts) >= 2 else "its text is cut off or changed"


def _fields(raw: bytes) -> list[bytes]:
    """The length-prefixed parts of a key. Raises ValueError when it ends too early."""
    parts, start = [], 0
    while start < len(raw):
        (size,) = struct.unpack_from(">I", raw, start)
        part = raw[start + 4 : start + 4 + size]
        if len(part) != size:
            raise ValueError("cut off")
        parts.append(part)
        start += 4 + size
    return parts


RULES = (SshOpen, SshWide, SshNobody, KeyValid, KeyTwice)
