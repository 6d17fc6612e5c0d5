"""``infra init``."""

from __future__ import annotations

import re
import unicodedata
from pathlib import Path
from typing import TYPE_CHECKING

import click

from infra.cli.common import emit, file_option, json_option
from infra.errors import Refused, UsageError

if TYPE_CHECKING:
    from infra.spec.scaffold import Kind

EPILOG = """\b
Examples:
  infra init --local          for the embedded AWS: try everything, spend nothing
  infra init --name vision    for AWS
  infra init --metal-only     for machines under a desk
"""

NAME = r"[a-z]([a-z0-9-]{0,22}[a-z0-9])?"
PUBLIC_KEYS = ("id_ed25519.pub", "id_ecdsa.pub", "id_rsa.pub")


@click.command(epilog=EPILOG)
@file_option
@json_option
@click.option("--local", is_flag=True, help="For the embedded AWS on this machine.")
@click.option("--metal-only", is_flag=True, help="For physical machines, without any cloud.")
@click.option("--name", default="", help="The cluster's name; left out: the folder's.")
@click.option("--force", is_flag=True, help="Replace the file if it is there.")
def command(file: Path, as_json: bool, local: bool, metal_only: bool, name: str, force: bool) -> int:
    """Write a commented cluster.yaml to start from.

    It asks nothing. Your SSH public key (~/.ssh/id_ed25519.pub or another) is put in, if you have one.
    """
    from infra import files
    from infra.spec.scaffold import scaffold

    if local and metal_only:
        raise UsageError("--local and --metal-only exclude each other", where="command line", fix="give one of them")
    if name and not re.fullmatch(NAME, name):
        raise UsageError(
            f"{name[:60]!r} is not a cluster's name",
            where="--name",
            why="lower-case letters, digits and dashes, at most 24, beginning with a letter",
            fix=f"did you mean: --name {clean(name)}",
        )
    if not force and (file.exists() or file.is_symlink()):
        raise Refused(
            f"{file} is there already", where=str(file), fix="write another (-f FILE), or replace it with --force"
        )
    kind: Kind = "local" if local else "metal" if metal_only else "aws"
    name = name or clean(file.absolute().parent.name)
    user, key = _own_key()
    files.write_text(file, scaffold(kind, name, user, key))
    if as_json:
        emit({"file": str(file), "cluster": name, "kind": kind, "user": user or None})
        return 0
    who = f", with your key for the user {user}" if user else ""
    option = "" if file == Path("cluster.yaml") else f" -f {file}"
    click.echo(f"Wrote {file} for the cluster {name}{who}. Look it over, then: infra plan{option}")
    return 0


def clean(text: str) -> str:
    """A cluster's name made of any text; ``lab`` when nothing of it can be used."""
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()  # ü is u
    name = re.sub(r"[^a-z0-9]+", "-", plain.lower()).lstrip("0123456789-")[:24].strip("-")
    for kept in ("sg-", "internal-"):  # AWS refuses names that begin so
        name = name.removeprefix(kept)
    return name if re.fullmatch(NAME, name) else "lab"


def _own_key() -> tuple[str, str]:
    """The name and the public key of whoever runs this; two empty texts when there is no usable key."""
    from infra.spec.rules.access import key_problem

    try:
        folder = Path.home() / ".ssh"
        texts = [(folder / name).read_text("ascii").strip() for name in PUBLIC_KEYS if (folder / name).is_file()]
    except (OSError, RuntimeError, ValueError):
        return "", ""
    for text in texts:
        if re.fullmatch(r"[a-z0-9@.-]+ [A-Za-z0-9+/=]+( [ -!#-\[\]-~]*)?", text) and not key_problem(text):
            return _user(), text
    return "", ""


def _user() -> str:
    import getpass

    from infra.spec.rules.names import SYSTEM_USERS

    try:
        name = re.sub(r"[^a-z0-9_-]", "", getpass.getuser().lower())[:32]
    except (OSError, KeyError, ImportError):
        name = ""
    return name if re.fullmatch(r"[a-z_][a-z0-9_-]*", name) and name not in SYSTEM_USERS else "me"
