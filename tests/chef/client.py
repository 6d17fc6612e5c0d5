"""A real cinc-client or chef-client for test machines, where there is one."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from pathlib import Path

from tests.bed import root as roots
from tests.bed.root import locked

NAMES = ("cinc-client", "chef-client")


def find() -> Path | None:
    """The client to try cookbooks with: ``INFRA_CHEF_CLIENT``, else cinc-client or chef-client on PATH."""
    named = os.environ.get("INFRA_CHEF_CLIENT")
    found = named or next((path for name in NAMES if (path := shutil.which(name))), None)
    return Path(found).resolve() if found else None


def missing() -> str:
    """Why no cookbook can be converged here; empty when one can."""
    client = find()
    if client is None:
        return "NO CHEF CLIENT: cookbooks are not converged. Put cinc-client on PATH, or name one: INFRA_CHEF_CLIENT"
    if not client.is_file():
        return f"INFRA_CHEF_CLIENT: there is no {client}"
    if client.parent.parent in (Path("/"), Path("/usr"), Path("/usr/local")):
        return f"{client} is spread over the system: only a client in a folder of its own (/opt/cinc) can be copied"
    return ""


def layer() -> Path:
    """A folder to lay over a machine's root: the client's own tree, at its own path."""
    client = find()
    assert client is not None
    tree = client.parent.parent
    mark = hashlib.sha256(f"{client} {client.stat().st_mtime_ns}".encode()).hexdigest()[:12]
    place = roots.cache() / f"client-{mark}"
    with locked(roots.cache() / "client.lock"):
        if not place.is_dir():
            draft = place.with_suffix(".draft")
            shutil.rmtree(draft, ignore_errors=True)
            target = draft / tree.relative_to("/")
            target.parent.mkdir(parents=True)
            subprocess.run(["cp", "-a", tree, target], check=True, timeout=600)
            draft.rename(place)
    return place
