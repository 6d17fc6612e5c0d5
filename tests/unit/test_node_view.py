"""What the node commands print: the list, a command's output, and the JSON that docs/json.md promises."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from infra.cli import node_choose
from infra.cli.main import run
from infra.errors import NodeUnreachable
from infra.node.inventory import cloud, listing
from infra.node.inventory.instance import Instance
from infra.node.inventory.inventory import Inventory
from infra.node.inventory.listing import Row
from infra.node.inventory.look import Look, Report
from infra.node.ssh.fleet import Fleet, Ran
from infra.spec.load import load
from infra.ui import node_view
from infra.ui.node_view import Said
from tests.conftest import LABS
from tests.unit.test_json_docs import plain, table

WANTED = "3f9a1c" + "0" * 58
HEAD = Instance(
    "i-0ddddddddddddddd1", "us-west-2", "host", "dev", "gpu", "dev-1", public="198.51.100.8", health="impaired"
)
SEEN = Look(
    digest=WANTED, current=WANTED, profile="gpu", converged="2026-11-22T07:00:00Z", origin="image",
    report=Report("converged", digest=WANTED), gpus=("10de:1b00",) * 4, os="ubuntu-22.04", uptime=5.0,
)  # fmt: skip


@pytest.fixture
def rows() -> list[Row]:
    found = Inventory(load(LABS / "research-lab.yaml"), (HEAD,))
    nodes = found.pick(["titan-[01-03]", "dev-1"])
    away = NodeUnreachable("titan-03 cannot be reached", why="no answer\nwithin 10 s", fix="look")
    said = {
        "titan-01": SEEN,
        "titan-02": Look(gpus=("10de:1b00",)),
        "titan-03": away,
        "dev-1": replace(SEEN, current=""),
    }
    return listing.rows(found, nodes, said, {"gpu": WANTED})


def test_rows(rows: list[Row]) -> None:
    good, bare, away, host = rows
    assert (good.current, good.health, good.reason) == (True, (), "")
    assert bare.health == ("1 of 4 GPUs on the bus", "not bootstrapped")
    assert (away.current, away.reason) == (None, "titan-03 cannot be reached: no answer within 10 s")
    assert (host.current, host.health[0]) == (False, "impaired")
    for row in rows:
        table(plain(row.data()), "listed node")


def test_the_list(rows: list[Row], capsys: pytest.CaptureFixture[str]) -> None:
    node_view.listing(rows, ["a note"], offline=False)
    text = capsys.readouterr().out
    for part in (
        "note: a note",
        "cannot be reached",
        "\ntitan-03: no answer\nwithin 10 s\n  fix: look",
        "4 × 10de:1b00",
        "3f9a1c000000",
        "not bootstrapped",
        "4 machines, 1 did not answer",
        "Next: infra node bootstrap titan-02",
    ):
        assert part in text
    node_view.listing([rows[0], rows[3]], [], offline=False)
    assert "Next: infra node converge dev-1" in capsys.readouterr().out
    node_view.listing([], [], offline=True)
    assert "There is no machine" in capsys.readouterr().out


def test_equal_outputs_are_one_block(capsys: pytest.CaptureFixture[str]) -> None:
    said = [Said(f"titan-{n:02d}", 0, "a\tb\n", "") for n in range(1, 5)]
    said[2] = Said("titan-03", 3, "", "no\n")
    said.append(Said("far", None, "", "", "cannot be reached", "NodeUnreachable"))
    node_view.outputs(said)
    assert capsys.readouterr().out == (
        "titan-[01-02], titan-04: a\tb\n"
        "titan-03: no\n"
        "titan-03: exit code 3\n"
        "far: cannot be reached\n"
        "\n2 of 5 machines failed: titan-03, far\n"
    )


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "cluster.yaml").write_text((LABS / "two-boxes.yaml").read_text())
    monkeypatch.setattr(cloud, "look_site", None)


def said(capsys: pytest.CaptureFixture[str], *words: str, code: int = 0) -> Any:
    capsys.readouterr()
    assert run([*words]) == code
    return json.loads(capsys.readouterr().out)


def test_json(desk: None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    table(said(capsys, "node", "list", "--offline", "--json"), "infra node list")
    table(said(capsys, "ssh", "left", "--json"), "infra ssh")
    table(said(capsys, "ssh-config", "--json"), "infra ssh-config")
    table(said(capsys, "ssh-config", "--install", "--json"), "infra ssh-config")

    def each(self: Fleet, nodes: Any, work: Any, done: Any = None) -> dict[str, Any]:
        return {"left": Ran(0, "x\n", "", 0.1), "right": NodeUnreachable("away")}

    monkeypatch.setattr(Fleet, "each", each)
    table(said(capsys, "node", "exec", "--json", "--", "uptime", code=1), "infra node exec")
    assert "_meta" in said(capsys, "inventory", "--ansible")
    assert said(capsys, "inventory", "--ansible", "--host", "left")["ansible_user"] == "sam"


@pytest.mark.parametrize(
    "words, what",
    [
        (["node", "exec", "left", "--json"], "there is no command to run"),
        (["node", "exec", "--json", "--"], "there is no command to run"),
        (["ssh", "all", "--json"], "'all' stands for 2 machines"),
        (["ssh", "lift", "--json"], "no machine is named 'lift'"),
        (["node", "list", "kind:", "--json"], "lacks its value"),
    ],
)
def test_wrong(desk: None, capsys: pytest.CaptureFixture[str], words: list[str], what: str) -> None:
    problem = said(capsys, *words, code=1)["error"]["problems"][0]
    assert what in problem["what"]
    assert problem["fix"]


def test_what_stands_after_the_dashes_is_not_ours(
    desk: None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    argv = said(capsys, "ssh", "left", "--json", "--", "ls", "--json", "--help")["argv"]
    assert argv[-4:] == ["--", "ls", "--json", "--help"]


def test_a_key_from_the_console_is_pinned_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """AWS keeps the console's text for some time only, and each look at it is a call."""
    path = tmp_path / "cluster.yaml"
    path.write_text((LABS / "research-lab.yaml").read_text())
    lab = load(path)
    asked: list[str] = []
    key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIFrORCiFghWA5IVhIrl+Sfz3oMUZ5NRhtPQ7MAB7L40P"

    class Site:
        class session:
            client = staticmethod(lambda *_: None)

    monkeypatch.setattr(cloud, "inventory", lambda *_, **__: Inventory(lab, (HEAD,)))
    monkeypatch.setattr(cloud, "look_site", lambda _: Site)
    monkeypatch.setattr(cloud, "host_keys", lambda session, region, ident: (asked.append(ident), (key,))[1])
    for _ in range(2):
        chosen = node_choose.choose(lab, ["dev-1"], node_choose.Reach())
        assert [item.text for item in chosen.fleet.pins.known(chosen.nodes[0])] == [key]
    assert asked == [HEAD.id]
