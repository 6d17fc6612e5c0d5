"""infra destroy: everything goes, nothing that holds data goes unseen, and nothing without the cluster's name."""

from __future__ import annotations

import pytest

from tests.conftest import SLICE, Infra
from tests.e2e.aws import Hand

pytestmark = pytest.mark.engine

BUCKET = "demo-results-31415"
LAB = SLICE + f"storage:\n  results: {{s3: {{bucket: {BUCKET}}}, mount: /results}}\n"


def _left(infra: Infra) -> dict[str, int]:
    """Resources in the embedded AWS, by type."""
    found: dict[str, int] = {}
    for counts in infra("local", "status", "--json").json["resources"].values():
        for kind, count in counts.items():
            found[kind] = found.get(kind, 0) + count
    return found


def test_nothing_there(infra: Infra) -> None:
    infra.write(SLICE)
    assert "nothing to destroy" in infra("destroy").out
    data = infra("destroy", "--json").json
    assert (data["destroyed"], data["plan"]) == (False, None)


def test_only_the_clusters_name_destroys(infra: Infra) -> None:
    infra.write(LAB)
    infra("apply", "--yes")
    before = _left(infra)
    refused = infra("destroy", code=1)
    assert "nobody is there to type the cluster's name" in refused.err
    assert "S3 bucket" in refused.out
    other = infra("destroy", "--yes-i-mean", "deno", code=1)
    assert "'deno' is not the name" in other.err
    assert infra("destroy", "--yes-i-mean", "yes", "--json", code=1).json["error"]["kind"] == "Refused"
    assert _left(infra) == before
    # A destroy that was not confirmed leaves no plan that infra apply would carry out.
    assert "no changes" in infra("apply").out
    assert _left(infra) == before

    storage = Hand(infra).client("s3")
    storage.delete_bucket_policy(Bucket=BUCKET)  # it allows TLS alone, which the embedded AWS has not
    storage.put_object(Bucket=BUCKET, Key="a", Body=b"12345")
    storage.put_object(Bucket=BUCKET, Key="a", Body=b"123456")
    storage.delete_object(Bucket=BUCKET, Key="a")
    storage.create_multipart_upload(Bucket=BUCKET, Key="half")
    full = infra("destroy", "--yes-i-mean", "demo", code=1)
    assert f"the bucket {BUCKET} is not empty: 3 objects and versions" in full.err
    assert "--delete-data" in full.err
    assert "11 bytes" in full.out
    assert _left(infra) == before

    gone = infra("destroy", "--yes-i-mean", "demo", "--delete-data")
    assert f"emptied the bucket {BUCKET}: 3 objects and versions deleted" in gone.out
    assert "us-west-2: nothing is left" in gone.out
    assert _left(infra) == {}
    assert "nothing to destroy" in infra("destroy").out
    log = infra("log", "--json").json["records"]
    assert [(item["command"], item["status"]) for item in log] == [("apply", "done"), ("destroy", "done")]
    back = infra("plan", "--as-of", "2", code=1)
    assert "of a destroy" in back.err
    assert "infra plan --as-of 1" in back.err


def test_a_part_and_then_a_region_that_the_file_no_longer_names(infra: Infra) -> None:
    two = SLICE.replace("[us-west-2]", "[us-west-2, us-east-1]")
    infra.write(two)
    infra("apply", "--yes")
    part = infra("destroy", "--only", "pools.cpu", "--yes-i-mean", "demo")
    assert "pool cpu: Auto Scaling group" in part.out
    assert "nothing is left" not in part.out
    left = _left(infra)
    assert "aws_autoscaling_group" not in left
    assert left["aws_vpc"] == 2

    infra.write(SLICE)
    planned = infra("plan", code=2)
    assert "us-east-1 is not in the file any more" in planned.out
    gone = infra("destroy", "--region", "us-east-1", "--yes-i-mean", "demo")
    assert "us-east-1: nothing is left" in gone.out
    assert _left(infra)["aws_vpc"] == 1
    assert "not in the file any more" not in infra("plan", code=2).out
    assert "is not in cluster.yaml" in infra("destroy", "--region", "eu-west-1", code=1).err


def test_the_research_lab_leaves_nothing(infra: Infra) -> None:
    infra.lab("research-lab")
    local = {"INFRA_AWS_ENDPOINT": "local"}
    infra("apply", "--yes", timeout=900, **local)
    made = _left(infra)
    assert (made["aws_vpc"], made["aws_vpc_peering_connection"]) == (3, 3)
    data = infra("destroy", "--yes-i-mean", "research", "--json", timeout=900, **local).json
    assert data["destroyed"]
    assert {(item["kind"], item["region"]) for item in data["holds"]} >= {
        ("efs", "us-west-2"),
        ("s3", "us-west-2"),
        ("disk", "us-west-2"),
        ("pool", "us-east-1"),
    }
    assert [(item["region"], item["resources"], item["unknown"]) for item in data["left"]] == [
        (name, [], []) for name in ("us-west-2", "us-east-1", "eu-west-1", "links")
    ]
    assert _left(infra) == {}
