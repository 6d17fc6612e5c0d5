"""What all tests share: a clean environment, a temporary lab, and the command line run as a user runs it."""

from __future__ import annotations

import gc
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

# What is imported stays: to look through all of it for garbage, again and again, takes a tenth of the suite's time.
gc.set_threshold(20_000, 20, 50)


def pytest_collection_finish() -> None:
    gc.collect()
    gc.freeze()


# A busy machine is not a failure: no example has a deadline of its own.
settings.register_profile(
    "infra",
    parent=settings.get_profile("ci" if os.environ.get("CI") else "default"),
    deadline=None,
    suppress_health_check=(HealthCheck.too_slow,),
)
settings.load_profile("infra")

LABS = Path(__file__).parent / "labs"
SLICE = """\
version: 1
cluster: demo
aws: {regions: [us-west-2], endpoint: local}
profiles:
  cpu: {}
pools:
  cpu: {profile: cpu, instance_types: [m5.large], size: {max: 2}}
"""
# Nothing of the developer's own settings may decide a test.
OURS = ("AWS_", "INFRA_", "TF_", "CHECKPOINT_", "MOTO_")


def clean_environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """The process's environment without the user's cloud and Terraform settings."""
    env = {key: value for key, value in os.environ.items() if not key.startswith(OURS)}
    return {**env, **(extra or {})}


@dataclass(frozen=True)
class Ran:
    """What a command line did."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)

    @property
    def all(self) -> str:
        return self.out + self.err


@dataclass
class Infra:
    """Runs ``infra`` in ``folder`` as a process of its own."""

    folder: Path
    env: dict[str, str] = field(default_factory=dict)

    def __call__(self, *args: str, code: int | None = 0, timeout: float = 300, **env: str) -> Ran:
        """Run one command line; ``code`` is the exit code that it must have (None: any). Never a traceback."""
        done = subprocess.run(
            [sys.executable, "-m", "infra", *args],
            cwd=self.folder,
            env={**self.env, **env},
            capture_output=True,
            text=True,
            timeout=timeout,
            stdin=subprocess.DEVNULL,
            check=False,
        )
        ran = Ran(done.returncode, done.stdout, done.stderr)
        assert "Traceback" not in ran.all, ran.all
        if code is not None:
            assert ran.code == code, f"infra {' '.join(args)} gave {ran.code}, not {code}\n{ran.all}"
        return ran

    def write(self, text: str, name: str = "cluster.yaml") -> Path:
        path = self.folder / name
        path.write_text(text, encoding="utf-8")
        return path

    def lab(self, name: str) -> Path:
        """One of the example labs as this folder's cluster.yaml."""
        return self.write((LABS / f"{name}.yaml").read_text(encoding="utf-8"))


@pytest.fixture(autouse=True)
def fresh_console(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test prints on a console whose width another one chose, or who runs the tests."""
    from infra.ui.console import console

    monkeypatch.delenv("COLUMNS", raising=False)
    console.cache_clear()


@pytest.fixture(scope="session")
def session_environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """An empty HOME and a cache shared by the session (the provider is unpacked once)."""
    base = tmp_path_factory.mktemp("session")
    (base / "home").mkdir()
    # The same engine everywhere, whatever lies on PATH; INFRA_TEST_TERRAFORM=/path/to/tofu tries another.
    engine = os.environ.get("INFRA_TEST_TERRAFORM", "embedded")
    return clean_environment(
        {"HOME": str(base / "home"), "XDG_CACHE_HOME": str(base / "cache"), "COLUMNS": "160", "INFRA_TERRAFORM": engine}
    )


@pytest.fixture
def infra(tmp_path: Path, session_environment: dict[str, str]) -> Iterator[Infra]:
    """The command line in an empty folder, with an embedded AWS of its own that ends with the test."""
    folder = tmp_path / "lab"
    folder.mkdir()
    runner = Infra(folder, {**session_environment, "INFRA_LOCAL_DIR": str(tmp_path / "aws")})
    yield runner
    if (tmp_path / "aws").exists():
        runner("local", "down", code=None, timeout=60)
