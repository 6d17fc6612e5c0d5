"""SBOMs: valid CycloneDX, the same bytes each time, read back as written; and what is different between two."""

from __future__ import annotations

import io
import json
import tarfile
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.image import compare, sbom
from infra.image.sbom import Package
from tests.unit.test_image_ledger import IMAGE

LIST = """\
# manager	environment	name	version	architecture
dpkg		curl	7.81.0-1ubuntu1.16	amd64
dpkg		libstdc++6	12.3.0-1ubuntu1~22.04	amd64
dpkg		linux-image-6.5.0-14-generic	6.5.0-14.14	amd64
conda	tf	numpy	1.26.4	linux-64
pip	tf	tensorflow	2.16.1
pip	tf	tensorflow	2.16.1
nonsense
pip	tf		1
"""
TEXT = st.text(st.characters(exclude_categories=("Cs", "Cc", "Zl", "Zp")), min_size=1, max_size=12).map(str.strip)
FILLED = TEXT.filter(lambda text: bool(text) and not text.startswith("#"))
PACKAGES = st.lists(
    st.builds(
        Package,
        st.sampled_from(["dpkg", "pip", "conda"]),
        st.sampled_from(["", "tf", "torch"]),
        FILLED,
        FILLED,
        st.sampled_from(["", "amd64"]),
    ),
    max_size=12,
)


def test_the_list_of_a_machine() -> None:
    found = sbom.parse(LIST)
    assert [(item.where, item.name, item.version) for item in found] == [
        ("conda tf", "numpy", "1.26.4"),
        ("dpkg", "curl", "7.81.0-1ubuntu1.16"),
        ("dpkg", "libstdc++6", "12.3.0-1ubuntu1~22.04"),
        ("dpkg", "linux-image-6.5.0-14-generic", "6.5.0-14.14"),
        ("pip tf", "tensorflow", "2.16.1"),
    ]


@given(PACKAGES)
def test_it_is_read_back_and_the_same_each_time(packages: list[Package]) -> None:
    text = sbom.make(IMAGE, packages)
    assert text == sbom.make(IMAGE, reversed(packages))
    assert text == sbom.make(replace(IMAGE, id="ami-1", region="eu-west-1", name="x"), packages), "copies share it"
    assert sbom.read(json.loads(text)) == sorted(set(packages))


@given(PACKAGES)
def test_a_list_says_what_was_put_into_it(packages: list[Package]) -> None:
    lines = ["\t".join((p.manager, p.environment, p.name, p.version, p.architecture)) for p in packages]
    assert sbom.parse("\n".join(lines)) == sorted(set(packages))


@pytest.mark.parametrize("text", [LIST, ""])
def test_it_is_valid_by_the_schema(text: str) -> None:
    pytest.importorskip("cyclonedx")
    from cyclonedx.schema import SchemaVersion
    from cyclonedx.validation.json import JsonStrictValidator

    made = sbom.make(IMAGE, sbom.parse(text))
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(made) is None
    assert json.loads(made)["metadata"]["timestamp"] == "2026-11-22T05:01:02Z"


@given(
    st.sampled_from(["dpkg", "pip", "conda"]),
    st.from_regex(r"\A[a-z0-9][A-Za-z0-9+._-]{0,12}\Z"),
    st.from_regex(r"\A[0-9][A-Za-z0-9.+~:-]{0,12}\Z"),
)
def test_package_urls_are_those_of_the_library(manager: str, name: str, version: str) -> None:
    library = pytest.importorskip("packageurl").PackageURL
    name = name.lower()
    if manager == "pip":
        name = name.replace("+", "-")  # no name on PyPI has one, and the library writes its code in lower case then
    package = Package(manager, "", name, version, "amd64")
    parts = {"namespace": "ubuntu", "qualifiers": {"arch": "amd64", "distro": "ubuntu-22.04"}}
    kind = {"dpkg": "deb", "pip": "pypi", "conda": "conda"}[manager]
    wanted = library(type=kind, name=name, version=version, **(parts if kind == "deb" else {}))
    assert sbom.purl(package, "ubuntu-22.04") == wanted.to_string()


def test_package_urls_by_example() -> None:
    deb = Package("dpkg", "", "libstdc++6", "1:12.3-1~22", "amd64")
    assert sbom.purl(deb, "ubuntu-22.04") == "pkg:deb/ubuntu/libstdc%2B%2B6@1:12.3-1~22?arch=amd64&distro=ubuntu-22.04"
    assert sbom.purl(Package("pip", "tf", "Typing_Extensions", "4.1")) == "pkg:pypi/typing-extensions@4.1"
    assert sbom.purl(Package("conda", "tf", "numpy", "1.26")) == "pkg:conda/numpy@1.26"


def test_an_sbom_of_another_program_is_read() -> None:
    said = {"components": [{"name": "curl", "version": "7", "purl": "pkg:deb/ubuntu/curl@7"}, {"x": 1}, "no"]}
    assert sbom.read(said) == [Package("dpkg", "", "curl", "7")]
    assert sbom.read({}) == []


def test_what_is_different_in_packages() -> None:
    before = sbom.parse(LIST)
    newer = LIST.replace("2.16.1", "2.17.0").replace("1.26.4", "2.0") + "pip\ttf\tkeras\t3.4\n"
    after = [item for item in sbom.parse(newer) if item.name != "curl"]
    found = [(item.action, item.where, item.name, item.before, item.after) for item in compare.packages(before, after)]
    assert found == [
        ("changed", "conda tf", "numpy", "1.26.4", "2.0"),
        ("removed", "dpkg", "curl", "7.81.0-1ubuntu1.16", ""),
        ("added", "pip tf", "keras", "", "3.4"),
        ("changed", "pip tf", "tensorflow", "2.16.1", "2.17.0"),
    ]


def test_several_versions_of_one_name_are_named_together() -> None:
    one = [Package("dpkg", "", "linux", "1", "amd64")]
    (move,) = compare.packages(one, [*one, Package("dpkg", "", "linux", "2", "amd64")])
    assert (move.before, move.after) == ("1", "1, 2")


@given(PACKAGES, PACKAGES)
def test_differences_are_none_or_go_both_ways(before: list[Package], after: list[Package]) -> None:
    there, back = compare.packages(before, after), compare.packages(after, before)
    assert [(m.name, m.where, m.after, m.before) for m in there] == [(m.name, m.where, m.before, m.after) for m in back]
    assert (not there) == (set(before) == set(after))


def archive(attributes: object) -> bytes:
    raw = json.dumps(attributes).encode()
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.USTAR_FORMAT) as held:
        member = tarfile.TarInfo("node.json")
        member.size = len(raw)
        held.addfile(member, io.BytesIO(raw))
    return out.getvalue()


def test_a_comparison_of_everything() -> None:
    newer = replace(IMAGE, id="ami-2", versions={**IMAGE.versions, "nvidia.driver": "590"}, layers={"system": "c" * 64})
    found = compare.compare(
        compare.Side(IMAGE, sbom.parse(LIST), archive({"infra": {"nvidia": {"driver": "580"}, "x": [1]}})),
        compare.Side(newer, sbom.parse(LIST), archive({"infra": {"nvidia": {"driver": "590"}, "x": [1]}})),
    )
    assert not found.empty
    assert [move.name for move in found.versions] == ["nvidia.driver"]
    assert [(move.name, move.action) for move in found.layers] == [("research", "removed"), ("system", "changed")]
    assert [(move.name, move.before, move.after) for move in found.attributes] == [
        ("infra.nvidia.driver", "580", "590")
    ]
    assert not found.packages
    assert not found.notes


def test_what_is_not_known_is_a_note_and_no_difference() -> None:
    found = compare.compare(compare.Side(IMAGE), compare.Side(IMAGE, [], b"not a tar"))
    assert found.empty
    assert len(found.notes) == 2
    assert compare.attributes(b"not a tar") == {}
    assert compare.attributes(archive([1])) == {}
