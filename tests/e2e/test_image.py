"""The container image of infra, built by ``scripts/image`` and started, where something is there to build it with."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
BASE = "docker.io/library/python:3.12-slim-bookworm"
NAME = "localhost/infra-test:1"

pytestmark = pytest.mark.engine


def run(*argv: str, timeout: float = 60, **env: str) -> subprocess.CompletedProcess[str]:
    found = {**os.environ, **env}
    return subprocess.run(argv, cwd=ROOT, env=found, capture_output=True, text=True, timeout=timeout, check=False)


@pytest.fixture(scope="module")
def tool() -> str:
    """docker, podman or buildah with the base image at hand: nothing is fetched for a test."""
    there = [name for name in ("docker", "podman", "buildah") if shutil.which(name)]
    for name in there:
        if run(name, "images", "--quiet", BASE).stdout.strip():
            return name
    pytest.skip(f"the image is not built: {BASE} is in none of {', '.join(there) or 'docker, podman, buildah'}")


@pytest.fixture(scope="module")
def image(tool: str) -> Iterator[str]:
    built = run("scripts/image", NAME, timeout=600, INFRA_CONTAINER_TOOL=tool)
    assert built.returncode == 0, built.stdout + built.stderr
    assert f"{tool} push {NAME}" in built.stdout
    yield NAME
    run(tool, "rmi", NAME)


def test_the_image_says_who_runs_what(tool: str, image: str) -> None:
    said = run(tool, "inspect", *(["--type", "image"] if tool != "docker" else []), image)
    assert said.returncode == 0, said.stderr
    found = json.loads(said.stdout)
    config = found["OCIv1"]["config"] if tool == "buildah" else found[0]["Config"]
    assert (config["User"], config["Entrypoint"]) == ("65532:65532", ["infra"])


def test_it_starts_as_nobody(tool: str, image: str) -> None:
    asked = ["autoscale", "run", "--help"]
    if tool == "buildah":  # which runs what it is told, and not the entry point
        made = run(tool, "from", image)
        assert made.returncode == 0, made.stderr
        words = [made.stdout.strip(), "--", "infra", *asked]
    else:
        words = ["--rm", "--read-only", "--tmpfs", "/tmp", "--network", "none", image, *asked]
    said = run(tool, "run", *words)
    if tool == "buildah":
        run(tool, "rm", words[0])
    assert said.returncode == 0 and "--once" in said.stdout, said.stderr
