"""What a destroy would lose, what it refuses, what it says afterwards; buckets counted and emptied."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.cloud import buckets, destroy
from infra.cloud.destroy import Holding, Left
from infra.errors import CloudError, Interrupted, Refused
from infra.plan.model import Change, Plan, RegionPlan
from infra.proc import Cancel
from infra.spec.models import Cluster
from infra.ui import destroy_view
from tests.unit.render import golden, render

FOUND = [
    Holding("us-west-2", "storage home: EFS file system", "efs", "fs-1", 3_400_000_000),
    Holding("us-west-2", "storage new: EFS file system", "efs", "fs-2", 6_144),
    Holding("us-west-2", "storage out: S3 bucket", "s3", "lab-out", 1_234_567, 1_204),
    Holding("us-west-2", "storage big: S3 bucket", "s3", "lab-big", 10**13, 10_000, True),
    Holding("us-west-2", "storage none: S3 bucket", "s3", "lab-none", 0, 0),
    Holding("us-west-2", "host dev: instance dev-1", "disk", "i-1", 100 * 10**9),
    Holding("us-east-1", "pool gpu: Auto Scaling group", "pool", "lab-gpu", objects=2),
    Holding("us-east-1", "pool cpu: Auto Scaling group", "pool", "lab-cpu", objects=1),
]


def test_golden(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    plan = Plan(
        "lab", "", "", "", "", {}, (RegionPlan("us-west-2", (Change("a", "aws_vpc", "delete"),)), RegionPlan("x"))
    )
    left = [Left("us-west-2"), Left("us-east-1", ("network: VPC",), ("instance i-1",))]
    stays = ["the state's bucket s3://lab-state stays"]
    text = render(destroy_view.holdings, FOUND, monkeypatch=monkeypatch, capsys=capsys)
    text += render(destroy_view.left, left, stays, plan, monkeypatch=monkeypatch, capsys=capsys)
    golden("destroy.txt", text)
    assert render(destroy_view.holdings, [], monkeypatch=monkeypatch, capsys=capsys) == "\n"


def test_full_buckets_are_refused_all_at_once() -> None:
    with pytest.raises(Refused) as refused:
        destroy.refuse_full_buckets(FOUND)
    assert [problem.where for problem in refused.value.problems] == [
        "us-west-2: storage out: S3 bucket",
        "us-west-2: storage big: S3 bucket",
    ]
    assert "over 10000 objects" in refused.value.problems[1].what
    assert all("--delete-data" in problem.fix for problem in refused.value.problems)
    destroy.refuse_full_buckets([item for item in FOUND if not item.blocks])


@given(st.text())
def test_only_the_name_will_do(given: str) -> None:
    if given.strip() == "lab":
        destroy.refuse_other_name(given, "lab")
    else:
        with pytest.raises(Refused):
            destroy.refuse_other_name(given, "lab")
    destroy.refuse_other_name(" lab\n", "lab")


def test_what_stays_is_said() -> None:
    text = {
        "version": 1,
        "cluster": "lab",
        "aws": {"regions": ["us-west-2"]},
        "state": {"s3": {"bucket": "lab-state", "region": "us-west-2"}},
        "storage": {"home": {"efs": {}, "mount": "/home"}, "scratch": {"efs": {"backup": False}, "mount": "/scratch"}},
    }
    site: Any = SimpleNamespace(cluster=Cluster.model_validate(text), line=SimpleNamespace(major=6))
    said = destroy.stays(site)
    assert "s3://lab-state stays" in said[0]
    assert said[1].startswith("backups of home stay")
    site.line.major = 3
    assert len(destroy.stays(site)) == 1


class Bucket:
    """A bucket in memory, as much of S3's client as is used."""

    def __init__(self, objects: int, held: bool = False) -> None:
        self.versions = [{"Key": f"k{number:05}", "VersionId": "v", "Size": 10} for number in range(objects)]
        self.markers = [{"Key": "gone", "VersionId": "m"}] if objects else []
        self.uploads = [{"Key": "half", "UploadId": "u"}]
        self.held = held
        self.batches: list[int] = []

    def get_paginator(self, operation: str) -> Any:
        if operation == "list_multipart_uploads":
            return SimpleNamespace(paginate=lambda Bucket: [{"Uploads": list(self.uploads)}])
        pages = [{"Versions": list(self.versions)}, {"DeleteMarkers": list(self.markers)}]
        return SimpleNamespace(paginate=lambda Bucket: pages)

    def abort_multipart_upload(self, **arguments: str) -> None:
        self.uploads.clear()

    def delete_objects(self, Bucket: str, Delete: dict[str, Any]) -> dict[str, Any]:
        self.batches.append(len(Delete["Objects"]))
        if self.held:
            return {"Errors": [{"Key": "k", "Code": "AccessDenied", "Message": "object lock"}]}
        names = {item["Key"] for item in Delete["Objects"]}
        self.versions = [item for item in self.versions if item["Key"] not in names]
        self.markers = [item for item in self.markers if item["Key"] not in names]
        return {}


def _session(bucket: Bucket) -> Any:
    return SimpleNamespace(client=lambda service, region: bucket, profile="")


def test_a_bucket_is_counted_and_emptied() -> None:
    bucket = Bucket(2500)
    counted = buckets.count(_session(bucket), "us-west-2", "lab-out")
    assert (counted.objects, counted.bytes, counted.more) == (2501, 25_000, False)
    assert buckets.empty(_session(bucket), "us-west-2", "lab-out") == 2501
    assert bucket.batches == [1000, 1000, 501]
    assert (bucket.versions, bucket.markers, bucket.uploads) == ([], [], [])


def test_counting_is_given_up_at_a_limit() -> None:
    counted = buckets.count(_session(Bucket(buckets.COUNTED + 5)), "us-west-2", "lab-out")
    assert (counted.objects, counted.more) == (buckets.COUNTED, True)


def test_what_s3_keeps_is_an_error_and_ctrl_c_stops() -> None:
    with pytest.raises(CloudError) as kept:
        buckets.empty(_session(Bucket(3, held=True)), "us-west-2", "lab-out")
    assert "object lock" in kept.value.problems[0].why
    cancel = Cancel()
    cancel()
    with pytest.raises(Interrupted):
        buckets.empty(_session(Bucket(3)), "us-west-2", "lab-out", cancel)


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0 bytes"), (999, "999 bytes"), (1000, "1 kB"), (1_500_000, "1.5 MB"), (34 * 10**11, "3.4 TB")],
)
def test_sizes(count: int, text: str) -> None:
    assert destroy_view.size(count) == text
