"""What a policy's machine would converge, resource by resource, listed without Chef."""

from __future__ import annotations

import functools
import hashlib
import json
import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from infra import assets
from infra.policy import of
from infra.policy.tar import unpack
from infra.spec.load import load

HERE = Path(__file__).parent
LABS = HERE.parent / "labs"
RUBY = shutil.which("ruby")
PLATFORMS = {"ubuntu-22.04": ("ubuntu", "22.04"), "ubuntu-24.04": ("ubuntu", "24.04"), "debian-12": ("debian", "12")}
LONG = 60


def profiles() -> list[tuple[str, str]]:
    """Every lab with each of its profiles."""
    return [(lab.stem, name) for lab in sorted(LABS.glob("*.yaml")) for name in load(lab).cluster.profiles]


@functools.cache
def node_json(lab: str, profile: str) -> dict[str, Any]:
    """The attributes and run-list that the policy carries."""
    archive = of(load(LABS / f"{lab}.yaml"), profile).archive()
    return dict(json.loads(unpack(archive)["node.json"]))


def facts(platform: str, *, kernel: str = "6.8.0-1030-aws") -> dict[str, Any]:
    """What the client would find out about the machine."""
    name, version = PLATFORMS[platform]
    return {
        "platform": name,
        "platform_family": "debian",
        "platform_version": version,
        "hostname": "node0",
        "kernel": {"release": kernel, "machine": "x86_64"},
        "virtualization": {"systems": {}},
    }


def pci(world: Path, devices: Mapping[str, tuple[str, str]]) -> Path:
    """Put devices on the PCI bus of a machine whose root is ``world``: slot -> (vendor:device, class)."""
    for slot, (number, kind) in devices.items():
        vendor, device = number.split(":")
        place = world / "sys/bus/pci/devices" / slot
        place.mkdir(parents=True)
        for file, text in (("vendor", f"0x{vendor}"), ("device", f"0x{device}"), ("class", kind)):
            (place / file).write_text(f"{text}\n")
    return world


def record(
    node: Mapping[str, Any], machine: Mapping[str, Any], *, world: Path | None = None, chef: Path | None = None
) -> dict[str, Any]:
    """``resources`` in order, and the ``log``. A mistake in a cookbook is an AssertionError with its text."""
    done = subprocess.run(
        [str(RUBY), "-W1", str(HERE / "recorder/record.rb"), str(chef or assets.root("chef"))],
        input=json.dumps({"node": node, "facts": machine}),
        env={**os.environ, "INFRA_WORLD": str(world or "/nonexistent"), "LC_ALL": "C.UTF-8"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout))


def lines(recorded: Mapping[str, Any]) -> str:
    """One line a resource, long texts by their sha256: what a golden file holds."""
    rows = []
    recipe = ""
    for item in recorded["resources"]:
        if item["recipe"] != recipe:
            recipe = item["recipe"]
            rows.append(f"{recipe}")
        action = ",".join(item.get("action", ()))
        says = " ".join(f"{key}={_short(value)}" for key, value in item.get("says", {}).items())
        rest = [f"{{{guard}}}" for guard in item.get("guards", ())] + [f"-> {it}" for it in item.get("notifies", ())]
        rows.append("  " + " ".join(word for word in (item["resource"], action and f":{action}", says, *rest) if word))
    return "\n".join([*rows, *(f"log {line}" for line in recorded["log"])]) + "\n"


def _short(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, sort_keys=True)
    if len(text) <= LONG and "\n" not in text:
        return text
    return f"sha256:{hashlib.sha256(text.encode()).hexdigest()[:10]}"
