"""A policy that this machine never saw comes from the cluster's ledger in S3."""

from __future__ import annotations

import shutil

from infra.cloud import aws
from infra.image import store
from infra.policy import of
from infra.spec.load import load
from tests.conftest import Infra

LAB = """\
version: 1
cluster: lab
aws: {regions: [us-west-2], endpoint: local}
profiles:
  gpu: {run_list: ["role[gpu-node]"], nvidia: {driver: "575", cuda: "12.9"}}
pools:
  gpu: {profile: gpu, instance_types: [g4dn.xlarge], size: {max: 2}}
"""


def test_a_digest_is_found_in_the_ledger(infra: Infra) -> None:
    path = infra.write(LAB)
    loaded = load(path)
    policy = of(loaded, "gpu")
    infra.write(LAB.replace('"575"', '"580"'))
    assert "there is no policy" in infra("policy", "diff", policy.digest, code=1).err  # the embedded AWS does not run
    url = infra("local", "up", "--json").json["url"]
    assert loaded.cluster.aws is not None
    store.put_policy(aws.session(loaded.cluster.aws, url), loaded.cluster, policy.digest, policy.archive())
    found = infra("policy", "diff", policy.digest, "--json", code=2).json
    assert found["versions"] == [{"key": "nvidia.driver", "new": "580", "old": "575"}]
    # It is kept: a few digits of it, and no AWS, are enough from now on.
    infra("local", "down")
    infra("policy", "diff", policy.digest[:10], code=2)
    shutil.rmtree(infra.folder / ".infra")
    infra("policy", "diff", policy.digest[:10], code=1)
