"""The pages on the spec are current."""

from __future__ import annotations

import re
import runpy
from pathlib import Path

import yaml

from infra.spec.load import load
from infra.ui.graph import scene
from infra.ui.graph_svg import svg

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs/cluster-yaml.md"


def test_every_key_is_in_the_page() -> None:
    keys = runpy.run_path(str(ROOT / "scripts/docs/keys"))["page"]()
    assert PAGE.read_text().endswith(keys), "put the output of scripts/docs/keys at the end of docs/cluster-yaml.md"


def test_examples_of_the_page(tmp_path: Path) -> None:
    path = tmp_path / "cluster.yaml"
    head = "version: 1\ncluster: lab\naws: {regions: [us-west-2]}\nprofiles: {gpu: {}}\n"
    examples = re.findall(r"```yaml\n(.*?)```", PAGE.read_text(), re.S)
    whole = [example for example in examples if yaml.safe_load(re.sub(r"(?m)^  ", "", example))]
    assert len(whole) == 3
    for example in whole:
        text = example if example.startswith("version") else head + re.sub(r"(?m)^  ", "", example)
        path.write_text(text)
        assert load(path).cluster.version == 1


def test_picture_is_current() -> None:
    lab = load(ROOT / "tests/labs/research-lab.yaml").cluster
    current = (ROOT / "docs/graph.svg").read_text() == svg(scene(lab))
    assert current, "run: infra graph -f tests/labs/research-lab.yaml -o docs/graph.svg"
