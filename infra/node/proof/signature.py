"""A manifest is a machine's own: signed there with its host key over a nonce of ours, and checked with the key we know.

Message: the nonce, a newline, the manifest. Signature: SSHSIG of the namespace ``infra-manifest``, so that no signature
made for anything else passes, nor this one for anything else. OpenSSH signs and OpenSSH checks.
"""

from __future__ import annotations

import base64
import re
import secrets
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from infra import proc
from infra.errors import HostKeyError, NodeFailed
from infra.node.model import Node
from infra.node.ssh.trust import fingerprint

NAMESPACE = "infra-manifest"
BEGIN = "-----BEGIN SSH SIGNATURE-----\n"
END = "-----END SSH SIGNATURE-----\n"
_NONCE = re.compile(r"infra-manifest ident=(\S+) name=(\S+) profile=(\S*) user=(\S*) at=(\S+) [0-9a-f]{32}")


@dataclass(frozen=True, slots=True)
class Signed:
    """A manifest's ``text``, the ``nonce`` it was asked for with, and the armoured ``signature`` of both."""

    nonce: str
    text: str
    signature: str

    @property
    def message(self) -> str:
        return f"{self.nonce}\n{self.text}"


@dataclass(frozen=True, slots=True)
class Asked:
    """What a nonce says: who was asked, as ``ident`` (what its key is pinned under), and when (UTC, ISO)."""

    ident: str
    name: str
    profile: str
    user: str
    at: str


def nonce(node: Node) -> str:
    """A fresh one: never used before, and it says who is asked, and when."""
    at = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    who = f"ident={node.ident} name={node.name} profile={node.profile} user={node.user}"
    return f"infra-manifest {who} at={at} {secrets.token_hex(16)}"


def asked(text: str, where: str) -> Asked:
    """What the nonce of a kept manifest says. Raises NodeFailed when it is not one of ours."""
    found = _NONCE.fullmatch(text)
    if found is None:
        raise NodeFailed(
            "this is no manifest that was kept",
            where=where,
            why=f"its first line is {text[:80]!r}",
            fix="give the files NAME.manifest that `infra node verify --save DIR` wrote",
        )
    return Asked(*found.groups())


def check(signed: Signed, keys: Sequence[str], name: str, where: str = "") -> None:
    """Raise HostKeyError unless one of ``keys`` (``type base64``) has signed it; ``name`` is the machine's."""
    place = where or name
    if not signed.signature.startswith(BEGIN) or not signed.signature.endswith(END):
        raise HostKeyError(
            f"the manifest of {name} is not signed",
            where=place,
            why="a manifest counts only with the signature of its machine's host key",
            fix="run the same command again; if it stays so, take the machine for untrusted",
        )
    if not keys:
        raise HostKeyError(
            f"no host key of {name} is known",
            where=place,
            why="its manifest is signed, and nothing says by whom",
            fix="pin it by a login (infra node list NAME), or write its host_key in cluster.yaml",
        )
    with tempfile.TemporaryDirectory(prefix="infra-verify-") as folder:
        signers, signature = Path(folder, "signers"), Path(folder, "signature")
        signers.write_text("".join(f'node namespaces="{NAMESPACE}" {key}\n' for key in keys))
        signature.write_text(signed.signature)
        argv = ["ssh-keygen", "-Y", "verify", "-f", str(signers), "-I", "node", "-n", NAMESPACE, "-s", str(signature)]
        done = proc.run(argv, deadline=30, stdin=signed.message, check=False)
    if done.code == 0:
        return
    said = " ".join((done.err + done.out).split())
    raise HostKeyError(
        f"the manifest of {name} is not signed by its host key",
        where=place,
        why=f"{_meaning(signed.signature, keys)} (ssh-keygen: {said[-200:]})",
        fix="take nothing of it for true: ask whoever looks after the machine whether its host key is still its own",
    )


def _meaning(armour: str, keys: Sequence[str]) -> str:
    """Why a signature does not hold: OpenSSH says little, and other words in every version."""
    inside = _inside(armour)
    if inside is None:
        return "the signature is damaged"
    key, namespace = inside
    if namespace != NAMESPACE:
        return f"the signature was made for something else, {namespace[:40]!r}"
    if key not in [" ".join(known.split()[:2]) for known in keys]:
        known = ", ".join(fingerprint(item) for item in keys)
        return f"another key has signed it: {fingerprint(key)}; known: {known}"
    return "it was changed after it was signed, or is the answer to another question"


def _inside(armour: str) -> tuple[str, str] | None:
    """The public key (``type base64``) and the namespace that an SSHSIG names; None when it is none."""
    try:
        raw = base64.b64decode("".join(armour.splitlines()[1:-1]), validate=True)
        if raw[:10] != b"SSHSIG\0\0\0\1":
            return None
        key, rest = _string(raw[10:])
        namespace, _ = _string(rest)
        return f"{_string(key)[0].decode()} {base64.b64encode(key).decode()}", namespace.decode()
    except ValueError:
        return None


def _string(raw: bytes) -> tuple[bytes, bytes]:
    """An SSH string and what follows it. Raises ValueError."""
    size = int.from_bytes(raw[:4], "big")
    if len(raw) < 4 + size or len(raw) < 4:
        raise ValueError("cut short")
    return raw[4 : 4 + size], raw[4 + size :]


def save(signed: Signed, folder: Path, name: str) -> Path:
    """Keep it so that anybody can check it later, also with ssh-keygen alone; the path of the message's file."""
    from infra import files

    path = folder / f"{name}.manifest"
    files.write_text(path.with_name(path.name + ".sig"), signed.signature)
    files.write_text(path, signed.message)
    return path


def kept(path: Path) -> Signed:
    """A manifest that was kept. Raises FileError."""
    from infra import files

    first, _, text = files.read_text(path).partition("\n")
    return Signed(first, text, files.read_text(path.with_name(path.name + ".sig")))
