"""Two policies compared, archives kept, and the commands."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path

import pytest

from infra import assets
from infra.cli.main import run
from infra.errors import PolicyError, UsageError
from infra.policy import Policy, cache, of
from infra.policy.difference import Difference, between, compare, flat, side
from infra.policy.tar import pack
from infra.spec.load import load
from infra.ui import policy_view
from tests.unit.chef import SPEC, cookbook, role, small
from tests.unit.render import golden, render


@pytest.fixture
def chef(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = small(tmp_path / "assets" / "chef")
    monkeypatch.setattr(assets, "root", lambda name: folder)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "cluster.yaml").write_text(SPEC)
    return folder


def policy(text: str = SPEC) -> Policy:
    path = Path("cluster.yaml")
    path.write_text(text)
    return of(load(path), "gpu")


def difference(chef: Path) -> tuple[Policy, Difference]:
    """The first policy, and what moved to a second one in which something of everything is another."""
    (chef / "cookbooks/cuda/files").mkdir()
    (chef / "cookbooks/cuda/files/blob").write_bytes(b"\xff\x00")
    (chef / "cookbooks/cuda/files/list").write_text("one\ntwo\nthree\n")
    old = policy()
    (chef / "cookbooks/cuda/files/blob").write_bytes(b"\xff\x01")
    (chef / "cookbooks/cuda/files/list").write_text("one\n2\nthree\nfour\n")
    (chef / "cookbooks/nvidia/recipes/default.rb").rename(chef / "cookbooks/nvidia/recipes/driver.rb")
    cookbook(chef, "docker")
    role(chef, "gpu", "recipe[base]", "recipe[nvidia::driver]", "recipe[cuda]", "recipe[docker]")
    text = SPEC.replace('driver: "580"', 'driver: "570"').replace("    os:", "    attributes: {lab: {a: [1]}}\n    os:")
    new = policy(text)
    return old, compare(side("gpu@1", old.archive()), side("gpu", new.archive()), patches=True)


def test_what_moved(chef: Path) -> None:
    _, found = difference(chef)
    assert [move.text() for move in found.versions] == ["docker none → 28", "nvidia.driver 580 → 570"]
    assert [move.text() for move in found.attributes] == [
        "infra.nvidia.driver 580 → 570",
        "lab.a none → [1]",
    ]
    assert [(move.key, move.old is None) for move in found.recipes] == [
        ("nvidia::default", False),
        ("research::default", False),
        ("nvidia::driver", True),
        ("docker::default", True),
    ]
    assert found.layers == ("system", "research") and found.run_list == ()
    books = {book.name: book for book in found.cookbooks}
    assert {name: book.state for name, book in books.items()} == {
        "cuda": "changed",
        "docker": "added",
        "nvidia": "changed",
        "research": "removed",
    }
    blob, text = books["cuda"].files
    assert (blob.path, blob.added, blob.patch) == ("files/blob", 0, "")
    assert (text.path, text.added, text.removed) == ("files/list", 2, 1)
    assert "-two\n+2\n three\n+four\n" in text.patch
    assert [(file.path, file.state) for file in found.others] == [("roles/gpu.json", "changed")]
    assert {file.state for file in books["nvidia"].files} == {"added", "removed"}


def test_the_same_and_the_order(chef: Path) -> None:
    one = policy()
    assert between(one, policy()).same and not between(one, policy()).cookbooks
    role(chef, "gpu", "recipe[nvidia]", "recipe[base]", "recipe[cuda]", "recipe[research]")
    (move,) = between(one, policy()).recipes
    assert move.key == "order" and str(move.new).startswith("nvidia::default, base::default")


def test_flat() -> None:
    assert flat({"a": {"b": {}, "c": [1, "ü"], "d": None}, "e": "x"}) == {
        "a.b": "{}",
        "a.c": '[1, "ü"]',
        "a.d": "null",
        "e": "x",
    }


def test_golden(chef: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    _, found = difference(chef)
    golden("policy_diff.txt", render(policy_view.diff, found, monkeypatch=monkeypatch, capsys=capsys))


@pytest.mark.parametrize("raw", [b"", b"x" * 2000, pack({"a": b""}), pack({"policy.json": b"{}", "node.json": b"{}"})])
def test_what_is_no_policy(raw: bytes) -> None:
    with pytest.raises(PolicyError) as caught:
        side("x.tar", raw)
    assert "x.tar" in caught.value.text()


def test_archives_are_kept_and_found_by_their_first_digits(chef: Path, tmp_path: Path) -> None:
    one, two = policy(), policy(SPEC.replace('"580"', '"575"'))
    path = cache.keep(tmp_path, one)
    cache.keep(tmp_path, two)
    assert path == tmp_path / "policies" / f"{one.digest}.tar"
    assert cache.find(tmp_path, one.digest[:8]) == one.archive()
    with pytest.raises(UsageError, match="there is no policy 00000000"):
        cache.find(tmp_path, "00000000")
    twin = path.with_name(one.digest[:20] + "0" * 44 + ".tar")
    twin.write_bytes(b"")
    with pytest.raises(UsageError, match="begins the digests of 2 policies"):
        cache.find(tmp_path, one.digest[:8])
    with pytest.raises(PolicyError) as caught:
        cache.find(tmp_path, twin.stem)
    assert f"rm {twin}" in caught.value.text()


def test_what_is_not_here_is_fetched_once(chef: Path, tmp_path: Path) -> None:
    one = policy()
    asked = []

    def fetch(digest: str) -> bytes | None:
        asked.append(digest)
        return one.archive()

    for _ in range(2):
        assert cache.find(tmp_path, one.digest[:12], fetch) == one.archive()
    assert asked == [one.digest[:12]]


def test_show(chef: Path, capsys: pytest.CaptureFixture[str]) -> None:
    own = cookbook(Path("chef"), "cuda")
    assert own.is_dir() and run(["policy", "show", "gpu", "--attributes"]) == 0
    out = capsys.readouterr().out
    digest = policy().digest
    assert digest in out and "role[gpu]" in out and '"driver": "580"' in out
    assert "cuda (the lab's own)" in out and "nvidia.driver 580" in out
    assert Path(f".infra/lab/policies/{digest}.tar").is_file()


def test_diff_by_digest_and_against_now(chef: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["policy", "show"]) == 0
    digest = policy().digest
    assert run(["policy", "diff", digest[:12]]) == 0
    assert "They are the same policy." in capsys.readouterr().out
    policy(SPEC.replace('"580"', '"575"'))
    assert run(["policy", "diff", digest[:12], "--json"]) == 2
    found = json.loads(capsys.readouterr().out)
    assert found["versions"] == [{"key": "nvidia.driver", "new": "575", "old": "580"}]
    assert found["old"]["digest"] == digest and not found["same"]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["diff", "gpus"], "'gpus' is neither a profile nor a digest"),
        (["diff", "0123456789ab"], "there is no policy 0123456789ab"),
        (["diff", "gpu@7"], "there is no record '7'"),
        (["show", "gpus"], "did you mean: gpu"),
        (["build", "gpus"], "there is no profile 'gpus'"),
    ],
)
def test_names_that_stand_for_nothing(
    chef: Path, capsys: pytest.CaptureFixture[str], words: list[str], says: str
) -> None:
    Path("cluster.yaml").write_text(SPEC.replace("aws: {regions: [us-west-2]}\n", "").split("pools:")[0])
    assert run(["policy", *words]) == 1
    assert says in capsys.readouterr().err


def test_build(chef: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["policy", "build", "gpu"]) == 0
    assert hashlib.sha256(Path("gpu.tar").read_bytes()).hexdigest() == policy().digest
    assert run(["policy", "build", "gpu", "-o", "none/such/../x.tar", "--json"]) == 0
    assert json.loads(capsys.readouterr().out.partition("\n{")[2].join(["{", ""]))["digest"] == policy().digest


@pytest.mark.skipif(shutil.which("ruby") is None, reason="there is no ruby here")
def test_build_reads_the_ruby(chef: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = chef / "cookbooks/base/recipes/default.rb"
    path.write_text("log 'x' do\n")
    assert run(["policy", "build", "gpu"]) == 1
    assert f"{path}:1: " in capsys.readouterr().err and not Path("gpu.tar").exists()
    path.write_text("log 'x'\n")
    template = chef / "cookbooks/base/templates/a.erb"
    template.parent.mkdir()
    template.write_text("<%- [1].each do |item| -%>\n<%= item %>\n<%- end -%>\n")
    assert run(["policy", "build", "gpu"]) == 0
    template.write_text("one\n<%= item + %>\n")
    assert run(["policy", "build", "gpu"]) == 1
    assert f"{template}:2: a.erb is not valid Ruby" in capsys.readouterr().err
