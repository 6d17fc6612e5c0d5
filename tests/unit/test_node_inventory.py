"""Machines by name: what the inventory holds, what patterns stand for, and that a name costs one machine."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.errors import UsageError
from infra.node.inventory import cloud, inventory
from infra.node.inventory.instance import Instance, names
from infra.node.inventory.inventory import Inventory, regions_asked
from infra.node.inventory.pattern import fold, parse
from infra.spec.load import Loaded, load
from infra.spec.names import expand
from tests.conftest import LABS

LAB = LABS / "research-lab.yaml"
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIFrORCiFghWA5IVhIrl+Sfz3oMUZ5NRhtPQ7MAB7L40P"
DEV = Instance(
    "i-0aaaaaaaaaaaaaaa1", "us-west-2", "host", "dev", "gpu", "dev-1", type="g4dn.xlarge", private="10.40.0.9",
    public="198.51.100.7", launched="2026-11-20T00:00:00+00:00",
)  # fmt: skip
POOL = Instance("i-0bbbbbbbbbbc1d2e3", "us-west-2", "pool", "gpu", "gpu", "gpu", type="p3.8xlarge", private="10.40.1.4")
FAR = Instance("i-0bbbbbbbbbbffffff", "us-east-1", "pool", "gpu", "gpu", "gpu", private="10.44.1.4")
PLANE = Instance("i-0ccccccccccccccc1", "us-west-2", "control-plane", "control-plane", "", "control-plane-1")
ALL = (POOL, FAR, PLANE, DEV)


@pytest.fixture
def lab() -> Loaded:
    return load(LAB)


def whole(lab: Loaded) -> Inventory:
    return Inventory(lab, ALL)


def picked(found: Inventory, *words: str) -> list[str]:
    return [node.name for node in found.pick(words)]


def metal(tmp_path: Path, text: str) -> Loaded:
    path = tmp_path / "cluster.yaml"
    path.write_text(f"version: 1\ncluster: t\nprofiles: {{p: {{}}}}\nmetal:\n{text}")
    return load(path)


def test_metal_is_as_the_file_says(lab: Loaded) -> None:
    node = Inventory(lab).pick(["titan-03"])[0]
    assert (node.name, node.kind, node.group, node.profile) == ("titan-03", "metal", "titan", "gpu")
    assert (node.login, node.gpus, node.ident) == (
        "ubuntu@titan-03.research.internal",
        "4 × titan-x-pascal",
        "metal/titan-03",
    )
    assert node.labels == {"lab/queue": "interactive"}
    assert Path(node.where.rpartition(":")[0]).name == "research-lab.yaml"
    assert '"titan-[01-08]' in LAB.read_text().splitlines()[int(node.where.rpartition(":")[2]) - 1]


def test_metal_host_by_host(tmp_path: Path) -> None:
    lab = metal(
        tmp_path,
        f"  d:\n    profile: p\n    user: sam\n    jump: sam@gate:2200\n    hosts:\n      - a\n"
        f"      - {{name: b.lab, address: 192.0.2.7, port: 2222, host_key: {KEY} sam@b}}\n",
    )
    a, b = Inventory(lab).nodes
    assert (a.address, a.port, a.host_keys, a.jump) == ("a", 22, (), "sam@gate:2200")
    assert (b.name, b.login, b.host_keys) == ("b", "sam@192.0.2.7:2222", (KEY,))
    assert (a.where.rpartition(":")[2], b.where.rpartition(":")[2]) == ("10", "11")


def test_instances(lab: Loaded) -> None:
    found = whole(lab)
    assert [node.name for node in found.nodes[8:]] == ["control-plane-1", "dev-1", "gpu-c1d2e3", "gpu-ffffff"]
    dev, pool, far = (found.get(name) for name in ("dev-1", "gpu-c1d2e3", "gpu-ffffff"))
    assert dev and pool and far
    assert (dev.address, dev.jump, dev.user, dev.ident) == ("198.51.100.7", "", "ubuntu", DEV.id)
    assert (pool.address, pool.jump, pool.profile, pool.labels) == ("10.40.1.4", "dev-1", "gpu", {"lab/queue": "batch"})
    assert pool.gpus == "4 × V100"
    assert (far.address, far.jump) == ("10.44.1.4", ""), "no public host in that region"
    assert found.instances["gpu-c1d2e3"] is POOL
    assert found.get(POOL.id) is found.get("gpu-c1d2e3")
    assert [node.name for node in found.jumps([pool])] == ["dev-1"]


def test_names_of_instances_are_unique() -> None:
    def pool(ident: str) -> Instance:
        return Instance(ident, "r", "pool", "gpu")

    alike = [pool("i-0aaa111222333444a"), pool("i-0bbb111222333444a"), pool("i-00000000000abcdef")]
    called = names(alike, ())
    assert called[alike[2].id] == "gpu-abcdef"
    assert len(set(called.values())) == 3
    assert called[alike[0].id] == "gpu-a111222333444a"
    old = Instance("i-0000000000000000a", "r", "host", "dev", label="dev-1", launched="2026-01-01")
    new = Instance("i-0000000000000000b", "r", "host", "dev", label="dev-1", launched="2026-02-01")
    assert names([old, new], ()) == {new.id: "dev-1", old.id: "dev-00000a"}
    assert names([new], {"dev-1"}) == {new.id: "dev-00000b"}, "the physical machine has the first right"


@given(st.lists(st.text("0123456789abcdef", min_size=17, max_size=17), unique=True, max_size=30), st.booleans())
def test_names_are_always_unique(ids: list[str], hosts: bool) -> None:
    made = [
        Instance(f"i-{ident}", "r", "host" if hosts and number % 2 else "pool", "g", label="g-1")
        for number, ident in enumerate(ids)
    ]
    called = names(made, {"g-1"})
    assert set(called) == {item.id for item in made}
    assert len(set(called.values())) == len(made)
    assert all(name.startswith("g-") and len(name) >= 8 for name in called.values())


PICKS: list[tuple[Sequence[str], list[str]]] = [
    (["titan-01"], ["titan-01"]),
    (["titan-01.research.internal"], ["titan-01"]),
    (["titan-[02-03]", "titan-01", "titan-02"], ["titan-02", "titan-03", "titan-01"]),
    (["titan-01,titan-[02,04]"], ["titan-01", "titan-02", "titan-04"]),
    (["titan-*"], [f"titan-0{n}" for n in range(1, 9)]),
    (["*-01"], ["titan-01"]),
    (["titan-0[1-2]*"], ["titan-01", "titan-02"]),
    (["titan-?1"], ["titan-01"]),
    (["group:titan"], [f"titan-0{n}" for n in range(1, 9)]),
    (["kind:host"], ["dev-1"]),
    (["kind:control-plane"], ["control-plane-1"]),
    (["region:us-east-1"], ["gpu-ffffff"]),
    (["region:us-*"], ["control-plane-1", "dev-1", "gpu-c1d2e3", "gpu-ffffff"]),
    (["profile:gpu"], [*(f"titan-0{n}" for n in range(1, 9)), "dev-1", "gpu-c1d2e3", "gpu-ffffff"]),
    (["group:gpu"], ["gpu-c1d2e3", "gpu-ffffff"]),
    ([DEV.id], ["dev-1"]),
    (["gpu-*"], ["gpu-c1d2e3", "gpu-ffffff"]),
]


@pytest.mark.parametrize("words, wanted", PICKS, ids=lambda value: " ".join(value))
def test_patterns(lab: Loaded, words: Sequence[str], wanted: list[str]) -> None:
    assert picked(whole(lab), *words) == wanted


def test_all(lab: Loaded) -> None:
    assert len(picked(whole(lab), "all")) == len(picked(whole(lab))) == len(picked(whole(lab), "*")) == 12


WRONG = [
    ("titen-01", "no machine is named 'titen-01'", "did you mean: titan-01"),
    ("titan-[07-09]", "'titan-[07-09]': no titan-09", "did you mean: titan-0"),
    ("x*", "no machine is named 'x*'", "titan-"),
    ("profile:gpo", "no machine has profile 'gpo'", "did you mean: profile:gpu"),
    ("group:nothing", "no machine has group 'nothing'", "write names"),
    ("profil:gpu", "'profil:gpu' is no pattern", "did you mean: profile:gpu"),
    ("kind:", "'kind:' lacks its value", "write names"),
    ("titan-[01", "the pattern 'titan-[01' is not well formed", "write names"),
    ("titan-[9-1]", "not well formed", "write names"),
    ("titan-01,,titan-02", "there is an empty name", "write names"),
    ("i-0aaaaaaaaaaaaaaa2", "no machine is named", ""),
]


@pytest.mark.parametrize("word, what, fix", WRONG, ids=[word for word, *_ in WRONG])
def test_what_stands_for_nothing(lab: Loaded, word: str, what: str, fix: str) -> None:
    with pytest.raises(UsageError) as caught:
        whole(lab).pick([word])
    text = caught.value.text()
    assert what in text
    assert fix in text
    if "no machine" in what:
        assert "there are: " in text


def test_the_list_of_what_there_is_is_short(lab: Loaded) -> None:
    with pytest.raises(UsageError) as caught:
        whole(lab).pick(["nobody"])
    assert "there are: titan-[01-08], control-plane-1, dev-1, gpu-c1d2e3" in caught.value.text()


@given(st.lists(st.integers(0, 1200), unique=True), st.booleans())
def test_fold_loses_nothing(numbers: list[int], padded: bool) -> None:
    given_names = [f"n-{number:04d}" if padded else f"n-{number}" for number in numbers]
    text = fold(given_names)
    assert [name for part in text.split(", ") if part for name in expand(part)] == given_names


def test_fold() -> None:
    assert fold(["titan-01", "titan-02", "titan-03", "titan-07", "left"]) == "titan-[01-03], titan-07, left"
    assert fold([]) == ""


def test_no_pattern_is_lost() -> None:
    assert [item.text for item in parse(["a,b", "c-[1,2]", "profile:x"])] == ["a", "b", "c-[1,2]", "profile:x"]


ASKED: list[tuple[Sequence[str], tuple[str, ...]]] = [
    (["titan-01"], ()),
    (["titan-[01-08]"], ()),
    (["titan-*"], ()),
    (["kind:metal"], ()),
    (["group:titan"], ()),
    (["titan-01", "head-1"], ("us-west-2",)),
    (["dev-2"], ("us-west-2",)),
    (["gpu-*"], ("us-west-2", "us-east-1", "eu-west-1")),
    (["*"], ("us-west-2", "us-east-1", "eu-west-1")),
    (["t*"], ()),
    (["d*"], ("us-west-2", "us-east-1", "eu-west-1")),
    (["region:us-east-1"], ("us-east-1",)),
    (["i-0123"], ("us-west-2", "us-east-1", "eu-west-1")),
    (["titen-01"], ("us-west-2", "us-east-1", "eu-west-1")),
    ([], ("us-west-2", "us-east-1", "eu-west-1")),
]


@pytest.mark.parametrize("words, wanted", ASKED, ids=lambda value: " ".join(value) or "none")
def test_aws_is_asked_only_where_it_must(lab: Loaded, words: Sequence[str], wanted: tuple[str, ...]) -> None:
    assert regions_asked(Inventory(lab), words) == wanted


def test_a_jump_host_in_aws_is_looked_up(tmp_path: Path) -> None:
    path = tmp_path / "cluster.yaml"
    path.write_text(
        LAB.read_text()
        .replace("    user: ubuntu\n", "    user: ubuntu\n    jump: head\n")
        .replace("metal:\n", "metal:\n  inner: {profile: gpu, hosts: [deep], jump: titan-01}\n")
    )
    lab = load(path)
    for words in (["titan-01"], ["deep"], ["kind:metal"], ["group:titan"], ["titan-*"]):
        assert regions_asked(Inventory(lab), words) == ("us-west-2",)
    head = Instance("i-0ddddddddddddddd1", "us-west-2", "host", "head", "cpu", "head-1", public="198.51.100.8")
    found = Inventory(lab, (head,))
    deep = found.pick(["deep"])
    assert deep[0].jump == "titan-01"
    assert [node.name for node in found.jumps(deep)] == ["titan-01", "head-1"]


def test_a_pool_with_the_name_of_a_metal_group_is_not_forgotten(tmp_path: Path) -> None:
    path = tmp_path / "cluster.yaml"
    path.write_text(LAB.read_text().replace("  titan:\n", "  gpu:\n"))
    found = Inventory(load(path), ALL)
    assert regions_asked(found, ["group:gpu"]) == ("us-west-2", "us-east-1", "eu-west-1")
    assert len(found.pick(["group:gpu"])) == 10
    assert regions_asked(found, ["titan-01"]) == ()


def test_jump_hosts_in_a_ring_end(tmp_path: Path) -> None:
    lab = metal(tmp_path, "  a: {profile: p, hosts: [one], jump: two}\n  b: {profile: p, hosts: [two], jump: one}\n")
    found = Inventory(lab)
    assert regions_asked(Inventory(lab), ["one"]) == ()
    assert {node.name for node in found.jumps(found.pick(["one"]))} == {"one", "two"}


@pytest.fixture
def built(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Names of the machines that were built, and every place in the file that was looked for."""
    made: list[str] = []
    original = inventory.Node

    def count(**values: Any) -> Any:
        made.append(values["name"])
        return original(**values)

    monkeypatch.setattr(inventory, "Node", count)
    yield made


@pytest.mark.parametrize("size", [10, 1000])
def test_one_name_costs_one_machine_and_no_call(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, built: list[str], size: int
) -> None:
    def never(*_: object, **__: object) -> None:
        raise AssertionError("AWS was asked")

    monkeypatch.setattr(cloud, "look_site", never)
    path = tmp_path / "cluster.yaml"
    path.write_text(LAB.read_text().replace("titan-[01-08]", f"titan-[0001-{size:04d}]"))
    lab = load(path)
    places: list[tuple[str | int, ...]] = []
    where = Loaded.where
    monkeypatch.setattr(Loaded, "where", lambda self, *loc: (places.append(loc), where(self, *loc))[1])
    found = cloud.inventory(lab, ["titan-0007"])
    assert picked(found, "titan-0007") == ["titan-0007"]
    assert built == ["titan-0007"]
    assert places == [("metal", "titan", "hosts", 6)]


def test_a_cluster_without_aws_needs_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cloud, "look_site", None)
    found = cloud.inventory(load(LABS / "two-boxes.yaml"))
    assert [node.login for node in found.nodes] == ["sam@192.0.2.11", "sam@192.0.2.12:2222"]


def described(state: str = "running", **tags: str) -> dict[str, Any]:
    made = [{"Key": key.replace("_", ":", 1) if key != "Name" else key, "Value": value} for key, value in tags.items()]
    return {"InstanceId": "i-1", "State": {"Name": state}, "Tags": made, "PrivateIpAddress": "10.0.0.1"}


def test_which_instances_are_machines_of_ours() -> None:
    host = cloud._instance("lab", "r", described(infra_host="dev", infra_profile="gpu", Name="lab-dev-2"))
    assert host and (host.kind, host.group, host.profile, host.label) == ("host", "dev", "gpu", "dev-2")
    pool = cloud._instance("lab", "r", described("pending", infra_pool="cpu", Name="lab-cpu"))
    assert pool and (pool.kind, pool.group, pool.state) == ("pool", "cpu", "pending")
    plane = cloud._instance("lab", "r", {**described(Name="lab-control-plane-1"), "Tags": [
        {"Key": "infra:control-plane", "Value": "true"}, {"Key": "Name", "Value": "lab-control-plane-1"}]})  # fmt: skip
    assert plane and (plane.kind, plane.label) == ("control-plane", "control-plane-1")
    assert cloud._instance("lab", "r", described(infra_bake="x", Name="a bake")) is None


@pytest.mark.parametrize(
    "item, word",
    [
        ({"HealthStatus": "HEALTHY", "LifecycleState": "InService"}, ""),
        ({"HealthStatus": "UNHEALTHY", "LifecycleState": "InService"}, "Unhealthy"),
        ({"HealthStatus": "HEALTHY", "LifecycleState": "Terminating:Wait"}, "Terminating:Wait"),
    ],
)
def test_what_a_group_thinks_of_a_machine(item: dict[str, str], word: str) -> None:
    assert cloud._member(item) == word


@pytest.mark.parametrize(
    "system, instance, word",
    [
        ("ok", "ok", "ok"),
        ("ok", "initializing", "initializing"),
        ("impaired", "ok", "impaired"),
        ("ok", "insufficient-data", "insufficient-data"),
        ("", "", ""),
    ],
)
def test_checks(system: str, instance: str, word: str) -> None:
    assert cloud._checks({"SystemStatus": {"Status": system}, "InstanceStatus": {"Status": instance}}) == word


CONSOLE = f"""\
[   12.1] cloud-init[812]: Cloud-init v. 24.1 finished
-----BEGIN SSH HOST KEY KEYS-----
ecdsa-sha2-nistp256 AAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAIbmlzdHAyNTYAAABBBOLD= root@old
-----END SSH HOST KEY KEYS-----
<14>Nov 22 07:00:00 cloud-init: -----BEGIN SSH HOST KEY KEYS-----\r
ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAABgQC7 root@ip-10-40-0-9\r
{KEY} root@ip-10-40-0-9\r
<14>Nov 22 07:00:00 cloud-init: -----END SSH HOST KEY KEYS-----\r
[   13.0] reached target
"""


def test_console_keys() -> None:
    assert cloud.parse_keys(CONSOLE) == (KEY, "ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAABgQC7")
    assert cloud.parse_keys("no block here") == ()
    assert cloud.parse_keys("-----BEGIN SSH HOST KEY KEYS-----\n" + KEY) == (), "cut off: not to be trusted"
