"""A bake by real Packer over real SSH to a real machine: what it makes, and what it does when nothing is to be made."""

from __future__ import annotations

import json
import time

from tests.e2e.bakery import REGIONS, Bakery, bakery, debian, nothing_left, snapshots

__all__ = ["bakery", "debian"]


def test_a_bake_makes_an_image_with_its_tags_and_leaves_nothing_else(bakery: Bakery) -> None:
    bakery.lab()
    said = bakery.bake("--json").json
    assert said["done"] == "baked"
    assert said["client"] == "rehearsal"
    image, copy = said["images"]
    assert (image["region"], copy["region"]) == ("us-west-2", "us-east-1")
    assert said["copied"] == ["us-east-1"]
    assert said["promoted"] == ["us-west-2", "us-east-1"]
    found = bakery.images()[0]
    tags = {tag["Key"]: tag["Value"] for tag in found["Tags"]}
    assert tags["infra:image-of"] == "bake"
    assert tags["infra:digest"] == said["digest"]
    assert tags["infra:smoke"] == "rehearsed"
    assert tags["infra:layer-system"]
    assert "infra:cluster" not in tags and "infra:bake" not in tags
    snapshot = snapshots(bakery)[0]
    assert {tag["Key"]: tag["Value"] for tag in snapshot["Tags"]} == tags
    manifest = json.loads((bakery.folder / ".infra/bake@local/images/tiny/out/manifest.json").read_text())
    assert manifest["builds"][0]["artifact_id"] == f"us-west-2:{image['id']}"
    assert bakery.images("us-east-1")[0]["Name"] == found["Name"]
    assert len(bakery.images("eu-west-1")) == 0
    nothing_left(bakery, images=1)


def test_an_image_that_is_there_is_not_made_again(bakery: Bakery) -> None:
    bakery.lab()
    first = bakery.bake()
    assert "REHEARSAL: nothing was converged" in first.err
    began = time.monotonic()
    again = bakery.bake()
    assert time.monotonic() - began < 15, "a busy machine is slow, but Packer was not even started"
    assert "is there already in us-west-2: nothing to do" in again.out
    assert bakery.bake("--json").json["done"] == "nothing"
    nothing_left(bakery, images=1)
    further = bakery.bake("--region", "eu-west-1", "--json").json
    assert (further["done"], further["copied"]) == ("copied", ["eu-west-1"])
    forced = bakery.bake("--force", "--region", "us-west-2", "--json").json
    assert forced["done"] == "baked"
    nothing_left(bakery, images=2)


def test_a_change_above_bakes_on_the_image_that_has_what_is_below(bakery: Bakery) -> None:
    bakery.lab("mine", "research")
    first = bakery.bake("--region", "us-west-2", "--json").json
    bakery.cookbook("research", "file '/etc/mine' do\n  content 'two'\nend\n")
    second = bakery.bake("--region", "us-west-2", "--json").json
    assert first["digest"] != second["digest"]
    assert second["parent"]["id"] == first["images"][0]["id"]
    assert second["images"][0]["parent"] == first["images"][0]["id"]
    assert second["images"][0]["base"] == first["images"][0]["base"]
    bakery.cookbook("mine", "file '/etc/mine' do\n  content 'three'\nend\n")
    third = bakery.bake("--region", "us-west-2", "--json").json
    assert third["images"][0]["parent"] == ""
    assert third["parent"]["id"] == first["images"][0]["base"]
    nothing_left(bakery, images=3)


def test_every_region_of_the_cluster_can_be_named_and_no_other(bakery: Bakery) -> None:
    bakery.lab()
    said = bakery.bake("--region", REGIONS[2], "--json").json
    assert [image["region"] for image in said["images"]] == ["eu-west-1"]
    wrong = bakery.bake("--region", "ap-south-1", code=1)
    assert "the cluster is not in ap-south-1" in wrong.err and "cluster.yaml:3" in wrong.err
