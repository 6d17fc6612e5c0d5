"""The wheel holds everything, and nothing in setup.cfg is out of step with the tree."""

from __future__ import annotations

import configparser
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_every_package_is_named_in_setup_cfg() -> None:
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg")
    named = set(config["options"]["packages"].split())
    here = {str(path.parent.relative_to(ROOT)).replace("/", ".") for path in (ROOT / "infra").rglob("__init__.py")}
    assert {name for name in named if not name.startswith("infra._assets")} == here


def test_the_dependency_table_of_the_readme_names_every_dependency() -> None:
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg")
    readme = (ROOT / "README.md").read_text().lower()
    lists = [config["options"]["install_requires"], *config["options.extras_require"].values()]
    for line in "\n".join(lists).splitlines():
        name = line.split(";")[0].split(">")[0].split("=")[0].split("[")[0].strip().lower()
        assert not name or f"`{name}`" in readme, f"README's table of dependencies lacks {name}"
