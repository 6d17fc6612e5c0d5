"""The doctor and AWS's refusals, over HTTP: every check is bounded, and says what to do."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest

from tests.conftest import SLICE, Infra
from tests.e2e import embedded
from tests.e2e.faulty_aws import Call, Refusal, serve

pytestmark = pytest.mark.engine

KEYS = {"AWS_ACCESS_KEY_ID": "AKIAEXAMPLE000000000", "AWS_SECRET_ACCESS_KEY": "a-secret-for-this-test"}


def checks(infra: Infra, url: str, code: int) -> dict[str, dict[str, Any]]:
    """What the doctor says of a cluster whose AWS is at ``url``: name -> check (the last of that name)."""
    infra.write(SLICE.replace("endpoint: local", f'endpoint: "{url}"'))
    said = infra("doctor", "--json", code=code, timeout=120, **KEYS).json
    assert said["healthy"] == (code == 0)
    return {check["name"]: check for check in said["checks"]}


def service(name: str) -> Callable[[Call], bool]:
    return lambda call: call.service == name


def test_an_account_that_answers(infra: Infra) -> None:
    found = checks(infra, embedded.start(infra.env), 0)
    assert found["credentials"]["status"] == "ok"
    assert found["region"]["what"] == "us-west-2 answers: 4 zones"
    assert found["types"]["status"] == "ok"
    assert found["quotas"]["status"] == "warn", "that server has no quotas, which is no reason to fail"


def test_refusals(infra: Infra) -> None:
    url = embedded.start(infra.env)
    with serve([Refusal("ExpiredToken", "The security token included in the request is expired", 403)], url) as faulty:
        found = checks(infra, faulty.url, 1)
    assert found["credentials"]["status"] == "fail"
    assert "aws sso login" in found["credentials"]["fix"]
    assert found["cloud"]["status"] == "skip"

    words = "You are not authorized to perform this operation."
    with serve([Refusal("UnauthorizedOperation", words, 403, when=service("ec2"))], url) as faulty:
        found = checks(infra, faulty.url, 1)
    assert found["credentials"]["status"] == "ok"
    assert "AWS does not allow ec2:DescribeRegions" in found["regions"]["what"]
    assert found["region"]["status"] == "warn"

    throttled = [Refusal("RequestLimitExceeded", "Request limit exceeded.", 503, when=service("ec2"), times=1)]
    with serve(throttled, url) as faulty:
        assert checks(infra, faulty.url, 0)["region"]["status"] == "ok"


def test_nothing_answers(infra: Infra) -> None:
    started = time.monotonic()
    found = checks(infra, "http://127.0.0.1:1", 1)
    assert found["credentials"]["status"] == "fail"
    assert "127.0.0.1:1" in found["credentials"]["why"]
    with serve([Refusal("", hang=300)]) as faulty:
        found = checks(infra, faulty.url, 1)
    assert found["credentials"]["status"] == "fail"
    assert "timeout" in found["credentials"]["why"].lower()
    assert time.monotonic() - started < 60


def test_the_embedded_aws_is_not_started_to_look_at_it(infra: Infra) -> None:
    infra.write(SLICE)
    said = {check["name"]: check for check in infra("doctor", "--json").json["checks"]}
    assert said["credentials"]["status"] == "skip"
    assert said["credentials"]["fix"] == "start it now: infra local up"
    assert not infra("local", "status", "--json", code=None).json["running"]
    embedded.start(infra.env)
    said = {check["name"]: check for check in infra("doctor", "--json").json["checks"]}
    assert said["region"]["status"] == "ok"
