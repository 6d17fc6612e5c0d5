"""Check (or with --write, mend) the layout of the HCL in terraform/modules with `terraform fmt`."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from infra.cloud import engine


def main() -> int:
    check = [] if "--write" in sys.argv else ["-check", "-diff"]
    modules = Path(__file__).resolve().parent.parent / "terraform" / "modules"
    return subprocess.run([*engine.choose().argv, "fmt", *check, "-recursive", str(modules)], check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
