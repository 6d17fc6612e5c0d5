"""Small packages made on the spot: real names and versions, little inside."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from pathlib import Path


def build(folder: Path, name: str, version: str, *, files: Mapping[str, str] | None = None, **fields: str) -> Path:
    """A .deb in ``folder``. ``files`` is path -> text, executable when it begins with ``#!``; ``fields`` go into its
    control file (``Depends="a, b"``)."""
    tree = folder / f"{name}_{version.replace(':', '%3a')}"
    control = {"Package": name, "Version": version, "Architecture": "amd64", "Maintainer": "tests <tests@example.org>"}
    control |= {key.replace("_", "-"): value for key, value in fields.items()}
    text = "".join(f"{key}: {value}\n" for key, value in control.items())
    for path, content in {"DEBIAN/control": f"{text}Description: made for a test\n", **(files or {})}.items():
        target = tree / path.lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(content)
        target.chmod(0o755 if content.startswith("#!") else 0o644)
    deb = tree.with_name(f"{tree.name}_amd64.deb")
    subprocess.run(
        ["dpkg-deb", "--root-owner-group", "--build", tree, deb], check=True, capture_output=True, timeout=60
    )
    return deb
