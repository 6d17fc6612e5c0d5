"""The ledger over images that Packer really made: two layers, three bakes, and what differs between them."""

from __future__ import annotations

import pytest

from tests.e2e.bakery import Bakery, bakery, debian

pytestmark = pytest.mark.engine
__all__ = ["bakery", "debian"]

# The client installs a package, as dpkg's list sees it, in the version that the recipe's file asks for.
INSTALL = """\
version=$(grep -o 'numpy [0-9.]*' /var/lib/infra/policy/current/cookbooks/research/recipes/default.rb | cut -d' ' -f2)
cat >>/var/lib/dpkg/status <<END

Package: python3-numpy
Status: install ok installed
Maintainer: nobody <nobody@example.org>
Architecture: amd64
Version: $version
Description: numbers
END
"""
RECIPE = "file '/etc/numpy' do\n  content 'numpy {}'\nend\n"


def test_three_bakes_with_two_layers(bakery: Bakery) -> None:
    bakery.lab("mine", "research", chef=bakery.client(INSTALL))
    made = []
    for version, system in (("1.0", "one"), ("2.0", "one"), ("2.0", "two")):
        bakery.cookbook("research", RECIPE.format(version))
        bakery.cookbook("mine", f"file '/etc/mine' do\n  content '{system}'\nend\n")
        made.append(bakery.bake("--region", "us-west-2", "--json").json["images"][0]["id"])
    first, second, third = made

    (root,) = bakery.infra("image", "tree", "--json").json["roots"]
    assert root["base"]
    assert {child["id"]: [below["id"] for below in child["children"]] for child in root["children"]} == {
        first: [second],
        third: [],
    }
    drawn = bakery.infra("image", "tree").out
    assert "system + research" in drawn
    assert "tiny" in drawn

    moved = bakery.infra("image", "diff", first, second, "--json", code=2).json
    assert [(item["where"], item["name"], item["before"], item["after"]) for item in moved["packages"]] == [
        ("dpkg", "python3-numpy", "1.0", "2.0")
    ]
    assert [item["name"] for item in moved["layers"]] == ["research"]
    assert not moved["notes"], "the SBOMs and the policies of both are kept"
    shown = bakery.infra("image", "show", second, "--json").json
    assert shown["changes"]["before"]["id"] == first
    assert len(shown["packages"]) > 50, "Debian's own, too"

    bakery.infra("image", "promote", "tiny", "--region", "us-west-2")
    assert bakery.infra("image", "show", "tiny", "--json").json["id"] == third
    bakery.infra("image", "promote", "tiny", "--to", second, "--region", "us-west-2")
    listing = bakery.infra("image", "prune", "--keep", "0", "--yes", "--json").json
    assert {item["image"]["id"] for item in listing["kept"]} == {first, second}, "promoted, and its parent"
    assert [item["image"]["id"] for item in listing["outcomes"] if item["removed"]] == [third]
    assert bakery.infra("image", "diff", first, "tiny", "--json", code=2).json["packages"] == moved["packages"]
