"""A machine's manifest, asked of the machine itself: by this installation's own script, never by the machine's copy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from infra import assets, files
from infra.errors import NodeFailed
from infra.node.proof import signature
from infra.node.proof.manifest import Manifest, parse
from infra.node.proof.signature import BEGIN, END, Signed

if TYPE_CHECKING:
    from infra.node.ssh.fleet import Connection

DEADLINE, DEEP_DEADLINE = 120.0, 3600.0


@dataclass(frozen=True, slots=True)
class Proof:
    """A manifest whose signature was checked; ``baseline`` is what the machine was after its last converge."""

    signed: Signed
    manifest: Manifest
    baseline: Manifest | None


def script() -> str:
    """``chef/bin/manifest`` as it ships."""
    return files.read_text(assets.root("chef") / "bin" / "manifest")


def take(connection: Connection, *, deep: bool = False, baseline: bool = False) -> Proof:
    """Ask a machine what it is, and whether it is itself.

    Raises HostKeyError when the answer is not signed by the host key that the connection was judged by, NodeFailed when
    it is not whole, and what ``Connection.run`` raises.
    """
    node = connection.node
    where = node.where or node.login
    words = ["--sign", nonce := signature.nonce(node), "--key", key := connection.host_key]
    words += ["--deep"] * deep + ["--with-baseline"] * baseline
    ran = connection.run(script(), *words, deadline=DEEP_DEADLINE if deep else DEADLINE, check=False)
    if ran.code != 0:
        raise NodeFailed(
            f"{node.name} could not say what it is",
            where=where,
            why=ran.err.strip() or f"exit code {ran.code}",
            fix="mend what the output names, then run the same command again",
        )
    text, begin, rest = ran.out.partition(BEGIN)
    armour, end, before = rest.partition(END)
    signed = Signed(nonce, text, begin + armour + end)
    signature.check(signed, [key], node.name, where)
    found = parse(text, node.name, where)
    return Proof(signed, found, _baseline(before, found, node.name, where) if baseline else None)


def _baseline(text: str, now: Manifest, name: str, where: str) -> Manifest | None:
    if not text and not now.get("node:baseline"):
        return None
    if now.get("node:baseline") != f"sha256:{files.digest(text)}":
        raise NodeFailed(
            f"the baseline of {name} was damaged on its way",
            where=where,
            why="it is not the one whose digest is in the signed manifest",
            fix="run the same command again",
        )
    return parse(text, f"{name} (its baseline)", where)


def accept(connection: Connection) -> None:
    """Take what the machine is now as its baseline."""
    connection.run(script(), "--save", deadline=DEADLINE)
