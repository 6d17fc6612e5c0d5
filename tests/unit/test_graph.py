"""``infra graph``: a sound SVG in which nothing overlaps or leaves its frame, and a page that needs nothing else."""

from __future__ import annotations

import itertools
import json
import re
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from infra.cli.main import run
from infra.spec.load import load
from infra.spec.rules.base import EXAMPLE
from infra.ui.graph import hardware, scene
from infra.ui.graph_html import page
from infra.ui.graph_svg import cut, svg, width

LABS = Path(__file__).parents[1] / "labs"
NS = "{http://www.w3.org/2000/svg}"
Box = tuple[float, float, float, float]

MANY = "pools:\n" + "".join(
    f"  pool-{n}: {{profile: gpu, instance_types: [p5.48xlarge], size: {{min: {n}, max: {n * 40 + 1}}}, efa: true, "
    "placement: cluster, capacity: {reservation: cr-0123456789abcdef0}}\n"
    for n in range(60)
)
ODD = """
storage:
  "odd": {nfs: {host: "<script>alert(1)</script> & \\"quotes\\" \\x01 \\u202e", export: /x}, mount: /x}
metal: {desk: {profile: gpu, hosts: ["box-[1-500]"], jump: "a&b<c>\\x02"}}
"""


def texts(tmp_path: Path) -> dict[str, str]:
    head = EXAMPLE.partition("pools:")[0]
    found = {path.stem: path.read_text() for path in LABS.glob("*.yaml")}
    found["example"] = EXAMPLE
    found["many pools"] = head.replace("[us-west-2]", "[us-west-2, eu-north-1]") + "network: {zones: 6}\n" + MANY
    found["odd texts"] = EXAMPLE + ODD
    found["nothing"] = "version: 1\ncluster: nothing\n"
    found["existing"] = head + "network: {existing: {us-west-2: {vpc: {id: vpc-1}, private: {ids: [subnet-1]}}}}\n"
    return found


def drawn(tmp_path: Path, name: str) -> str:
    path = tmp_path / "cluster.yaml"
    path.write_text(texts(tmp_path)[name])
    return svg(scene(load(path).cluster))


NAMES = [
    *(path.stem for path in sorted(LABS.glob("*.yaml"))),
    "example",
    "many pools",
    "odd texts",
    "nothing",
    "existing",
]


def boxes(root: ET.Element, css: str) -> list[Box]:
    return [
        (float(item.attrib["x"]), float(item.attrib["y"]), float(item.attrib["width"]), float(item.attrib["height"]))
        for item in root.iter(f"{NS}rect")
        if css in item.attrib.get("class", "").split()
    ]


def inside(inner: Box, outer: Box) -> bool:
    return (
        inner[0] >= outer[0] - 0.5
        and inner[1] >= outer[1] - 0.5
        and inner[0] + inner[2] <= outer[0] + outer[2] + 0.5
        and inner[1] + inner[3] <= outer[1] + outer[3] + 0.5
    )


def apart(one: Box, other: Box) -> bool:
    return (
        one[0] + one[2] <= other[0] + 0.5
        or other[0] + other[2] <= one[0] + 0.5
        or one[1] + one[3] <= other[1] + 0.5
        or other[1] + other[3] <= one[1] + 0.5
    )


@pytest.mark.parametrize("name", NAMES)
def test_nothing_overlaps_or_sticks_out(name: str, tmp_path: Path) -> None:
    root = ET.fromstring(drawn(tmp_path, name))
    frame = (0.0, 0.0, float(root.attrib["width"]), float(root.attrib["height"]))
    panels, cards, zones = boxes(root, "panel"), boxes(root, "cardbox"), boxes(root, "zonebox")
    for group in (panels, cards + zones):
        assert all(apart(one, other) for one, other in itertools.combinations(group, 2))
    assert all(inside(panel, frame) for panel in panels)
    assert all(any(inside(box, panel) for panel in panels) for box in cards + zones)
    for text in root.iter(f"{NS}text"):
        x, wide = float(text.attrib["x"]), width(text.text or "", 11)
        left = {"middle": x - wide / 2, "end": x - wide}.get(text.attrib.get("text-anchor", ""), x)
        assert left >= -0.5 and left + wide <= frame[2] + 0.5, text.text


@pytest.mark.parametrize("name", NAMES)
def test_everything_is_there(name: str, tmp_path: Path) -> None:
    picture = drawn(tmp_path, name)
    cluster = load(tmp_path / "cluster.yaml").cluster
    root = ET.fromstring(picture)
    tips = [item.attrib["data-tip"] for item in root.iter(f"{NS}g") if "data-tip" in item.attrib]
    for pool in cluster.pools:
        assert sum(tip.startswith(f"pool {pool}\n") for tip in tips) == len(cluster.pool_regions(cluster.pools[pool]))
    for host in cluster.hosts:
        assert any(tip.startswith(f"host {host}\n") for tip in tips)
    for metal in cluster.metal:
        assert any(tip.startswith(f"metal {metal}\n") for tip in tips)
    assert sum("mounted at" in tip for tip in tips) >= len(cluster.storage)
    words = " ".join(text.text or "" for text in root.iter(f"{NS}text"))
    assert cluster.cluster in words
    for region in cluster.aws.regions if cluster.aws else []:
        assert region in words
    assert len(re.findall(r"<title>", picture)) == len(tips)


@pytest.mark.parametrize("name", NAMES)
def test_needs_nothing_else(name: str, tmp_path: Path) -> None:
    picture = drawn(tmp_path, name)
    whole = page("x", picture)
    assert set(re.findall(r"https?://[^\"' ]+", whole)) <= {"http://www.w3.org/2000/svg"}
    assert not re.search(r"(?i)<(link|img|iframe)|@import|url\(|\bsrc=|href=|var\(", picture)
    assert not re.search(r"(?i)<(link|img|iframe)|@import|url\(|\bsrc=|href=", whole)
    assert "prefers-color-scheme:dark" in picture
    assert "<script>alert" not in whole
    assert "\x01" not in whole and "\x02" not in whole


def test_same_file_same_picture(tmp_path: Path) -> None:
    assert drawn(tmp_path, "research-lab") == drawn(tmp_path, "research-lab")


def test_texts_are_cut_to_their_room() -> None:
    assert cut("short", 200, 12) == "short"
    long = cut("a rather long text that has no room", 80, 12)
    assert long.endswith("…") and width(long, 12) <= 80
    assert cut("abc", 0, 12) == "…"


def test_hardware() -> None:
    assert hardware(["p3.8xlarge", "p3.16xlarge"]) == "4–8 × V100 · 32–64 vCPU · 244–488 GiB"
    assert hardware(["m5.large"]) == "2 vCPU · 8 GiB"
    assert hardware(["no.such"]) == ""


def test_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    lab = str(LABS / "research-lab.yaml")
    assert run(["graph", "-f", lab]) == 0
    assert Path("research.svg").read_text().startswith("<svg")
    assert run(["graph", "-f", lab, "-o", "lab.html"]) == 0
    assert Path("lab.html").read_text().startswith("<!doctype html>")
    capsys.readouterr()
    assert run(["graph", "-f", lab, "-o", "-", "--format", "html"]) == 0
    assert capsys.readouterr().out == Path("lab.html").read_text()
    assert run(["graph", "-f", lab, "-o", "picture", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"cluster": "research", "file": "picture", "format": "svg"}
    assert run(["graph", "-f", lab, "-o", "-", "--json"]) == 1


def test_command_with_a_bad_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("cluster.yaml").write_text(
        "version: 1\ncluster: lab\npools: {a: {profile: b, instance_types: [m5.large], size: 1}}"
    )
    assert run(["graph"]) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["cluster.yaml"]


def test_no_picture_under_another_ending(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("cluster.yaml").write_text(EXAMPLE)
    assert run(["graph", "-o", "lab.pdf"]) == 1
    assert "rsvg-convert" in capsys.readouterr().err
    assert not Path("lab.pdf").exists()
