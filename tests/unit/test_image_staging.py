"""From choices to the steps of a plan, and from the saved plan to what moved."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from infra.cloud.site import Site
from infra.errors import Refused, StalePlan
from infra.image import staged_apply, staging
from infra.image.ledger import Image, Pointer
from infra.plan import terraform as reading
from infra.plan.model import ImageStep, Plan, RegionPlan, from_data
from infra.spec.load import load

WEST, EAST = "us-west-2", "us-east-1"
DIGEST = "d" * 64
POLICY = SimpleNamespace(digest=DIGEST, versions={"nvidia.driver": "580"}, layers=())
SPEC = """
cluster: lab
aws: {regions: [us-west-2, us-east-1]}
profiles:
  gpu: {run_list: ["role[gpu-node]"]}
  plain: {}
  own: {run_list: ["role[gpu-node]"], image: ami-0123456789abcdef0}
pools:
  gpu: {profile: gpu, instance_types: [g4dn.xlarge], size: 1, regions: [us-west-2, us-east-1]}
  plain: {profile: plain, instance_types: [m5.large], size: 1}
  own: {profile: own, instance_types: [m5.large], size: 1}
hosts:
  dev: {profile: gpu, instance_type: g4dn.xlarge}
"""
NEEDED = {(WEST, "gpu"): "x86_64", (EAST, "gpu"): "x86_64"}


def image(ident: str, region: str, digest: str = DIGEST, **more: Any) -> Image:
    given: dict[str, Any] = {"created": "2026-11-20T00:00:00Z", "smoke": "passed", **more}
    return Image(ident, region, f"lab-gpu-{ident}", "lab", "gpu", digest, **given)


def pointer(target: Image, pinned: bool = False) -> dict[tuple[str, str], Pointer]:
    return {(target.region, "gpu"): Pointer(target.region, "gpu", target.id, target.digest, pinned)}


@pytest.fixture
def site(tmp_path: Path) -> Site:
    file = tmp_path / "cluster.yaml"
    file.write_text("version: 1" + SPEC)
    made: Any = SimpleNamespace(loaded=load(file), images={}, awaited={}, session=None)
    made.cluster = made.loaded.cluster
    return made


def stage(site: Site, images: Sequence[Image], pointers: Mapping[Any, Pointer], cannot: str = "") -> staging.Staged:
    policies: Any = {"gpu": POLICY}
    return staging.stage(site, NEEDED, policies, images, pointers, cannot)


def test_who_needs_an_image(site: Site) -> None:
    assert staging.wanted(site, [WEST, EAST]) == NEEDED
    assert staging.wanted(site, [WEST], ["pools.plain"]) == {}
    assert list(staging.wanted(site, [WEST, EAST], ["hosts.dev"])) == [(WEST, "gpu")]


def test_nothing_is_there_yet(site: Site) -> None:
    staged = stage(site, [], {})
    (step,) = staged.steps
    assert (step.action, step.profile, step.regions, step.images) == ("bake", "gpu", (WEST, EAST), {})
    (stand_in,) = staged.pending
    assert staged.images == {WEST: {"gpu": stand_in}, EAST: {"gpu": stand_in}}
    assert stand_in.startswith("ami-00000") and len(stand_in) == len("ami-0123456789abcdef0")


def test_a_copy_lacks_and_a_pointer_is_old(site: Site) -> None:
    old, new = image("ami-0a", WEST, "0" * 64, versions={"nvidia.driver": "575"}), image("ami-0b", WEST)
    staged = stage(site, [old, new], pointer(old))
    assert [(step.action, step.regions) for step in staged.steps] == [("bake", (EAST,)), ("promote", (WEST,))]
    assert staged.steps[1].images == {WEST: "ami-0b"}
    assert staged.steps[1].reasons == ("nvidia.driver 575 → 580",)
    assert staged.images[WEST] == {"gpu": "ami-0b"}


def test_without_a_machine_to_build_on_the_old_image_stays(site: Site) -> None:
    old = image("ami-0a", WEST, "0" * 64)
    staged = stage(site, [old], pointer(old), "there is no machine")
    assert (staged.steps, staged.pending, staged.images) == ((), {}, {WEST: {"gpu": "ami-0a"}})
    assert "no image is baked for gpu: there is no machine" in staged.notes[0]


def test_a_pin_is_said_and_a_revoked_image_stops(site: Site) -> None:
    old, new = image("ami-0a", WEST, "0" * 64), image("ami-0b", EAST)
    staged = stage(site, [old, new], {**pointer(old, pinned=True), **pointer(new)})
    assert staged.steps == () and "pinned" in staged.notes[0]
    with pytest.raises(Refused) as caught:
        stage(site, [replace(new, revoked="it hangs")], {})
    (problem,) = caught.value.problems
    assert problem.where.endswith("cluster.yaml:5") and "it hangs" in problem.what and problem.fix


def plan(*steps: ImageStep, images: dict[str, str], awaits: dict[str, str] | None = None) -> Plan:
    region = RegionPlan(WEST, images=images, awaits=awaits or {}, world={"a": "1"})
    return Plan("lab", "now", "ada", "0", "f", {}, (region,), images=steps)


BAKE = ImageStep("bake", "gpu", DIGEST, (WEST,))
WAITING = plan(BAKE, images={"gpu": "ami-00000"}, awaits={"ami-00000": "gpu"})


def test_a_plan_is_read_back() -> None:
    assert from_data(WAITING.data()) == WAITING
    assert not WAITING.empty


def test_what_moved(site: Site) -> None:
    done = image("ami-0b", WEST)
    assert staged_apply.moved(WAITING, stage(site, [], {}))  # the other region's bake was not shown
    west = staging.Staged((BAKE,), {WEST: {"gpu": "ami-00000"}}, {"ami-00000": "gpu"})
    assert staged_apply.moved(WAITING, west) == []
    promote = ImageStep("promote", "gpu", DIGEST, (WEST,), images={WEST: done.id})
    assert staged_apply.moved(WAITING, staging.Staged((promote,), {WEST: {"gpu": done.id}})) == []
    other = replace(BAKE, digest="e" * 64)
    (changed,) = staged_apply.moved(WAITING, staging.Staged((other,), {}))
    assert "policy of gpu changed: dddddddddddd → eeeeeeeeeeee" in changed.what
    settled = plan(images={"gpu": "ami-0a"})
    (problem,) = staged_apply.moved(settled, staging.Staged((), {WEST: {"gpu": "ami-0b"}}))
    assert "start from ami-0b, not ami-0a" in problem.what
    assert staged_apply.moved(plan(promote, images={"gpu": done.id}), west)


@pytest.mark.parametrize("world", [{"a": "1"}, {"a": "2"}])
def test_a_region_is_planned_again_with_the_true_image(
    site: Site, monkeypatch: pytest.MonkeyPatch, world: dict[str, str]
) -> None:
    done, moved = image("ami-0b", WEST), []
    monkeypatch.setattr(staged_apply.store, "promote", lambda _, cluster, pointer: moved.append(pointer))
    found = staging.Staged((), {WEST: {"gpu": done.id}})
    monkeypatch.setattr(staged_apply.staging, "look", lambda *_: found)
    monkeypatch.setattr(staged_apply, "_again", lambda *_: RegionPlan(WEST, world=world, file="new"))
    images = staged_apply.Images(site, WAITING, lambda _: [done])
    images.step(BAKE)
    if world != {"a": "1"}:
        with pytest.raises(StalePlan, match="something else"):
            images.region(WAITING.regions[0])
    else:
        assert images.region(WAITING.regions[0]).file == "new"
        assert site.awaited == {"ami-0b": "gpu"}
    assert [(item.image, item.region, item.pinned) for item in moved] == [("ami-0b", WEST, False)]


def test_an_image_without_an_id_has_a_name() -> None:
    shown = {"resource_changes": [{"change": {"after": {"image_id": "ami-00000", "n": 1}}}]}
    named = reading.renamed(shown, {"ami-00000": 'the "image" of gpu'})
    assert named["resource_changes"][0]["change"]["after"] == {"image_id": 'the "image" of gpu', "n": 1}
