"""The Chef client of a bake: a package with a pinned digest, fetched once; on the embedded AWS also what is at hand."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from infra.cloud.project.images import ARCHITECTURES
from infra.errors import FileError, SpecError, ToolFailed, Unreachable
from infra.files import explain
from infra.local import places
from infra.spec.load import Loaded

REHEARSAL = "rehearsal"
CINC = "https://downloads.cinc.sh/files/stable/cinc"
DEADLINE = 15 * 60.0
PIECE = 1 << 20


@dataclass(frozen=True, slots=True)
class Client:
    """``kind`` is cinc, chef or rehearsal. ``package`` is a local file, None when the machine has the client already.

    ``tree`` is a folder of this machine that holds the client, to be lent to the build host. ``note`` is for the user.
    """

    kind: str
    package: Path | None = None
    sha256: str = ""
    tree: Path | None = None
    program: Path | None = None
    note: str = ""

    @property
    def rehearsal(self) -> bool:
        return self.kind == REHEARSAL


def client(loaded: Loaded, profile: str, arch: str) -> Client:
    """The client that this cluster's machines converge with. Raises SpecError when its digest is not known."""
    chef = loaded.cluster.chef
    digest = chef.digest(arch)
    if not digest and loaded.cluster.local:
        return _at_hand(chef.client)
    source = chef.url or _published(loaded, profile, arch)
    if not digest:
        raise SpecError(
            f"the sha256 of the {chef.client} client's package for {arch} is not given",
            where=loaded.where("chef"),
            why="what is installed as root on every machine must be what you have looked at",
            fix=f"download {source}, compare it with what its publisher says, and write: chef: {{sha256: …}}",
        )
    package = _fetched(source, digest, loaded)
    return Client(chef.client, package, digest)


def _published(loaded: Loaded, profile: str, arch: str) -> str:
    """Where Cinc publishes its packages; Chef's own need a licence and a URL that the user has."""
    chef = loaded.cluster.chef
    if chef.client != "cinc":
        raise SpecError(
            "where the chef client's package comes from is not given",
            where=loaded.where("chef"),
            why="Chef's own packages are no longer to be had without a licence",
            fix="write chef: {client: chef, url: …, sha256: …}, or leave client out for Cinc, which is free",
        )
    system = loaded.cluster.profiles[profile].os.removeprefix("ubuntu-")
    return f"{CINC}/{chef.version}/ubuntu/{system}/cinc_{chef.version}-1_{ARCHITECTURES[arch]}.deb"


def _at_hand(kind: str) -> Client:
    """On the embedded AWS: this machine's own client if it can be lent, else the stand-in."""
    found = next((path for path in map(shutil.which, (f"{kind}-client", "cinc-client", "chef-client")) if path), None)
    why = "there is no cinc-client or chef-client on this machine, and chef: names no package"
    if found is not None:
        program = Path(found).resolve()
        if len(program.parts) > 3 and program.parts[1] == "opt":  # the client's own package: all of it is in one folder
            tree = Path(*program.parts[:3])
            name = "cinc" if program.name.startswith("cinc") else "chef"
            return Client(name, tree=tree, program=program, note=f"{program} of this machine is lent to the build host")
        why = f"{found} is not of a package in /opt, so the build host cannot be lent it"
    return Client(REHEARSAL, note=f"REHEARSAL: {why}. Nothing is converged and nothing is tested")


def _fetched(source: str, digest: str, loaded: Loaded) -> Path:
    """The package as a file, checked. A file of the lab is used where it lies; a URL is fetched once."""
    if urlsplit(source).scheme not in ("http", "https"):
        path = (loaded.path.resolve().parent / source.removeprefix("file://")).resolve()
        _check(path, digest, str(path))
        return path
    name = Path(urlsplit(source).path).name or "client.deb"
    path = places.cache() / "clients" / digest[:16] / name
    if path.is_file():
        try:
            _check(path, digest, source)
            return path
        except ToolFailed:
            path.unlink()
    _download(source, path, digest)
    return path


def _download(source: str, path: Path, digest: str) -> None:
    import urllib.error
    import urllib.request

    began = time.monotonic()
    draft = ""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, draft = tempfile.mkstemp(dir=path.parent)
        with os.fdopen(handle, "wb") as out, urllib.request.urlopen(source, timeout=60) as answer:
            while piece := answer.read(PIECE):
                out.write(piece)
                if time.monotonic() - began > DEADLINE:
                    raise TimeoutError(f"it was not here after {DEADLINE / 60:.0f} min")
        _check(Path(draft), digest, source)
        Path(draft).rename(path)
    except (urllib.error.URLError, TimeoutError, ConnectionError) as error:
        raise Unreachable(
            "the Chef client's package cannot be downloaded",
            where=source,
            why=str(getattr(error, "reason", "") or error),
            fix="check the network and chef.version; or download it yourself and give its path: chef: {url: …}",
        ) from error
    except OSError as error:
        raise explain("write", path, error) from error
    finally:
        if draft:
            Path(draft).unlink(missing_ok=True)


def _check(path: Path, digest: str, source: str) -> None:
    try:
        with path.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise FileError(
            "the Chef client's package cannot be read",
            where=str(path),
            why=error.strerror or str(error),
            fix="correct chef.url: a path is looked for beside cluster.yaml",
        ) from error
    if found != digest:
        raise ToolFailed(
            "the Chef client's package is not the one that chef.sha256 names",
            where=source,
            why=f"its sha256 is {found}, not {digest}",
            fix="find out why before you change chef.sha256",
        )
