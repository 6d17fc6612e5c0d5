"""Every rule: its own examples, which are also its documentation, and the cases that examples do not show."""

from __future__ import annotations

import re
import runpy
import time
from pathlib import Path
from typing import Any

import pytest
import yaml

from infra.errors import Problem
from infra.spec.facts import Facts
from infra.spec.load import load
from infra.spec.rules import THEMES, check, rules
from infra.spec.rules.base import EXAMPLE, Rule

ROOT = Path(__file__).parents[2]
FACTS = Facts(
    quotas={"us-west-2": {"on-demand:standard": 64, "on-demand:g": 64}},
    key_pairs={"us-west-2": frozenset({"taken-ada"})},
)
ALL = rules()
# libyaml's are many times faster; some builds of PyYAML lack them.
LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
DUMPER: Any = getattr(yaml, "CSafeDumper", yaml.SafeDumper)


def overlay(base: Any, patch: Any) -> Any:
    """``patch`` laid over ``base``; None takes a key away."""
    if not isinstance(base, dict) or not isinstance(patch, dict):
        return patch
    merged = {**base, **{key: overlay(base.get(key), item) for key, item in patch.items()}}
    return {key: item for key, item in merged.items() if item is not None}


def problems(folder: Path, text: str, facts: Facts = FACTS) -> list[Problem]:
    tree = overlay(yaml.load(EXAMPLE, LOADER), yaml.load(text, LOADER))
    path = folder / "cluster.yaml"
    path.write_text(yaml.dump(tree, Dumper=DUMPER, sort_keys=False))
    return check(load(path), facts)


def broken(folder: Path, text: str) -> set[str]:
    return {problem.rule for problem in problems(folder, text)}


def test_example_itself_is_clean(tmp_path: Path) -> None:
    assert problems(tmp_path, "{}") == []


@pytest.mark.parametrize("rule", ALL, ids=lambda rule: rule.name)
def test_passing_example(rule: Rule, tmp_path: Path) -> None:
    found = problems(tmp_path, rule.passes)
    assert rule.name not in {problem.rule for problem in found}
    assert [problem for problem in found if problem.level == "error"] == []


@pytest.mark.parametrize("rule", ALL, ids=lambda rule: rule.name)
def test_failing_example(rule: Rule, tmp_path: Path) -> None:
    found = [problem for problem in problems(tmp_path, rule.fails) if problem.rule == rule.name]
    assert found
    for problem in found:
        assert problem.level == rule.level
        assert re.fullmatch(r".*cluster\.yaml:[0-9]+", problem.where)
        assert problem.what and problem.fix
        assert len(problem.what) < 200


def test_names_are_unique_and_plain() -> None:
    names = [rule.name for rule in ALL]
    assert len(names) == len(set(names))
    assert all(re.fullmatch(r"[a-z0-9-]+", name) for name in names)
    assert all(rule.summary.endswith((".", ")")) for rule in ALL)


def test_page_is_current() -> None:
    page = runpy.run_path(str(ROOT / "scripts/docs/validators"))["page"]()
    assert (ROOT / "docs/validators.md").read_text() == page, "run: scripts/docs/validators > docs/validators.md"
    assert all(f"### {rule.name}\n" in page for theme in THEMES.values() for rule in theme)


CASES = {
    # GPUs: the ends of support that the labs live with
    "kepler ends at 470": ("gpu-driver", "pools: {gpu: {instance_types: [p2.xlarge]}}"),
    "volta ends at 580": (
        "gpu-driver",
        'profiles: {gpu: {nvidia: {driver: "595"}}}\npools: {gpu: {instance_types: [p3.2xlarge]}}',
    ),
    "blackwell begins at 570": (
        "gpu-driver",
        'profiles: {gpu: {nvidia: {driver: "550", cuda: "12.4"}}}\npools: {gpu: {instance_types: [p6-b200.48xlarge]}}',
    ),
    "blackwell needs cuda 12.8": (
        "gpu-cuda",
        'profiles: {gpu: {nvidia: {cuda: "12.6"}}}\npools: {gpu: {instance_types: [p6-b200.48xlarge]}}',
    ),
    "blackwell has no proprietary module": (
        "gpu-module",
        "profiles: {gpu: {nvidia: {module: proprietary}}}\npools: {gpu: {instance_types: [p6-b200.48xlarge]}}",
    ),
    "titan x maxwell has no open module": (
        "gpu-module",
        "profiles: {gpu: {nvidia: {module: open}}}\n"
        "metal: {desk: {profile: gpu, hosts: [left], gpus: {model: titan-x-maxwell, count: 1}}}",
    ),
    "titan x pascal ends at cuda 12.9": (
        "gpu-cuda",
        'profiles: {gpu: {nvidia: {cuda: "13"}}}\n'
        "metal: {desk: {profile: gpu, hosts: [left], gpus: {model: titan-x-pascal, count: 1}}}",
    ),
    "open module came with 515": (
        "gpu-module",
        'profiles: {gpu: {nvidia: {driver: "470", cuda: "11.4", module: open}}}',
    ),
    "cuda 12 needs 525": ("cuda-driver", 'profiles: {gpu: {nvidia: {driver: "470", cuda: "12.0"}}}'),
    "amd is not nvidia": ("cpu-profile", "pools: {gpu: {instance_types: [g4ad.xlarge]}}"),
    # networks
    "metal address in pods": (
        "cidr-overlap",
        "kubernetes: {}\nmetal: {desk: {profile: cpu, hosts: [{name: left, address: 10.33.0.1}]}}",
    ),
    "metal cidr in vpc": ("cidr-overlap", "metal: {desk: {profile: cpu, hosts: [left], cidr: 10.41.0.0/16}}"),
    "services in pods": ("cidr-overlap", "kubernetes: {pod_cidr: 10.24.0.0/13}"),
    "placement of efa is warned": ("efa-placement", "pools: {gpu: {instance_types: [p5.48xlarge], efa: true}}"),
    "host in unknown type": ("instance-type-known", "hosts: {dev: {profile: cpu, instance_type: m5.lrge}}"),
    "control plane type": ("instance-type-known", "kubernetes: {control_plane: {instance_type: m5.lrge}}"),
    "rsa too short": (
        "key-valid",
        "access: {users: {ada: {keys: [ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAAABQCAAAAB]}}}",
    ),
    "wrong type inside": (
        "key-valid",
        "access: {users: {ada: {keys: "
        "[ssh-rsa AAAAC3NzaC1lZDI1NTE5AAAAIFrORCiFghWA5IVhIrl+Sfz3oMUZ5NRhtPQ7MAB7L40P]}}}",
    ),
    "a CA of users": ("key-valid", "access: {user_ca: [ssh-dss AAAAB3NzaC1kc3MAAACBA]}"),
    "a CA of hosts": ("key-valid", "access: {ssh_ca: [ssh-dss AAAAB3NzaC1kc3MAAACBA]}"),
    "dsa": ("key-valid", "access: {users: {ada: {keys: [ssh-dss AAAAB3NzaC1kc3MAAACBA]}}}"),
    "bucket like an address": ("bucket-name", "storage: {a: {s3: {bucket: 192.168.5.4}, mount: /a}}"),
    "bucket suffix": ("bucket-name", "storage: {a: {s3: {bucket: results-s3alias}, mount: /a}}"),
    "mount over etc": ("mount-system", "storage: {a: {efs: {}, mount: /etc/lab}}"),
    "mount at root": ("mount-system", "storage: {a: {efs: {}, mount: /}}"),
    "nfs and efs at one place": (
        "mount-twice",
        "storage: {a: {efs: {}, mount: /a}, b: {nfs: {host: nfs.lab, export: /a}, mount: /a}}",
    ),
    "taint value": ("label-syntax", 'pools: {cpu: {taints: [{key: lab/x, value: "a b"}]}}'),
    "short names": (
        "host-name-twice",
        "metal: {a: {profile: cpu, hosts: [box.lab]}, b: {profile: cpu, hosts: [box.home]}}",
    ),
    "port in address": ("host-address", "metal: {a: {profile: cpu, hosts: [{name: left, address: 'left.lab:22'}]}}"),
    "region typo": ("region-listed", "hosts: {dev: {profile: cpu, instance_type: m5.large, region: us-west-1}}"),
    "kubernetes without aws": (
        "aws-needed",
        "aws: null\npools: null\nmetal: {desk: {profile: cpu, hosts: [left]}}\nkubernetes: {}",
    ),
    "efs without aws": ("aws-needed", "aws: null\npools: null\nstorage: {data: {efs: {}, mount: /data}}"),
    "state without aws": ("aws-needed", "aws: null\npools: null\nstate: {s3: {bucket: lab-state, region: us-west-2}}"),
    "one reservation twice": (
        "reservation-regions",
        "pools: {cpu: {capacity: {reservation: cr-01234567}}, gpu: {capacity: {reservation: cr-01234567}}}",
    ),
    "a zone in several regions": (
        "zone-region",
        "aws: {regions: [us-west-2, us-east-1]}\npools: {cpu: {zone: us-west-2a, regions: [us-west-2, us-east-1]}}",
    ),
    "spread in one zone": ("spread-room", "pools: {cpu: {placement: spread, zone: us-west-2a, size: {max: 8}}}"),
    "a block in two subnets that exist": (
        "reservation-zone",
        "network: {existing: {us-west-2: {vpc: {id: vpc-1}, private: {ids: [subnet-1, subnet-2]}}}}\n"
        "pools: {cpu: {capacity: {block: cr-01234567}}}",
    ),
    "efa types differ": (
        "efa-supported",
        "pools: {gpu: {instance_types: [p4d.24xlarge, p5.48xlarge], efa: true, placement: cluster}}",
    ),
}

FINE = {
    "k80 with 470": (
        "gpu-",
        'profiles: {gpu: {nvidia: {driver: "470", cuda: "11.4"}}}\npools: {gpu: {instance_types: [p2.xlarge]}}',
    ),
    "full driver version": (
        "gpu-",
        "profiles: {gpu: {nvidia: {driver: 580.95.05}}}\npools: {gpu: {instance_types: [p3.2xlarge]}}",
    ),
    "titan x and t4 share the proprietary module": (
        "gpu-",
        "metal: {desk: {profile: gpu, hosts: [left], gpus: {model: titan-x-pascal, count: 1}}}",
    ),
    "an image of its own needs no driver": (
        "gpu-",
        "profiles: {cpu: {image: ami-0123456789abcdef0}}\npools: {cpu: {instance_types: [g4dn.xlarge]}}",
    ),
    "two groups in one lan": (
        "cidr-",
        "metal:\n  a: {profile: cpu, hosts: [a], cidr: 192.168.0.0/24}\n"
        "  b: {profile: cpu, hosts: [b], cidr: 192.168.0.0/24}",
    ),
    "existing vpc has its own addresses": (
        "cidr-",
        "network: {cidr: 10.32.0.0/16, existing: {us-west-2: {vpc: {id: vpc-1}, private: {ids: [subnet-1]}}}}\n"
        "kubernetes: {}",
    ),
    "private ssh": ("ssh-", "access: {ssh_from: [10.0.0.0/8]}"),
    "home may be mounted over": ("mount-", "storage: {a: {efs: {}, mount: /home}}"),
    "scratch below var": ("mount-", "storage: {a: {efs: {}, mount: /var/scratch}}"),
    "a retired type has no zones to ask for": ("instance-type-zones", "pools: {gpu: {instance_types: [p3.8xlarge]}}"),
    "one zone is the reservation's": (
        "reservation-zone",
        "network: {zones: 1}\npools: {cpu: {capacity: {reservation: cr-01234567}}}",
    ),
    "an existing network has its own zones": (
        "zone-",
        "network: {zones: 1, existing: {us-west-2: {vpc: {id: vpc-1}, private: {ids: [subnet-1]}}}}\n"
        "pools: {cpu: {zone: us-west-2c, capacity: {reservation: cr-01234567}}}",
    ),
    "a zone of a region that is not known": (
        "zone-",
        "aws: {regions: [xx-north-1]}\npools: {cpu: {zone: xx-north-1c, instance_types: [p3.8xlarge]}}",
    ),
    "some spot on demand": (
        "spot-scarce",
        "pools: {gpu: {instance_types: [p5.48xlarge], capacity: {spot: true, on_demand_base: 1}}}",
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_refused(name: str, tmp_path: Path) -> None:
    rule, text = CASES[name]
    assert rule in broken(tmp_path, text)


@pytest.mark.parametrize("name", FINE)
def test_allowed(name: str, tmp_path: Path) -> None:
    rule, text = FINE[name]
    assert not {found for found in broken(tmp_path, text) if found.startswith(rule)}


def test_every_problem_at_once_in_the_order_of_the_file(tmp_path: Path) -> None:
    found = problems(
        tmp_path,
        "pools: {cpu: {profile: cpus, instance_types: [m5.lrge], size: {min: 5, max: 4}}}\nnetwork: {zones: 6}",
    )
    assert {"profile-exists", "instance-type-known", "size-order", "zones-available"} <= {item.rule for item in found}
    lines = [int(item.where.rpartition(":")[2]) for item in found]
    assert lines == sorted(lines)


def test_live_types_take_the_place_of_the_shipped_ones(tmp_path: Path) -> None:
    from infra.spec import catalog

    new = catalog.InstanceType("x99.large", 2, 4096, ("x86_64",), usage_classes=("on-demand",))
    live = catalog.shipped().overlay([new], source="AWS", date="2030-01-01")
    text = "pools: {cpu: {instance_types: [x99.large], capacity: spot}}"
    assert "instance-type-known" in broken(tmp_path, text)
    rules_broken = {item.rule for item in problems(tmp_path, text, Facts(catalog=live))}
    assert "instance-type-known" not in rules_broken
    assert "spot-supported" in rules_broken


def test_very_many_problems_of_one_rule(tmp_path: Path) -> None:
    start = time.process_time()
    found = problems(tmp_path, "metal: {a: {profile: cpu, hosts: ['box-[1-4999]', 'box-[1-4999]']}}")
    twice = [item for item in found if item.rule == "host-name-twice"]
    assert len(twice) == 50
    assert twice[-1].what.startswith("4949 more problems like this")
    assert time.process_time() - start < 5


def test_derived_names_fit() -> None:
    """24 characters for a cluster and 32 for what is in it keep all names within the limits of AWS."""
    from infra.spec import catalog

    cluster, name = "c" * 24, "n" * 32
    region = max(catalog.regions(), key=len)
    assert len(f"{cluster}-{name}") <= 255  # Auto Scaling group; launch template 128, placement group 255
    assert len(f"{cluster}-{name}") <= 128
    assert len(f"{cluster}-{region}-control-plane") <= 64  # IAM role
    assert len(f"{cluster}-api") <= 32  # load balancer
