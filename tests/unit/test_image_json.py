"""docs/json.md says what the commands of ``infra image`` print; the tables say what people see."""

from __future__ import annotations

from dataclasses import replace

import pytest

from infra.errors import Refused, UsageError
from infra.image import compare, lineage, names
from infra.image.ledger import Image, Pointer
from infra.image.promotion import Wish, promotions
from infra.image.prune import Rules, select
from infra.image.pruning import Outcome
from infra.image.sbom import Package
from infra.image.uses import Use
from infra.image.world import World
from infra.ui import image_tree, image_view
from tests.unit.test_image_ledger import IMAGE
from tests.unit.test_image_prune import NOW, REGIONS, ami, image
from tests.unit.test_json_docs import plain, table

OLD = image(1, digest=f"abcd1{'0' * 59}")
NEW = image(2, digest=f"abcd2{'0' * 59}", parent=OLD.id, versions={"nvidia.driver": "590"})
COPY = replace(NEW, id=ami(102), region="us-east-1")
POINTER = Pointer("us-west-2", "gpu", OLD.id, OLD.digest, True, "ada@laptop", "2026-11-20T00:00:00Z")
SEEN = World(
    "lab",
    tuple(REGIONS),
    [NEW, COPY, OLD],
    {("us-west-2", "gpu"): POINTER, ("us-east-1", "cpu"): replace(POINTER, region="us-east-1", profile="cpu")},
    [Use(NEW.id, "us-west-2", "pool", "gpu", 2)],
)
SIDES = (
    compare.Side(OLD, [Package("pip", "tf", "numpy", "1.26")], b""),
    compare.Side(NEW, [Package("pip", "tf", "numpy", "2.0")], b""),
)


def test_the_json_of_every_command() -> None:
    seen = [SEEN.data(item) for item in SEEN.images]
    head = {"format": 1, "cluster": "lab"}
    table(plain({**head, "regions": REGIONS, "images": []}), "infra image list")
    for item in plain(seen):
        extra = {key: item.pop(key) for key in ("promoted", "uses")}
        table(item, "image")
        table(extra, "seen image")
    found = compare.compare(*SIDES)
    shown = {
        "copies": [{"region": "us-west-2", "id": NEW.id}],
        "children": [ami(3)],
        "packages": [item.data() for item in SIDES[1].packages or ()],
        "changes": found.data(),
    }
    table(plain(shown), "infra image show")
    table(plain(found.data()), "comparison")
    table(plain({**head, "roots": [root.data() for root in lineage.tree(SEEN.images)]}), "infra image tree")
    moves = [item.data() for item in promotions(wish(NEW), SEEN.images, SEEN.pointers, ["us-west-2", "us-east-1"])]
    table(plain({**head, "profile": "gpu", "notes": ["x"], "promotions": moves}), "infra image promote")
    table(plain({**head, "revoked": True, "images": []}), "infra image revoke")
    chosen = select(SEEN.images, SEEN.pointers, SEEN.uses, Rules(0), NOW)
    pruned = {
        **head,
        "kept": [item.data() for item in chosen.kept],
        "chosen": [item.data() for item in chosen.removed],
        "outcomes": [Outcome(NEW, "in use", failed=True).data()],
        "loose": [{"region": "us-west-2", "snapshot": "snap-1", "removed": True}],
    }
    table(plain(pruned), "infra image prune")


def wish(to: Image | None = None, file: str = OLD.digest) -> Wish:
    return Wish("gpu", file, "ada@laptop", "2026-11-22T00:00:00Z", to)


def test_the_list(capsys: pytest.CaptureFixture[str]) -> None:
    image_view.listing(SEEN)
    said = capsys.readouterr().out
    assert said.index(NEW.short) < said.index(OLD.short), "newest first"
    (row,) = [line for line in said.splitlines() if NEW.short in line]
    assert NEW.id in row
    assert COPY.id in row, "regions stand side by side"
    assert "pinned" in said
    assert "pool gpu (2 machines)" in said
    assert "infra image promote cpu --region us-east-1" in said, "a pointer to what is not there"


def test_one_and_its_changes(capsys: pytest.CaptureFixture[str]) -> None:
    image_view.one(SEEN, NEW, SIDES[1], compare.compare(*SIDES), False)
    said = capsys.readouterr().out
    moved = ("~ nvidia.driver 580 → 590", "~ pip tf: numpy 1.26 → 2.0")
    for words in ("us-east-1 ami", "1 (1 pip tf)", "pool gpu", *moved):
        assert words in said, said


def test_many_packages_are_cut(capsys: pytest.CaptureFixture[str]) -> None:
    sides = (compare.Side(OLD, []), compare.Side(NEW, [Package("dpkg", "", f"p{n}", "1") for n in range(40)]))
    image_view.comparison(compare.compare(*sides), False)
    said = capsys.readouterr().out
    assert "40 added" in said
    assert "and 15 more: --packages" in said
    image_view.comparison(compare.compare(*sides), True)
    assert "more: --packages" not in capsys.readouterr().out


def test_the_drawn_tree(capsys: pytest.CaptureFixture[str]) -> None:
    gone = image(3, parent=ami(50))
    seen = World("lab", tuple(REGIONS), [gone, *SEEN.images], SEEN.pointers, SEEN.uses)
    image_tree.show(seen, lineage.tree(seen.images, REGIONS))
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("Canonical ")
    assert any("(removed)" in line for line in lines)
    depths = {ident: next(line.index("us-west-2") for line in lines if ident in line) for ident in (OLD.id, NEW.id)}
    assert depths[OLD.id] < depths[NEW.id]


@pytest.mark.parametrize(
    ("created", "said"),
    [("?", "?"), ("2999-01-01T00:00:00Z", "0 s"), ("2001-01-01T00:00:00", "days")],
)
def test_ages(created: str, said: str) -> None:
    assert image_view.age(created).endswith(said)


def resolve(name: str, **how: object) -> str:
    pointers = how.get("pointers", {("us-west-2", "gpu"): POINTER})
    return names.resolve(name, SEEN.images, pointers, how.get("regions", REGIONS)).id  # type: ignore[arg-type]


def test_what_an_image_may_be_called() -> None:
    assert resolve(COPY.id) == COPY.id
    assert resolve("gpu") == OLD.id
    assert resolve(NEW.digest) == NEW.id
    assert resolve(NEW.digest, regions=["us-east-1", "us-west-2"]) == COPY.id
    assert resolve(NEW.name) == NEW.id, "the newest of that name, in the first region"
    again = replace(NEW, id=ami(9), created="2027-01-01T00:00:00Z")
    assert names.resolve(NEW.digest, [NEW, again], {}, REGIONS).id == again.id, "the newest bake of a digest"


@pytest.mark.parametrize(
    ("name", "words"),
    [
        (ami(77), "not there"),
        ("nosuch", "no image is called"),
        ("000", "no image is called"),
        ("ffff", "no image has a digest"),
        ("abcd", "2 digests"),
    ],
)
def test_names_that_mean_nothing_or_too_much(name: str, words: str) -> None:
    with pytest.raises(UsageError) as caught:
        resolve(name)
    assert words in caught.value.text()
    assert caught.value.problems[0].fix


@pytest.mark.parametrize(
    "pointers",
    [
        {},
        {("us-west-2", "gpu"): replace(POINTER, image="", damage="odd")},
        {("us-west-2", "gpu"): replace(POINTER, image=ami(99))},
    ],
)
def test_a_profile_without_a_promoted_image(pointers: dict[tuple[str, str], Pointer]) -> None:
    with pytest.raises(UsageError, match="no image of gpu is promoted"):
        resolve("gpu", pointers=pointers)


def test_promotions() -> None:
    (found,) = promotions(wish(), SEEN.images, SEEN.pointers, ["us-west-2"])
    assert (found.image.id, found.after.pinned, found.same) == (OLD.id, False, False), "it was pinned before"
    found = promotions(wish(COPY), SEEN.images, SEEN.pointers, REGIONS)[0]
    assert (found.image.id, found.after.pinned) == (NEW.id, True), "each region gets its copy"
    (found,) = promotions(wish(NEW, file=""), SEEN.images, SEEN.pointers, ["us-west-2"])
    assert found.after.pinned


@pytest.mark.parametrize(
    ("to", "changes", "words"),
    [
        (OLD, {}, "us-east-1: no image of gpu"),
        (None, {"file": "f" * 64}, "us-west-2: no image of gpu"),
        (replace(IMAGE, id=ami(5), profile="cpu"), {}, "is an image of cpu"),
    ],
)
def test_what_may_not_be_promoted(to: Image | None, changes: dict[str, str], words: str) -> None:
    with pytest.raises(Refused) as caught:
        promotions(wish(to, **changes), SEEN.images, SEEN.pointers, REGIONS)
    assert words in caught.value.text()
    assert all(problem.fix for problem in caught.value.problems)


def test_no_image_of_another_architecture_is_promoted() -> None:
    arm = replace(wish(NEW), architecture="arm64")
    with pytest.raises(Refused, match="is for x86_64, and machines of gpu are arm64"):
        promotions(arm, SEEN.images, {}, ["us-west-2"])
    with pytest.raises(Refused, match="no image of gpu"):
        promotions(replace(arm, to=None), SEEN.images, {}, ["us-west-2"])


@pytest.mark.parametrize("bad", [{"revoked": "CVE"}, {"smoke": "failed: x"}, {"state": "pending"}])
def test_no_bad_image_is_promoted(bad: dict[str, str]) -> None:
    worse = replace(NEW, **bad)  # type: ignore[arg-type]
    for asked in (wish(worse), wish(None, NEW.digest)):
        with pytest.raises(Refused, match=worse.id):
            promotions(asked, [worse, OLD], {}, ["us-west-2"])
    again = replace(NEW, id=ami(9), created="2026-01-01T00:00:00Z")
    (found,) = promotions(wish(None, NEW.digest), [worse, again], {}, ["us-west-2"])
    assert found.image.id == again.id
