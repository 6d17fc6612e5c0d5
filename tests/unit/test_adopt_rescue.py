"""Damaged state files, and which regions the next plan looks into."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra import files
from infra.cloud.mending import recovery, rescue
from infra.cloud.mending.adopt import Rules
from infra.cloud.site import Site
from infra.cloud.terraform import Terraform
from infra.cloud.work import READY, Work
from infra.errors import StateError
from infra.plan.model import Change, Leftover, Plan, RegionPlan, from_data

REGION = "us-west-2"


def state(serial: int, count: int = 1) -> str:
    resources = [
        {"mode": "managed", "type": "aws_vpc", "name": f"v{n}", "instances": [{"attributes": {"id": f"vpc-{n}"}}]}
        for n in range(count)
    ]
    return json.dumps({"version": 4, "serial": serial, "lineage": "x", "resources": resources})


def test_a_good_state_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / rescue.STATE
    assert rescue.mend(tmp_path, REGION) == ""
    path.write_text(state(3))
    assert rescue.mend(tmp_path, REGION) == ""
    assert path.read_text() == state(3)
    assert list(tmp_path.iterdir()) == [path]


def test_the_newest_good_copy_comes_back(tmp_path: Path) -> None:
    (tmp_path / rescue.GOOD).write_text(state(4, 2))
    (tmp_path / rescue.BACKUP).write_text(state(3))
    (tmp_path / rescue.STATE).write_text(state(9)[:40])
    said = rescue.mend(tmp_path, REGION)
    assert said == (
        "us-west-2: the state was damaged (kept as terraform.tfstate.broken); the last good one is back "
        "(terraform.tfstate.good, 2 resources), what was made since is looked for in AWS"
    )
    assert (tmp_path / rescue.STATE).read_text() == state(4, 2)
    assert (tmp_path / rescue.BROKEN).read_text() == state(9)[:40]
    assert rescue.mend(tmp_path, REGION) == ""


def test_terraforms_own_copy_will_do_and_a_damaged_copy_will_not(tmp_path: Path) -> None:
    (tmp_path / rescue.GOOD).write_text("{")
    (tmp_path / rescue.BACKUP).write_text(state(3))
    (tmp_path / rescue.STATE).write_text("")
    assert "the state was empty; the last good one is back (terraform.tfstate.backup, 1 " in rescue.mend(
        tmp_path, REGION
    )
    assert (tmp_path / rescue.STATE).read_text() == state(3)


def test_an_empty_file_that_never_held_anything_is_no_damage(tmp_path: Path) -> None:
    """Terraform makes it when it locks, before there is anything to write."""
    (tmp_path / rescue.STATE).write_text("")
    assert rescue.mend(tmp_path, REGION) == ""


def test_without_any_copy_the_state_begins_anew_and_that_is_said(tmp_path: Path) -> None:
    (tmp_path / rescue.STATE).write_text("{")
    assert "there is no older one: what it knew is looked for in AWS" in rescue.mend(tmp_path, REGION)
    assert not (tmp_path / rescue.STATE).exists()
    assert (tmp_path / rescue.BROKEN).read_text() == "{"


def test_damage_in_the_middle_is_noticed_too(tmp_path: Path) -> None:
    (tmp_path / rescue.GOOD).write_text(state(4))
    (tmp_path / rescue.STATE).write_text(state(5).replace(":", "", 1))
    assert rescue.mend(tmp_path, REGION)
    assert (tmp_path / rescue.STATE).read_text() == state(4)


@given(st.integers(0, len(state(5, 3)) - 1))
def test_no_cut_goes_unnoticed(tmp_path_factory: pytest.TempPathFactory, length: int) -> None:
    folder = tmp_path_factory.mktemp("cut")
    (folder / rescue.GOOD).write_text(state(4))
    (folder / rescue.STATE).write_text(state(5, 3)[:length])
    assert rescue.mend(folder, REGION)
    assert (folder / rescue.STATE).read_text() == state(4)


def test_only_a_good_state_is_kept(tmp_path: Path) -> None:
    rescue.keep(tmp_path)
    (tmp_path / rescue.STATE).write_text(state(1))
    rescue.keep(tmp_path)
    for bad in ("", "{", "[]", '{"serial": 2}'):
        (tmp_path / rescue.STATE).write_text(bad)
        rescue.keep(tmp_path)
        assert (tmp_path / rescue.GOOD).read_text() == state(1)
    assert (tmp_path / rescue.GOOD).stat().st_mode & 0o777 == 0o600


def test_an_unfinished_initialisation_is_not_built_upon(tmp_path: Path) -> None:
    ready = tmp_path / READY
    (ready.parent / "providers").mkdir(parents=True)
    ready.write_text("digest")
    rescue.before_init(tmp_path)  # a change: what is there is good, but the next init may be cut off
    assert not ready.exists()
    assert (ready.parent / "providers").is_dir()
    rescue.before_init(tmp_path)  # it was cut off
    assert not ready.parent.exists()
    rescue.before_init(tmp_path)


class Pushed:
    """A Terraform that takes a state, or refuses it."""

    def __init__(self, folder: Path, refuses: bool = False) -> None:
        self.folder, self.refuses = folder, refuses

    def push(self, state: str) -> None:
        if self.refuses:
            raise StateError("older than what is there")


@pytest.mark.parametrize(
    ("text", "refuses", "said", "left"),
    [
        (state(5), False, "is where it belongs now", []),
        (state(5), True, "was not taken: older than what is there", [rescue.KEPT]),
        ("{", False, "is damaged", [rescue.KEPT]),
        (None, False, "", []),
    ],
)
def test_a_state_that_could_not_be_written(
    tmp_path: Path, text: str | None, refuses: bool, said: str, left: list[str]
) -> None:
    if text is not None:
        (tmp_path / rescue.ERRORED).write_text(text)
    found = rescue.push_errored(cast(Terraform, Pushed(tmp_path, refuses)))
    assert said in found
    assert bool(found) == bool(said)
    assert [path.name for path in tmp_path.iterdir()] == left


@dataclass
class Fake:
    """As much of a Site as recovery asks for."""

    work: Work
    notes: list[str] = field(default_factory=list)
    cluster: Any = field(default_factory=lambda: SimpleNamespace(cluster="lab", state=SimpleNamespace(s3=None)))

    def record(
        self, number: int, status: str, regions: Mapping[str, Any], started: str = "2026-01-02T03:04:05Z"
    ) -> None:
        data = {
            "number": number,
            "started": started,
            "who": "ada@laptop",
            "pid": 1,
            "plan": "",
            "spec": "",
            "spec_text": "",
            "status": status,
            "regions": {name: {"status": text} for name, text in regions.items()},
        }
        files.write_json(self.work.records / f"{number:04}.json", data)

    def statuses(self) -> list[str]:
        return [json.loads(path.read_text())["status"] for path in sorted(self.work.records.glob("*.json"))]


@pytest.fixture
def fake(tmp_path: Path) -> Fake:
    return Fake(Work(tmp_path))


def doubtful(fake: Fake) -> dict[str, datetime | None]:
    return recovery.doubtful(cast(Site, fake))


BEGAN = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def test_a_region_is_in_doubt_until_an_apply_there_is_done(fake: Fake) -> None:
    assert doubtful(fake) == {}
    fake.record(1, "running", {"a": "running", "b": "done", "c": "waiting"})
    assert doubtful(fake) == {"a": BEGAN}
    fake.record(2, "failed", {"a": "failed", "b": "interrupted"}, "2026-01-03T00:00:00Z")
    assert doubtful(fake) == {"a": BEGAN, "b": datetime(2026, 1, 3, tzinfo=UTC)}
    fake.record(3, "done", {"a": "done"})
    assert set(doubtful(fake)) == {"b"}


def test_a_dead_ones_record_says_so(fake: Fake) -> None:
    fake.record(1, "done", {"a": "done"})
    fake.record(2, "running", {"a": "running"})
    assert recovery.begin(cast(Site, fake), ["a", "b"]) == {"a": Rules("lab", BEGAN)}
    assert fake.statuses() == ["done", "killed"]


def test_what_was_looked_into_is_no_longer_in_doubt(fake: Fake) -> None:
    fake.record(1, "killed", {"a": "running", "b": "running"})
    recovery.mark(cast(Site, fake), "c", "2026-01-05T00:00:00Z")
    recovery.mark(cast(Site, fake), "d", None)
    assert doubtful(fake) == {"a": BEGAN, "b": BEGAN, "c": datetime(2026, 1, 5, tzinfo=UTC), "d": None}
    change = Change("x.y", "x", "create")
    recovery.settle(cast(Site, fake), [RegionPlan("a"), RegionPlan("c"), RegionPlan("d", (change,))])
    assert set(doubtful(fake)) == {"b", "d"}
    recovery.settle(cast(Site, fake), [RegionPlan("b"), RegionPlan("d")])
    assert doubtful(fake) == {}
    assert not (fake.work.folder / recovery.MARKS).exists()


def test_what_is_kept_keeps_its_region_in_doubt(fake: Fake) -> None:
    """Also when an apply of all the rest is done."""
    fake.record(1, "killed", {"a": "running"})
    recovery.settle(cast(Site, fake), [RegionPlan("a", kept=("EFS file system fs-1",))])
    fake.record(2, "done", {"a": "done"})
    assert set(doubtful(fake)) == {"a"}
    recovery.settle(cast(Site, fake), [RegionPlan("a")])
    assert doubtful(fake) == {}


def test_the_user_may_ask_to_look_everywhere_and_is_trusted(fake: Fake) -> None:
    rules = recovery.begin(cast(Site, fake), ["a"], adopt_all=True)
    assert rules == {"a": Rules("lab", None, trusting=True)}


def test_a_damaged_state_is_mended_and_its_region_looked_into(fake: Fake) -> None:
    folder = fake.work.region("a")
    folder.mkdir(parents=True)
    (folder / "main.tf.json").write_text("{}")
    (folder / rescue.GOOD).write_text(state(2))
    (folder / rescue.STATE).write_text("{")
    assert recovery.begin(cast(Site, fake), ["a"]) == {"a": Rules("lab")}
    assert "the last good one is back" in fake.notes[0]
    assert set(doubtful(fake)) == {"a"}  # also when this plan is cut off


def test_the_apply_of_an_adoption_is_a_plan_that_says_so() -> None:
    from infra.cloud.mending.adoption import adopting

    one = Change("a.b", "a", "import", reasons=("adopted: it exists as x",))
    other = Change("c.d", "c", "create", reasons=("new",))
    assert adopting(RegionPlan("r", (one, other))) == ["a.b"]


def test_a_left_over_survives_being_saved() -> None:
    region = RegionPlan("r", leftovers=(Leftover("aws_vpc", "vpc-1", "network: VPC vpc-1"),), kept=("fs-1",))
    plan = Plan("lab", "", "", "", "", {}, (region,))
    assert from_data(json.loads(json.dumps(plan.data()))).regions[0] == region
