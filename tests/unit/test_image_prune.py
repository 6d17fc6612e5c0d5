"""Which images may go, and how they descend from each other."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from infra.image import lineage
from infra.image.ledger import Image, Pointer
from infra.image.prune import Rules, held, select
from infra.image.uses import Use
from tests.unit.test_image_ledger import IMAGE

NOW = datetime(2026, 11, 22, tzinfo=UTC)
REGIONS = ["us-west-2", "us-east-1"]
CANONICAL = "ami-0ccccccccccccccc0"


def ami(number: int) -> str:
    return f"ami-{number:017x}"


def image(number: int, **changes: object) -> Image:
    plain = replace(
        IMAGE,
        id=ami(number),
        digest=f"{number:064x}",
        created=f"2026-11-{number + 1:02}T00:00:00Z",
        parent="",
        base=CANONICAL,
        smoke="passed",
    )
    return replace(plain, **changes)  # type: ignore[arg-type]


def points(target: Image, **changes: object) -> dict[tuple[str, str], Pointer]:
    pointer = Pointer(target.region, target.profile, target.id, target.digest)
    return {(target.region, target.profile): replace(pointer, **changes)}  # type: ignore[arg-type]


def removed(images: list[Image], **how: object) -> list[str]:
    rules = Rules(**{"keep": 1, **{key: how.pop(key) for key in ("keep", "older_than") if key in how}})  # type: ignore[arg-type]
    found = select(images, how.get("pointers", {}), how.get("uses", ()), rules, NOW)  # type: ignore[arg-type]
    return [verdict.image.id for verdict in found.removed]


def test_the_newest_stay() -> None:
    found = [image(number) for number in range(5)]
    assert removed(found, keep=3) == [ami(1), ami(0)]
    assert removed(found, keep=0) == [ami(number) for number in (4, 3, 2, 1, 0)]


def test_newest_of_each_profile_region_and_architecture() -> None:
    found = [
        image(0),
        image(1, profile="cpu"),
        image(2, region="us-east-1"),
        image(3, architecture="arm64"),
        image(4),
    ]
    assert removed(found) == [ami(0)]


def test_a_revoked_image_takes_no_good_ones_place_and_goes() -> None:
    assert removed([image(0), image(1, revoked="CVE"), image(2, smoke="failed: x")]) == [ami(2), ami(1)]


def test_older_than() -> None:
    found = [image(0), image(19), image(20)]
    assert removed(found, older_than=7) == [ami(0)]
    assert removed([image(0), image(1, created="?"), image(20)], older_than=7) == [ami(0)]


def test_why_each_stays() -> None:
    copy = image(1, id=ami(101), region="us-east-1")
    found = [
        image(0),
        image(1),
        copy,
        image(2),
        image(3, shared_with=("everybody",)),
        image(4, state="pending"),
        image(5, parent=ami(0)),
        image(6, parent=ami(5)),
        image(7, parent=ami(6)),
    ]
    uses = [Use(ami(2), "us-west-2", "pool", "gpu", 2), Use(ami(9), "us-west-2", "pool", "x")]
    chosen = select(
        found, points(found[1], pinned=True), [*uses, Use(ami(7), "us-west-2", "host", "dev")], Rules(0), NOW
    )
    said = {verdict.image.id: verdict.reason for verdict in chosen.kept}
    assert said == {
        ami(1): "pinned in us-west-2",
        ami(101): f"a copy of {ami(1)}, promoted in us-west-2",
        ami(2): "in use: pool gpu (2 machines)",
        ami(3): "shared with everybody",
        ami(4): "being made",
        ami(6): f"the parent of {ami(7)}, which is in use: host dev",
        ami(7): "in use: host dev",
    }
    assert [verdict.image.id for verdict in chosen.removed] == [ami(5), ami(0)], "grandparents may go"


def test_a_damaged_pointer_holds_its_whole_profile() -> None:
    found = [image(0), image(1), image(2, profile="cpu"), image(3, profile="cpu")]
    assert removed(found, pointers=points(found[0], image="", damage="odd")) == [ami(2)]


def test_asked_again_before_it_goes() -> None:
    assert held(image(0), [image(0)], {}, []) == ""
    assert held(image(0), [image(0)], points(image(0)), []) == "promoted in us-west-2"
    assert held(image(0), [image(0)], {}, [Use(ami(0), "us-east-1", "pool", "gpu")]) == "", "not in its region"


@st.composite
def worlds(draw: st.DrawFn) -> tuple[list[Image], dict[tuple[str, str], Pointer], list[Use], Rules]:
    numbers = draw(st.lists(st.integers(0, 20), unique=True, max_size=10))
    images = []
    for number in numbers:
        made = image(
            number,
            profile=draw(st.sampled_from(["gpu", "cpu"])),
            parent=draw(st.sampled_from(["", *map(ami, numbers)])),
            revoked=draw(st.sampled_from(["", "", "bad"])),
            shared_with=draw(st.sampled_from([(), (), ("123456789012",)])),
            smoke=draw(st.sampled_from(["passed", "failed: x"])),
        )
        images.append(made)
        if draw(st.booleans()):
            images.append(replace(made, id=ami(100 + number), region="us-east-1"))
    choice = st.sampled_from(images) if images else st.nothing()
    pointed = draw(st.lists(choice, max_size=3)) if images else []
    pointers: dict[tuple[str, str], Pointer] = {}
    for item in pointed:
        pointers |= points(item, pinned=draw(st.booleans()))
    used = draw(st.lists(choice, max_size=3)) if images else []
    uses = [Use(item.id, item.region, "instance", "i-1", 1) for item in used]
    return images, pointers, uses, Rules(draw(st.integers(0, 3)), draw(st.integers(0, 10)))


@given(worlds())
def test_what_is_needed_never_goes(
    world: tuple[list[Image], dict[tuple[str, str], Pointer], list[Use], Rules],
) -> None:
    images, pointers, uses, rules = world
    chosen = select(images, pointers, uses, rules, NOW)
    assert sorted(verdict.image.id for verdict in chosen.verdicts) == sorted(item.id for item in images)
    going = {verdict.image.id: verdict.image for verdict in chosen.removed}
    promoted = {pointer.image for pointer in pointers.values()}
    wanted = {item.bake for item in images if item.id in promoted or item.shared}
    wanted |= {item.bake for item in images if item.id in {use.image for use in uses}}
    assert not promoted & set(going)
    assert not {use.image for use in uses} & set(going)
    assert not any(item.shared for item in going.values())
    parents = {item.parent for item in images if item.shared or item.id in promoted}
    parents |= {item.parent for item in images if item.id in {use.image for use in uses}}
    assert not parents & set(going), "the parent of a wanted image stays"
    for item in going.values():
        newer = [one for one in images if one.usable and (one.profile, one.region) == (item.profile, item.region)]
        newer = [one for one in newer if one.created > item.created]
        assert not item.usable or len(newer) >= rules.keep
        assert all(verdict.reason for verdict in chosen.verdicts)
    assert select(list(reversed(images)), pointers, uses, rules, NOW) == chosen


def ids(nodes: object) -> object:
    return {node.id: ids(node.children) for node in nodes}  # type: ignore[attr-defined]


def test_the_tree() -> None:
    found = [
        image(0),
        image(1, parent=ami(0)),
        image(2, parent=ami(1), id=ami(2)),
        image(3, parent=ami(0)),
        image(4, base=ami(99)),
        image(0, id=ami(100), region="us-east-1"),
        image(5, parent=ami(100)),
        image(6, parent=ami(50)),
    ]
    assert ids(lineage.tree(found, REGIONS)) == {
        CANONICAL: {ami(0): {ami(1): {ami(2): {}}, ami(3): {}, ami(5): {}}, ami(50): {ami(6): {}}},
        ami(99): {ami(4): {}},
    }
    (_, root) = lineage.tree(found, REGIONS)
    assert root.base
    assert not root.images
    assert [item.region for item in root.children[0].images] == ["us-west-2", "us-east-1"]
    assert not root.children[1].base, "it is gone, and was no image of Canonical's"
    assert lineage.tree([]) == []


def test_relatives() -> None:
    found = [image(0), image(1, parent=ami(0)), image(2, parent=ami(1)), image(0, id=ami(100), region="us-east-1")]
    found.append(image(3, parent=ami(100)))
    assert [item.id for item in lineage.ancestors(found[2], found)] == [ami(1), ami(0)]
    assert [item.id for item in lineage.children(found[0], found)] == [ami(3), ami(1)]


@given(worlds())
def test_every_image_is_in_the_tree_once_whatever_the_tags_say(
    world: tuple[list[Image], dict[tuple[str, str], Pointer], list[Use], Rules],
) -> None:
    images = world[0]

    def flat(nodes: tuple[lineage.Node, ...] | list[lineage.Node]) -> list[str]:
        return [ident for node in nodes for ident in [*(item.id for item in node.images), *flat(node.children)]]

    assert sorted(flat(lineage.tree(images, REGIONS))) == sorted(item.id for item in images)
    for item in images:
        assert len(lineage.ancestors(item, images)) <= len(images)
