"""checkov, unmodified, over the example labs: no failed check but those in tests/checkov.json, each with a reason.

checkov pins its own boto3, so it is looked for in INFRA_CHECKOV, in .venv-checkov (scripts/test makes it) and on PATH.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from infra.cloud.project import modules, root
from infra.cloud.project.provider import online
from infra.spec.load import load
from tests.conftest import LABS, Infra, clean_environment

HERE = Path(__file__).resolve().parents[1]
REASONS: dict[str, str] = json.loads((HERE / "checkov.json").read_text(encoding="utf-8"))
CLOUD_LABS = ("research-lab", "training-cluster")


def checkov() -> str:
    own = HERE.parent / ".venv-checkov" / "bin" / "checkov"
    found = os.environ.get("INFRA_CHECKOV") or (str(own) if own.exists() else shutil.which("checkov"))
    if not found:
        pytest.skip("checkov is not installed: scripts/test makes .venv-checkov for it, or set INFRA_CHECKOV")
    return found


def failed(folder: Path, *arguments: str) -> set[str]:
    """The ids of the checks that failed. checkov must have looked at something."""
    argv = [checkov(), "--skip-download", "-o", "json", *arguments]
    done = subprocess.run(
        argv, cwd=folder, capture_output=True, text=True, timeout=300, check=False, env=clean_environment()
    )
    report: dict[str, Any] = json.loads(done.stdout)
    assert report["summary"]["passed"] > 100, report["summary"]
    assert report["summary"]["parsing_errors"] == 0, report["summary"]
    return {item["check_id"] for item in report["results"]["failed_checks"]}


def test_the_projects_for_the_current_provider(tmp_path: Path) -> None:
    seen: set[str] = set()
    for lab in CLOUD_LABS:
        loaded = load(LABS / f"{lab}.yaml")
        assert loaded.cluster.aws is not None
        region = loaded.cluster.aws.home
        folder = tmp_path / lab
        modules.render(online(), folder / "modules")
        content = root.build(loaded.cluster, region, online())
        (folder / "main.tf.json").write_text(json.dumps(content, indent=2), encoding="utf-8")
        seen |= failed(folder, "-d", ".", "--framework", "terraform")
    assert seen - set(REASONS) == set()


@pytest.mark.engine
def test_the_embedded_plans(infra: Infra) -> None:
    seen: set[str] = set()
    for lab in CLOUD_LABS:
        infra.lab(lab)
        cluster = load(LABS / f"{lab}.yaml").cluster
        assert cluster.aws is not None
        infra("plan", "--endpoint", "local", "--region", cluster.aws.home, code=2)
        plan = infra.folder / ".infra" / f"{cluster.cluster}@local" / cluster.aws.home / "plan.tfplan"
        seen |= failed(plan.parent, "-f", shown(infra, plan), "--framework", "terraform_plan")
    assert seen - set(REASONS) == set()


def shown(infra: Infra, plan: Path) -> str:
    """The plan as JSON, by the same engine that made it."""
    code = """
import json, sys
from pathlib import Path
from infra.cloud.site import open_site
from infra.spec.load import load

site = open_site(load(Path("cluster.yaml"), "local"))
print(json.dumps(site.terraform(sys.argv[1]).show(Path("plan.tfplan"))))
"""
    argv = [sys.executable, "-c", code, plan.parent.name]
    done = subprocess.run(
        argv, cwd=infra.folder, env=infra.env, capture_output=True, text=True, timeout=120, check=True
    )
    target = plan.with_name("shown.json")
    target.write_text(done.stdout, encoding="utf-8")
    return target.name
