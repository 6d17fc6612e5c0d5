"""Which AMI a profile's machines get: every step, with its reason; and that a bad image is never chosen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from infra.image.choose import Choice, choose
from infra.image.ledger import Image, Pointer
from tests.unit.test_image_ledger import IMAGE

OLD = replace(
    IMAGE,
    id="ami-0000000000000000a",
    digest="a" * 64,
    created="2026-11-01T00:00:00Z",
    versions={"nvidia.driver": "575", "cuda": "12.9"},
    layers={"system": "1" * 64, "research": "2" * 64},
)
NEW = replace(
    IMAGE,
    id="ami-0000000000000000b",
    digest="b" * 64,
    created="2026-11-20T00:00:00Z",
    versions={"nvidia.driver": "580", "cuda": "12.9"},
    layers={"system": "3" * 64, "research": "4" * 64},
)
WANTED = {"versions": NEW.versions, "layers": NEW.layers}


def at(target: Image, /, pinned: bool = False, **changes: object) -> dict[tuple[str, str], Pointer]:
    pointer = Pointer(
        target.region, target.profile, target.id, target.digest, pinned, "ada@laptop", "2026-11-21T00:00:00Z"
    )
    pointer = replace(pointer, **changes)  # type: ignore[arg-type]
    return {(target.region, target.profile): pointer}


def pick(
    images: Sequence[Image], pointers: dict[tuple[str, str], Pointer], region: str = "us-west-2", **more: object
) -> Choice:
    return choose(NEW.digest, images, pointers, region, "gpu", **{**WANTED, **more})  # type: ignore[arg-type]


def test_nothing_to_do() -> None:
    found = pick([OLD, NEW], at(NEW))
    assert (found.step, found.image, found.reasons) == ("nothing", NEW.id, ())


def test_a_rebake_of_the_same_digest_does_not_move_anybody() -> None:
    again = replace(NEW, id="ami-0000000000000000c", created="2026-11-22T00:00:00Z")
    assert pick([NEW, again], at(NEW)).image == NEW.id


def test_bake_with_the_reason_in_versions() -> None:
    found = pick([OLD], at(OLD))
    assert (found.step, found.image, found.current, found.sound) == ("bake", "", OLD.id, True)
    assert found.reasons == ("nvidia.driver 575 → 580",)


def test_bake_because_of_a_layer_or_of_anything() -> None:
    same = replace(OLD, versions=NEW.versions, layers={**NEW.layers, "research": "9" * 64})
    assert pick([same], at(same)).reasons == ("the research layer changed",)
    assert pick([same], at(same), layers={}).reasons == (f"the policy changed: {'a' * 12} → {'b' * 12}",)


def test_the_first_bake() -> None:
    assert pick([], {}).reasons == ("there is no image of this profile",)
    assert pick([replace(NEW, profile="cpu")], {}).step == "bake"
    assert pick([replace(NEW, architecture="arm64")], {}, architecture="x86_64").step == "bake"


def test_promote_what_is_there() -> None:
    found = pick([OLD, NEW], at(OLD))
    assert (found.step, found.image, found.reasons) == ("promote", NEW.id, ("nvidia.driver 575 → 580",))
    assert pick([NEW], {}).reasons == ("no image of this profile is promoted yet",)
    assert pick([NEW], at(OLD)).reasons == (f"the current image {OLD.id} is not there any more",)
    assert "damaged" in pick([NEW], at(OLD, image="", damage="it is odd")).reasons[0]


def test_a_region_without_its_copy() -> None:
    found = pick([NEW], at(NEW), "us-east-1")
    assert (found.step, found.reasons) == ("bake", ("us-east-1 has no copy of the image in us-west-2",))


def test_pinned_stays_and_says_so() -> None:
    found = pick([OLD, NEW], at(OLD, pinned=True))
    assert (found.step, found.image) == ("pinned", OLD.id)
    assert found.reasons[0] == f"pinned by ada@laptop on 2026-11-21 to {'a' * 12}; the file says {'b' * 12}"
    assert found.reasons[1] == "nvidia.driver 575 → 580"
    assert "infra image promote gpu" in found.fix


def test_pinned_to_what_is_gone_or_revoked_is_for_a_person() -> None:
    assert pick([NEW], at(OLD, pinned=True)).step == "blocked"
    assert not pick([replace(OLD, revoked="CVE-2026-1")], at(OLD)).sound
    found = pick([replace(OLD, revoked="CVE-2026-1"), NEW], at(OLD, pinned=True))
    assert found.step == "blocked"
    assert "revoked: CVE-2026-1" in found.reasons[0]


def test_a_pin_to_the_files_digest_is_none() -> None:
    assert pick([OLD, NEW], at(NEW, pinned=True)).step == "nothing"
    assert pick([OLD, NEW], at(NEW, pinned=True, digest="")).step == "nothing", "a bare AMI id, written by hand"


def test_revoked() -> None:
    bad = replace(NEW, revoked="CVE-2026-1")
    found = pick([OLD, bad], at(bad))
    assert found.step == "blocked"
    assert found.image == ""
    assert "--force" in found.fix
    assert pick([OLD, bad], at(OLD)).step == "blocked", "the file asks for just this one"
    again = replace(NEW, id="ami-0000000000000000c", created="2026-11-22T00:00:00Z")
    found = pick([bad, again], at(bad))
    assert (found.step, found.image) == ("promote", again.id)
    assert found.reasons == (f"the current image {bad.id} is revoked: CVE-2026-1",)


def test_one_that_failed_or_is_not_ready_is_baked_again() -> None:
    assert pick([replace(NEW, smoke="failed: docker")], {}).step == "bake"
    assert "is pending" in pick([replace(NEW, state="pending")], {}).reasons[0]


STATES = st.builds(
    lambda image, region, number, why, smoke, state: replace(
        image, id=f"ami-{number:017x}", region=region, revoked=why, smoke=smoke, state=state
    ),
    st.sampled_from([OLD, NEW]),
    st.sampled_from(["us-west-2", "us-east-1"]),
    st.integers(0, 5),
    st.sampled_from(["", "", "bad"]),
    st.sampled_from(["passed", "passed", "rehearsed", "failed: x"]),
    st.sampled_from(["available", "available", "pending"]),
)


@given(
    st.lists(STATES, max_size=6, unique_by=lambda image: image.id),
    st.none() | st.integers(0, 5),
    st.booleans(),
    st.sampled_from(["a" * 64, "b" * 64, ""]),
)
def test_what_is_chosen_can_always_be_started(
    images: list[Image], number: int | None, pinned: bool, digest: str
) -> None:
    pointers = {} if number is None else at(OLD, pinned, image=f"ami-{number:017x}", digest=digest)
    found = pick(images, pointers)
    here = {image.id: image for image in images if image.region == "us-west-2"}
    if found.step in ("nothing", "promote", "pinned"):
        assert here[found.image].usable
        assert (here[found.image].digest == NEW.digest) == (found.step != "pinned")
    else:
        assert found.image == ""
    assert bool(found.reasons) == (found.step != "nothing")
    assert bool(found.fix) == (found.step in ("blocked", "pinned"))
    if any(image.usable and image.digest == NEW.digest for image in here.values()) and not pinned:
        assert found.step in ("nothing", "promote")
