"""The Packer project of one bake: HCL from ``packer/`` for a version of Packer, and the values that go with it.

The sources are HCL with Jinja's line statements (``#% if packer >= (1, 7)``) and ``<< name >>`` where an endpoint has
to stand in the text. What is rendered is a plain Packer project that a person can validate and build by hand.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from infra import assets, files
from infra.cloud.project.modules import environment

VALUES = "values.pkrvars.json"
FILES = ("plugins.pkr.hcl", "variables.pkr.hcl", "image.pkr.hcl")
SCRIPTS = ("prepare", "unpack", "converge", "rehearse", "smoke", "packages", "seal")
KEY = "key"
SSH_TIMEOUT = "10m"
SSH_SILENCE = "5m"
"""The keep-alive of every five seconds is an answer, too: without any for so long, the machine is gone."""


@dataclass(frozen=True, slots=True)
class Local:
    """The embedded AWS's credentials, and the machine that stands in for the builder."""

    access_key: str
    secret_key: str
    ssh_host: str
    ssh_port: int


@dataclass(frozen=True, slots=True)
class Project:
    """What is rendered. ``values`` are the template's user variables by name."""

    packer: tuple[int, int, int]
    values: Mapping[str, Any]
    policy: bytes
    node: Mapping[str, Any]
    package: Path | None = None
    rehearsal: bool = False
    endpoint: str = ""
    local: Local | None = None
    ssh_timeout: str = SSH_TIMEOUT
    ssh_silence: str = SSH_SILENCE
    scripts: tuple[str, ...] = field(default=SCRIPTS)


def texts(project: Project) -> dict[str, str]:
    """The HCL files by name; one that has nothing to say for this version is left out."""
    top = assets.root("packer")
    local = project.local
    names: dict[str, Any] = {
        "packer": project.packer,
        "endpoint": project.endpoint,
        "access_key": local.access_key if local else "",
        "secret_key": local.secret_key if local else "",
        "ssh_host": local.ssh_host if local else "",
        "ssh_port": local.ssh_port if local else 22,
        "ssh_timeout": project.ssh_timeout,
        "ssh_silence": project.ssh_silence,
        "client_package": project.package is not None,
        "rehearsal": project.rehearsal,
    }
    found = {name: environment("<<", ">>").from_string(files.read_text(top / name)).render(names) for name in FILES}
    return {name: text for name, text in found.items() if text.strip()}


def render(project: Project, folder: Path) -> None:
    """Write the whole project; what a former bake left in the folder goes, its private key stays out of everything.

    Raises FileError. The files are for this bake alone, so none is written twice for the sake of a crash.
    """
    source = assets.root("packer") / "scripts"
    wanted = {name: text.encode() for name, text in texts(project).items()}
    wanted |= {f"scripts/{name}.sh": files.read_text(source / f"{name}.sh").encode() for name in project.scripts}
    for name, value in ((VALUES, project.values), ("node.json", project.node)):
        wanted[name] = (json.dumps(dict(value), indent=2, sort_keys=True, ensure_ascii=False) + "\n").encode()
    wanted["policy.tar"] = project.policy
    shutil.rmtree(folder, ignore_errors=True)
    try:
        for part in ("scripts", "out", "client"):
            (folder / part).mkdir(parents=True)
        for name, raw in wanted.items():
            (folder / name).write_bytes(raw)
        if project.package is not None:
            _link(project.package, folder / "client" / project.package.name)
    except OSError as error:
        raise files.explain("write", folder, error) from error


def _link(source: Path, place: Path) -> None:
    try:
        os.link(source, place)
    except OSError:  # another file system
        shutil.copyfile(source, place)


def cloud_config(public_key: str) -> str:
    """What the builder's cloud-init is told: let this bake's key in."""
    return "#cloud-config\n" + json.dumps({"ssh_authorized_keys": [public_key]}) + "\n"
