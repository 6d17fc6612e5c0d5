"""The root module of a region: golden files of the labs, and what is true of every root.

``INFRA_GOLDEN=write pytest tests/unit/test_root.py`` writes the golden files anew.
"""

from __future__ import annotations

import copy
import json
import os
import re
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra import files
from infra.cloud.project import root
from infra.cloud.project.provider import ProviderLine, online
from infra.cloud.project.terms import Ref, address_of_tag, tag_of_address, terms
from infra.spec.load import load
from infra.spec.models import Cluster

GOLDEN = Path(__file__).parent / "golden" / "root"
LABS = Path(__file__).parents[1] / "labs"
EMBEDDED = ProviderLine(3, "= 3.39.0", "http://127.0.0.1:45366")
CASES = [
    ("research-lab", "us-west-2", "embedded", EMBEDDED),
    ("research-lab", "eu-west-1", "embedded", EMBEDDED),
    ("training-cluster", "us-east-2", "embedded", EMBEDDED),
    ("training-cluster", "us-east-2", "online", online()),
]
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIFrORCiFghWA5IVhIrl+Sfz3oMUZ5NRhtPQ7MAB7L40P"


def lab(name: str) -> Cluster:
    return load(LABS / f"{name}.yaml").cluster


def cluster(**parts: Any) -> Cluster:
    """Ten lines' worth of cluster: one profile, one pool, one region, and ``parts``."""
    raw: dict[str, Any] = {
        "version": 1,
        "cluster": "ten",
        "aws": {"regions": ["us-west-2"]},
        "profiles": {"cpu": {}},
        "pools": {"cpu": {"profile": "cpu", "instance_types": ["c5.large"], "size": 2}},
    }
    return Cluster.model_validate({**raw, **parts})


def build(region: str = "us-west-2", line: ProviderLine | None = None, **parts: Any) -> dict[str, Any]:
    return root.build(cluster(**parts), region, line or online())


@pytest.mark.parametrize(("name", "region", "kind", "line"), CASES, ids=["-".join(case[:3]) for case in CASES])
def test_golden(name: str, region: str, kind: str, line: ProviderLine) -> None:
    text = json.dumps(root.build(lab(name), region, line), indent=2, sort_keys=True, ensure_ascii=False) + "\n"
    golden = GOLDEN / f"{name}.{region}.{kind}.json"
    if os.environ.get("INFRA_GOLDEN") == "write":
        golden.write_text(text)
    assert text == golden.read_text()


def test_machines_that_pull_may_read_policies_and_write_reports_and_no_more() -> None:
    state = {"s3": {"bucket": "lab-state", "region": "us-east-1"}}
    identity = build(converge={"pull": "30m"}, state=state)["module"]["identity"]
    top = "lab-state/ten/images"
    assert identity["archives"] == [f"{top}/policies", f"{top}/promoted"] and identity["reports"] == [f"{top}/reports"]
    assert "archives" not in build(state=state)["module"]["identity"]


@pytest.mark.parametrize("name", ["research-lab", "training-cluster"])
def test_the_same_cluster_gives_the_same_root_whatever_the_order_in_the_file(name: str) -> None:
    first = lab(name)
    turned = first.model_dump(by_alias=True, exclude_unset=True)
    for part in ("pools", "hosts", "storage", "profiles"):
        turned[part] = dict(reversed(turned.get(part, {}).items()))
    turned["access"]["users"] = dict(reversed(turned["access"].get("users", {}).items()))
    second = Cluster.model_validate(turned)
    for region in first.aws.regions if first.aws else []:
        for line in (EMBEDDED, online()):
            assert files.canonical(root.build(first, region, line)) == files.canonical(root.build(second, region, line))


def test_building_changes_nothing() -> None:
    before = lab("research-lab")
    kept = copy.deepcopy(before)
    root.build(before, "us-west-2", EMBEDDED)
    assert before == kept


# ---- texts of the file are never expressions


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(), st.lists, max_leaves=9))
def test_a_value_without_templates_stays_as_it_is(value: Any) -> None:
    plain = json.loads(json.dumps(value).replace("{", "("))
    assert terms(plain) == plain


@pytest.mark.parametrize(
    ("text", "written"), [("${a}", "$${a}"), ("%{if a}", "%%{if a}"), ("$${a}", "$$${a}"), ("{a} $a", "{a} $a")]
)
def test_a_template_in_the_file_is_only_text(text: str, written: str) -> None:
    assert terms({text: [text]}) == {written: [written]}


def test_an_expression_in_the_file_is_only_text() -> None:
    user = {"ada": {"keys": [f'{KEY} ${{file("/etc/passwd")}}']}}
    built = build(access={"users": user})
    text = json.dumps(built)
    assert "$${file(" in text
    assert not re.search(r"(?<!\$)\$\{file", text)


def test_a_reference_is_an_expression() -> None:
    assert terms({"a": [Ref("module.b.c")]}) == {"a": ["${module.b.c}"]}


@given(
    st.from_regex(r"module\.[a-z_]{1,9}(\.module\.[a-z]{1,9})?\.aws_[a-z_]{1,9}\.[a-z_]{1,9}", fullmatch=True),
    st.none() | st.from_regex(r"[a-z0-9][a-z0-9./-]{0,20}", fullmatch=True),
)
def test_an_address_comes_back_from_its_tag(path: str, key: str | None) -> None:
    address = path if key is None else f'{path}["{key}"]'
    assert address_of_tag(tag_of_address(address)) == address
    assert address_of_tag(address) == address  # the plain form is understood as well


# ---- terraform and provider


def test_no_credential_is_in_a_root() -> None:
    for name, region, _kind, line in CASES:
        text = json.dumps(root.build(lab(name), region, line))
        assert not re.search(r"access_key|secret|token", text)


def test_online_the_provider_is_told_only_what_the_file_says() -> None:
    built = build(aws={"regions": ["us-west-2"], "profile": "lab", "account": 123456789012})
    assert built["provider"]["aws"] == {
        "region": "us-west-2",
        "profile": "lab",
        "allowed_account_ids": ["123456789012"],
    }
    assert built["terraform"]["backend"] == {"local": {"path": "terraform.tfstate"}}


def test_the_state_in_s3_is_locked_and_encrypted_and_has_a_place_per_region() -> None:
    built = build(state={"s3": {"bucket": "lab-state", "prefix": "/prod/", "region": "eu-west-1"}})
    backend = built["terraform"]["backend"]["s3"]
    assert backend == {
        "bucket": "lab-state",
        "key": "prod/ten/us-west-2/terraform.tfstate",
        "region": "eu-west-1",
        "encrypt": True,
        "use_lockfile": True,
    }


@pytest.mark.parametrize("major", [3, 6])
def test_with_an_endpoint_nothing_goes_to_aws(major: int) -> None:
    url = "http://127.0.0.1:5000"
    built = build(line=ProviderLine(major, "x", url), state={"s3": {"bucket": "lab-state", "region": "eu-west-1"}})
    endpoints = built["provider"]["aws"]["endpoints"][0]
    assert {"ec2", "autoscaling", "iam", "sts", "s3", "efs", "cloudwatchlogs"} <= set(endpoints)
    assert set(endpoints.values()) == {url}
    assert set(built["terraform"]["backend"]["s3"]["endpoints"].values()) == {url}
    assert built["provider"]["aws"]["s3_force_path_style" if major == 3 else "s3_use_path_style"] is True


# ---- parts


def test_each_region_has_what_the_file_puts_there() -> None:
    first = lab("research-lab")
    calls = {region: set(root.build(first, region, EMBEDDED)["module"]) for region in first.aws.regions}  # type: ignore[union-attr]
    common = {"network", "security", "identity", "pool_cpu"}
    assert calls["eu-west-1"] == common
    assert calls["us-east-1"] == common | {"pool_gpu"}
    assert calls["us-west-2"] == common | {
        "pool_gpu",
        "host_dev",
        "host_head",
        "control_plane",
        "storage_datasets",
        "storage_results",
    }


def test_a_role_for_each_kind_of_machine_that_is_there() -> None:
    first = lab("research-lab")
    kinds = {r: root.build(first, r, EMBEDDED)["module"]["identity"]["kinds"] for r in ("us-west-2", "eu-west-1")}
    assert kinds == {"us-west-2": ["control-plane", "host", "node"], "eu-west-1": ["node"]}


def test_every_region_may_use_every_bucket_and_only_those() -> None:
    item = {"s3": {"bucket": "lab-data"}, "mount": "/d", "regions": ["us-west-2", "us-east-1"]}
    aws = {"regions": ["us-west-2", "us-east-1"]}
    built = {region: build(region, aws=aws, storage={"data": item}) for region in aws["regions"]}
    names = {region: one["module"]["storage_data"]["bucket"] for region, one in built.items()}
    assert names == {"us-west-2": "lab-data", "us-east-1": "lab-data-us-east-1"}
    for one in built.values():
        assert one["module"]["identity"]["buckets"] == ["lab-data", "lab-data-us-east-1"]


def test_nfs_is_not_ours_to_make() -> None:
    built = build(storage={"home": {"nfs": {"host": "nfs.lab", "export": "/home"}, "mount": "/home"}})
    assert "storage_home" not in built["module"]


def test_hosts_are_public_only_when_somebody_may_come() -> None:
    hosts = {"hosts": {"dev": {"profile": "cpu", "instance_type": "m5.large"}}}
    closed = build(**hosts)["module"]["host_dev"]
    assert (closed["public"], closed["subnets"]) == (False, "${module.network.private_subnets}")
    reached = build(**hosts, access={"ssh_from": ["203.0.113.0/24"]})["module"]["host_dev"]
    assert (reached["public"], reached["subnets"]) == (True, "${module.network.public_subnets}")


def test_an_autoscaled_pool_says_so() -> None:
    kubernetes = {"autoscale": {"pools": ["cpu"]}}
    assert build(kubernetes=kubernetes)["module"]["pool_cpu"]["autoscaled"] is True
    assert build()["module"]["pool_cpu"]["autoscaled"] is False


@pytest.mark.parametrize(("kubernetes", "hops"), [({}, 1), ({"pod_credentials": "node"}, 2), (None, None)])
def test_pods_have_their_machines_credentials_where_the_file_says_so(
    kubernetes: dict[str, str] | None, hops: int | None
) -> None:
    parts: dict[str, Any] = {} if kubernetes is None else {"kubernetes": kubernetes}
    assert build(**parts)["module"]["pool_cpu"].get("metadata_hops") == hops


def test_an_existing_network_is_only_looked_up() -> None:
    existing = {"us-west-2": {"vpc": {"tags": {"Name": "lab"}}, "private": {"ids": ["subnet-1", "subnet-2"]}}}
    call = build(network={"existing": existing})["module"]["network"]
    assert call == {
        "source": "./modules/existing",
        "vpc": {"id": None, "tags": {"Name": "lab"}},
        "private": {"ids": ["subnet-1", "subnet-2"], "tags": {}},
        "public": None,
    }


def test_a_zone_more_moves_no_subnet() -> None:
    carved = [build(network={"zones": zones})["module"]["network"]["private_cidrs"] for zones in (1, 2, 3, 4)]
    assert [networks[0] for networks in carved] == [carved[0][0]] * 4
    assert carved[3][:3] == carved[2]
    assert carved[2][:2] == carved[1]


def test_images_are_looked_up_once_for_all_pools_of_an_os_and_architecture() -> None:
    pool = {"profile": "cpu", "size": 1}
    pools = {f"p{n}": {**pool, "instance_types": ["m7g.large" if n % 2 else "m5.large"]} for n in range(6)}
    built = build(pools=pools, profiles={"cpu": {"os": "ubuntu-24.04"}})
    assert set(built["data"]["aws_ami"]) == {"ubuntu_24_04_x86_64", "ubuntu_24_04_arm64"}
    assert built["module"]["pool_p1"]["image_id"] == "${data.aws_ami.ubuntu_24_04_arm64.id}"
    arm = json.dumps(built["data"]["aws_ami"]["ubuntu_24_04_arm64"])
    assert "hvm-ssd/ubuntu-noble-24.04-arm64-server-*" in arm
    assert "hvm-ssd-gp3/ubuntu-noble-24.04-arm64-server-*" in arm


def test_an_image_of_the_file_is_used_as_it_is() -> None:
    built = build(profiles={"cpu": {"image": "ami-0123456789abcdef0"}})
    assert built["module"]["pool_cpu"]["image_id"] == "ami-0123456789abcdef0"
    assert "data" not in built


def test_key_pairs_are_of_keys_that_ec2_takes() -> None:
    touch = "sk-ssh-ed25519@openssh.com AAAAGnNrLXNzaC1lZDI1NTE5QG9wZW5zc2guY29t"
    users = {
        "ada": {"keys": [f"{KEY} ada@laptop"]},
        "bob": {"keys": [touch, f"{KEY} bob@laptop"], "sudo": True},
        "eve": {"keys": [touch], "sudo": True},
    }
    built = build(access={"users": users})
    assert set(built["module"]["identity"]["users"]) == {"ada", "bob"}
    assert built["module"]["pool_cpu"]["key_name"] == '${module.identity.keys["bob"]}'
    assert [user if isinstance(user, str) else user["name"] for user in built["locals"]["cloud_config"]["users"]] == [
        "default",
        "ada",
        "bob",
        "eve",
    ]
    assert build()["module"]["pool_cpu"]["key_name"] is None


# ---- EFA and what cannot be emulated


@pytest.mark.parametrize(
    ("instance_type", "first", "second", "count"),
    [
        ("p5.48xlarge", {"card": 0, "device": 0, "type": "efa"}, {"card": 1, "device": 1, "type": "efa-only"}, 32),
        ("p4d.24xlarge", {"card": 0, "device": 0, "type": "efa"}, {"card": 1, "device": 1, "type": "efa-only"}, 4),
        # Its first card takes no EFA: it is there for the machine's own address alone.
        ("p6-b300.48xlarge", {"card": 0, "device": 0}, {"card": 1, "device": 1, "type": "efa-only"}, 17),
    ],
)
def test_all_efa_cards_are_used(instance_type: str, first: Any, second: Any, count: int) -> None:
    pool = {"profile": "cpu", "instance_types": [instance_type], "size": 2, "efa": True, "placement": "cluster"}
    built = build(pools={"gpu": pool})
    cards = built["locals"]["interfaces"][instance_type]
    assert (cards[0], cards[1], len(cards)) == (first, second, count)
    assert built["module"]["pool_gpu"]["interfaces"] == f'${{local.interfaces["{instance_type}"]}}'
    assert int(built["module"]["pool_gpu"]["resources"][instance_type]["vpc.amazonaws.com/efa"]) in (count, count - 1)


def test_a_scheduler_is_told_of_each_machine() -> None:
    pool = {"profile": "cpu", "instance_types": ["p3.16xlarge", "p3.8xlarge"], "size": {"max": 4}, "disk": "1TB"}
    resources = build(pools={"gpu": pool})["module"]["pool_gpu"]["resources"]
    assert resources == {
        "p3.16xlarge": {"nvidia.com/gpu": "8", "ephemeral-storage": "1000G"},
        "p3.8xlarge": {"nvidia.com/gpu": "4", "ephemeral-storage": "1000G"},
    }


def test_what_the_embedded_provider_lacks_is_said() -> None:
    said = root.limits(lab("training-cluster"), "us-east-2", EMBEDDED)
    assert [sentence.partition(":")[0] for sentence in said] == [
        "pools.h100",
        "storage.datasets",
        "storage.datasets",
    ]
    assert all("AWS provider 3.39.0" in sentence for sentence in said)
    block = {
        "profile": "cpu",
        "instance_types": ["p5.48xlarge"],
        "size": 1,
        "capacity": {"block": "cr-0123456789abcdef0"},
    }
    assert "capacity block" in root.limits(cluster(pools={"gpu": block}), "us-west-2", EMBEDDED)[0]
    assert build(line=EMBEDDED, pools={"gpu": {**block, "efa": True}})["module"]["pool_gpu"]["interfaces"] == [{}]


@pytest.mark.parametrize("name", ["research-lab", "training-cluster"])
def test_the_current_provider_lacks_nothing(name: str) -> None:
    first = lab(name)
    assert [root.limits(first, region, online()) for region in first.aws.regions] == [[]] * len(first.aws.regions)  # type: ignore[union-attr]


# ---- speed


def test_a_thousand_pools_take_less_than_a_second(tmp_path: Path) -> None:
    from infra.cloud.project import modules

    pool = {
        "profile": "cpu",
        "instance_types": ["p5.48xlarge"],
        "size": {"max": 8},
        "efa": True,
        "placement": "cluster",
    }
    big = cluster(pools={f"p-{number:04d}": pool for number in range(1000)})
    started = time.process_time()
    modules.render(online(), tmp_path / "modules")
    built = root.build(big, "us-west-2", online())
    files.write_json(tmp_path / "main.tf.json", built)
    assert time.process_time() - started < 1.0
    assert len(built["module"]) == 1003
