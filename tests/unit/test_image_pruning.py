"""Right before an image goes, everything is looked at again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import pytest

from infra.cloud.aws import Session
from infra.errors import AccessDenied, Interrupted
from infra.image import pruning, store
from infra.image.ledger import Image, Pointer
from infra.image.uses import Use
from infra.proc import Cancel
from tests.unit.test_image_prune import REGIONS, ami, image, points

SESSION = cast(Session, None)


class Cloud:
    """What AWS says at the moment of each question, and what was removed."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *images: Image) -> None:
        self.images = {item.id: item for item in images}
        self.pointers: dict[tuple[str, str], Pointer] = {}
        self.uses: list[Use] = []
        self.removed: list[str] = []
        self.before: Callable[[str], None] = lambda ident: None
        monkeypatch.setattr(store, "find", self.find)
        monkeypatch.setattr(store, "images", lambda *_: list(self.images.values()))
        monkeypatch.setattr(store, "pointers", lambda *_: self.pointers)
        monkeypatch.setattr(store, "uses", lambda *_: self.uses)
        monkeypatch.setattr(store, "deregister", self.deregister)
        monkeypatch.setattr(store, "delete_snapshots", lambda _session, _region, idents: list(idents))

    def find(self, _session: Any, _region: str, ident: str) -> Image | None:
        self.before(ident)
        return self.images.get(ident)

    def deregister(self, _session: Any, image: Image) -> list[str]:
        self.removed.append(image.id)
        del self.images[image.id]
        return list(image.snapshots)

    def remove(self, chosen: list[Image], cancel: Cancel | None = None) -> dict[str, str]:
        done = pruning.remove(SESSION, "lab", REGIONS, chosen, cancel or Cancel(), lambda outcome: None)
        return {outcome.image.id: outcome.why for outcome in done}


def test_what_nothing_holds_goes(monkeypatch: pytest.MonkeyPatch) -> None:
    cloud = Cloud(monkeypatch, image(0), image(1))
    assert cloud.remove([image(0), image(1)]) == {ami(0): "", ami(1): ""}
    assert cloud.removed == [ami(0), ami(1)]


def test_promoted_used_or_shared_since_the_list_was_made(monkeypatch: pytest.MonkeyPatch) -> None:
    chosen = [image(number) for number in range(5)]
    cloud = Cloud(monkeypatch, *chosen)

    def meanwhile(ident: str) -> None:
        if ident == ami(1):
            cloud.pointers = points(chosen[1])
        if ident == ami(2):
            cloud.uses = [Use(ami(2), "us-west-2", "pool", "gpu", 1)]
        if ident == ami(3):
            cloud.images[ident] = replace(chosen[3], shared_with=("everybody",))
        if ident == ami(4):
            cloud.images[ident] = replace(chosen[4], cluster="other")

    cloud.before = meanwhile
    said = cloud.remove(chosen)
    assert said == {
        ami(0): "",
        ami(1): "promoted in us-west-2, since the list was made",
        ami(2): "in use: pool gpu (1 machine), since the list was made",
        ami(3): "shared with everybody, since the list was made",
        ami(4): "belongs to the cluster other now",
    }
    assert cloud.removed == [ami(0)]


def test_a_copy_promoted_elsewhere_holds_it(monkeypatch: pytest.MonkeyPatch) -> None:
    copy = image(0, id=ami(100), region="us-east-1")
    cloud = Cloud(monkeypatch, image(0), copy)
    cloud.before = lambda ident: cloud.pointers.update(points(copy))
    assert "a copy of" in cloud.remove([image(0)])[ami(0)]


def test_gone_already_is_no_error_and_its_snapshots_go(monkeypatch: pytest.MonkeyPatch) -> None:
    Cloud(monkeypatch)
    (done,) = pruning.remove(SESSION, "lab", REGIONS, [image(0)], Cancel(), lambda outcome: None)
    assert done.removed
    assert done.snapshots == image(0).snapshots


def test_a_refusal_is_kept_with_its_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    cloud = Cloud(monkeypatch, image(0), image(1))

    def refuse(_session: Any, item: Image) -> list[str]:
        raise AccessDenied("you may not", why="a policy says no")

    monkeypatch.setattr(store, "deregister", refuse)
    said: list[pruning.Outcome] = []
    done = pruning.remove(SESSION, "lab", REGIONS, list(cloud.images.values()), Cancel(), said.append)
    assert [outcome.why for outcome in done] == ["you may not (a policy says no)"] * 2
    assert all(outcome.failed for outcome in said)


def test_ctrl_c_stops_between_two(monkeypatch: pytest.MonkeyPatch) -> None:
    cloud, cancel = Cloud(monkeypatch, image(0), image(1)), Cancel()
    cloud.before = lambda ident: cancel()
    with pytest.raises(Interrupted) as caught:
        cloud.remove([image(0), image(1)], cancel)
    assert caught.value.problems[0].why == "1 image removed"
    assert cloud.removed == [ami(0)]


def test_snapshots_that_were_left_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    now = datetime.now(UTC)
    said = [
        {"SnapshotId": "snap-old", "StartTime": now - timedelta(hours=2)},
        {"SnapshotId": "snap-new", "StartTime": now - timedelta(minutes=2)},
    ]
    monkeypatch.setattr(
        store, "loose_snapshots", lambda _session, _cluster, region: said if region == REGIONS[0] else []
    )
    assert pruning.loose(SESSION, "lab", REGIONS) == [("us-west-2", "snap-old")]
