"""An image's tags are the ledger: what is written comes back, and AWS takes it."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.image import ledger
from infra.image.ledger import Image, Pointer

KEY = re.compile(r"^(?!aws:)[A-Za-z0-9+\-=._:/@ ]{1,128}$")
VALUE = re.compile(r"^[A-Za-z0-9+\-=._:/@ ]{0,256}$")
# Drawn in one piece, which is many times faster than digit by digit.
HEX = st.binary(min_size=32, max_size=32).map(bytes.hex)
AMI = st.integers(0, 16**17 - 1).map("ami-{:017x}".format)
NAME = st.from_regex(r"\A[a-z]([a-z0-9-]{0,20}[a-z0-9])?\Z")
ANY = st.text(st.characters(exclude_categories=("Cs",)), max_size=80)
TIME = st.datetimes(datetime(2020, 1, 1), datetime(2060, 1, 1)).map(lambda moment: f"{moment:%Y-%m-%dT%H:%M:%SZ}")
SMOKE = st.one_of(
    st.sampled_from(["passed", "rehearsed", "failed: docker", ""]), st.integers(1, 40).map("passed, {} skipped".format)
)
VERSIONS = st.dictionaries(st.text(min_size=1, max_size=20), st.text(max_size=20), max_size=12)

IMAGE = Image(
    id="ami-0123456789abcdef0",
    region="us-west-2",
    name="lab-gpu-0123456789ab-20261122050102",
    cluster="lab",
    profile="gpu",
    digest="0123456789abcdef" * 4,
    layers={"system": "a" * 64, "research": "b" * 64},
    parent="ami-0aaaaaaaaaaaaaaaa",
    base="ami-0bbbbbbbbbbbbbbbb",
    versions={"cuda": "12.9", "docker": "28", "nvidia.driver": "580", "os": "ubuntu-22.04"},
    who="ada@laptop",
    created="2026-11-22T05:01:02Z",
    smoke="passed, 2 skipped",
    snapshots=("snap-1",),
)


@st.composite
def images(draw: st.DrawFn) -> Image:
    """Anything that an image can be; the texts for people hold anything at all."""
    layers = {"system": draw(HEX)}
    if draw(st.booleans()):
        layers["research"] = draw(HEX)
    cluster, profile, digest = draw(NAME), draw(NAME), draw(HEX)
    return Image(
        id=draw(AMI),
        region=draw(st.sampled_from(["us-west-2", "us-east-1", "eu-west-1"])),
        name=ledger.ami_name(cluster, profile, digest, datetime(2026, 11, 22, tzinfo=UTC)),
        cluster=cluster,
        profile=profile,
        digest=digest,
        layers=layers,
        parent=draw(st.one_of(st.just(""), AMI)),
        base=draw(st.one_of(st.just(""), AMI)),
        versions=dict(sorted(draw(VERSIONS).items())),
        who=draw(ANY.filter(lambda text: len(text.encode()) < 150)),
        created=draw(TIME),
        smoke=draw(SMOKE),
        revoked=draw(ANY),
        snapshots=tuple(draw(st.lists(st.sampled_from(["snap-1", "snap-2", "snap-3"]), unique=True))),
        shared_with=tuple(sorted(draw(st.sets(st.sampled_from(["everybody", "123456789012"]))))),
        sbom=draw(st.sampled_from(["", "s3://lab-infra-1/sboms/x.cdx.json", f"s3://b/{'p' * 900}"])),
        architecture=draw(st.sampled_from(["x86_64", "arm64"])),
        size=draw(st.integers(0, 1000)),
        state=draw(st.sampled_from(["available", "pending", "failed"])),
    )


def back(image: Image, said: dict[str, str]) -> Image | None:
    return ledger.from_tags(
        said,
        id=image.id,
        region=image.region,
        name=image.name,
        snapshots=image.snapshots,
        shared_with=image.shared_with,
        size=image.size,
        state=image.state,
        architecture=image.architecture,
    )


@given(images())
def test_tags_round_trip_and_aws_takes_them(image: Image) -> None:
    said = ledger.tags(image)
    assert len(said) <= 50
    assert "infra:cluster" not in said, "what carries that is removed with the cluster"
    for key, value in said.items():
        assert KEY.match(key), key
        assert VALUE.match(value), (key, value)
        assert value == value.strip(), "an end's spaces get lost"
        assert "  " not in value
    assert back(image, said) == image


@given(st.dictionaries(st.text(max_size=40), st.text(max_size=300), max_size=30), ANY, st.text(max_size=3000))
def test_however_much_there_is_it_fits(versions: dict[str, str], who: str, why: str) -> None:
    many = {f"{name}{number}": value for number in range(20) for name, value in versions.items()}
    said = ledger.tags(replace(IMAGE, versions=many, who=who * 20, revoked=why, sbom=f"s3://b/{'p' * 5000}"))
    assert len(said) <= 50
    assert all(KEY.match(key) and VALUE.match(value) for key, value in said.items())


@given(st.dictionaries(st.sampled_from([*ledger.tags(IMAGE), "Name", "infra:versions-2", "x"]), ANY))
def test_tags_written_by_hand_never_break_it(said: dict[str, str]) -> None:
    found = back(IMAGE, said)
    assert (found is None) == (not said.get(ledger.OF))


def test_what_people_see_in_the_console() -> None:
    said = ledger.tags(IMAGE)
    assert said["infra:versions"] == "cuda=12.9 docker=28 nvidia.driver=580 os=ubuntu-22.04"
    assert said["infra:image-of"] == "lab"
    assert said["infra:layer-system"] == "a" * 64
    assert said["infra:who"] == "ada@laptop"
    assert "infra:revoked" not in said
    assert list(back(IMAGE, dict(sorted(said.items()))).layers) == ["system", "research"]  # type: ignore[union-attr]


def test_an_image_without_our_tag_is_none_of_ours() -> None:
    assert back(IMAGE, {"Name": "x", "infra:cluster": "lab"}) is None


@pytest.mark.parametrize(
    ("smoke", "passed"),
    [("passed", True), ("passed, 2 skipped", True), ("rehearsed", True), ("", False), ("failed: x", False)],
)
def test_which_smoke_results_are_good(smoke: str, passed: bool) -> None:
    assert replace(IMAGE, smoke=smoke).passed is passed
    assert replace(IMAGE, smoke=smoke).usable is passed


def test_not_usable() -> None:
    assert not replace(IMAGE, revoked="CVE-2026-1").usable
    assert not replace(IMAGE, state="pending").usable


@given(AMI, HEX, st.booleans(), ANY, TIME)
def test_pointers_round_trip(image: str, digest: str, pinned: bool, who: str, when: str) -> None:
    pointer = Pointer("us-west-2", "gpu", image, digest, pinned, who, when)
    assert ledger.read_pointer("us-west-2", "gpu", pointer.text()) == pointer


@given(st.text())
def test_a_damaged_pointer_is_said_and_not_followed(text: str) -> None:
    found = ledger.read_pointer("us-west-2", "gpu", text)
    assert found.damage
    assert not found.image


def test_a_pointer_by_hand_is_pinned() -> None:
    assert ledger.read_pointer("us-west-2", "gpu", " ami-0123456789abcdef0\n").pinned
    assert ledger.read_pointer("us-west-2", "gpu", '{"image": "ami-1"}').damage


def test_versions_that_moved() -> None:
    before = {"cuda": "12.9", "nvidia.driver": "575", "old": "1"}
    after = {"cuda": "12.9", "nvidia.driver": "580", "docker": "28"}
    assert ledger.changed(before, after) == ["docker 28 is new", "nvidia.driver 575 → 580", "old 1 is gone"]
    assert ledger.changed(after, after) == []
