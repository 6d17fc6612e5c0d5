"""The real ``kubectl`` against a test API server."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.conftest import Ran, clean_environment
from tests.kube import KubeServer


def executable() -> str:
    """The kubectl of this environment, else the one on PATH."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
    found = shutil.which("kubectl", path=path)
    assert found, "no kubectl: it comes with the extra [dev]"
    return found


@dataclass(frozen=True)
class Kubectl:
    """``kubectl("get", "nodes")`` in a home of its own."""

    config: Path
    home: Path

    @classmethod
    def of(cls, kube: KubeServer, folder: Path) -> Kubectl:
        return cls(kube.kubeconfig(folder / "kubeconfig"), folder)

    @property
    def env(self) -> dict[str, str]:
        return clean_environment({"KUBECONFIG": str(self.config), "HOME": str(self.home)})

    def start(self, *args: str) -> subprocess.Popen[str]:
        """A kubectl that goes on while the test does something else."""
        return subprocess.Popen(
            [executable(), *args],
            env=self.env,
            text=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )

    def __call__(self, *args: str, code: int = 0, stdin: Any = None, timeout: float = 30) -> Ran:
        """``stdin``: text, or an object that goes in as JSON."""
        text = stdin if stdin is None or isinstance(stdin, str) else json.dumps(stdin)
        done = subprocess.run(
            [executable(), *args],
            env=self.env,
            input=text or "",
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )
        ran = Ran(done.returncode, done.stdout, done.stderr)
        assert ran.code == code, f"kubectl {' '.join(args)} gave {ran.code}, not {code}\n{ran.all}"
        return ran
