"""A small ``chef`` folder for tests, in the place of what ships."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

SPEC = """\
version: 1
cluster: lab
aws: {regions: [us-west-2]}
access:
  users:
    ada: {keys: ["ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIFrORCiFghWA5IVhIrl+Sfz3oMUZ5NRhtPQ7MAB7L40P ada@laptop"]}
profiles:
  gpu:
    os: ubuntu-22.04
    run_list: ["role[gpu]"]
    nvidia: {driver: "580", cuda: "12.9"}
pools:
  gpu: {profile: gpu, instance_types: [g4dn.xlarge], size: {max: 2}}
"""


def cookbook(chef: Path, name: str, recipe: str = "", depends: tuple[str, ...] = ()) -> Path:
    """A cookbook with a default recipe."""
    folder = chef / "cookbooks" / name
    (folder / "recipes").mkdir(parents=True, exist_ok=True)
    lines = [f"name '{name}'", "version '1.0.0'", *(f"depends '{other}'" for other in depends)]
    (folder / "metadata.rb").write_text("\n".join(lines) + "\n")
    (folder / "recipes" / "default.rb").write_text(recipe or f"log '{name}'\n")
    return folder


def role(chef: Path, name: str, *items: str, **more: Any) -> Path:
    """A role; ``more`` are further keys of it."""
    (chef / "roles").mkdir(parents=True, exist_ok=True)
    path = chef / "roles" / f"{name}.json"
    path.write_text(json.dumps({"name": name, "run_list": list(items), **more}, indent=2))
    return path


def small(chef: Path) -> Path:
    """base, nvidia, cuda and research by the role gpu; a cookbook that nobody uses; one program."""
    for name in ("base", "nvidia", "cuda", "research", "other"):
        cookbook(chef, name)
    role(chef, "gpu", "recipe[base]", "recipe[nvidia]", "recipe[cuda]", "recipe[research]")
    (chef / "bin").mkdir()
    (chef / "bin" / "converge").write_text("#!/bin/sh\n")
    return chef
