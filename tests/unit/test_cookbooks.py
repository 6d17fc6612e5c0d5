"""The cookbooks without Chef: their libraries, and the resources of each profile of the labs on each system."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from infra import assets
from infra.spec import gpus
from tests.chef import recording
from tests.unit.render import golden

pytestmark = pytest.mark.skipif(
    recording.RUBY is None, reason="NO RUBY: cookbooks are not looked at (apt install ruby)"
)

CHEF = assets.root("chef")
TESTS = Path(recording.__file__).parent
CLOUD = {"0000:00:1e.0": ("10de:1db1", "0x030200")}  # a p3's V100
TITAN = {"0000:01:00.0": ("10de:1b00", "0x030000"), "0000:02:00.0": ("10de:1b00", "0x030000")}
SWITCHES = {f"0000:{slot:02x}:00.0": ("10de:22a3", "0x068000") for slot in range(5, 9)}


@pytest.mark.parametrize("path", sorted(TESTS.glob("libraries/test_*.rb")), ids=lambda path: path.stem)
def test_libraries(path: Path) -> None:
    done = subprocess.run(
        [str(recording.RUBY), "-W1", str(path)], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("platform", recording.PLATFORMS)
@pytest.mark.parametrize(("lab", "profile"), recording.profiles())
def test_every_profile_compiles_on_every_system(lab: str, profile: str, platform: str) -> None:
    node = recording.node_json(lab, profile)
    machine = recording.facts(platform)
    if lab == "two-boxes":  # CUDA 11 and the driver for Kepler are as old as Ubuntu 22.04
        machine = recording.facts("ubuntu-22.04")
    recorded = recording.record(node, machine)
    assert recorded["resources"] and not [line for line in recorded["log"] if not line.startswith("info")]
    if platform == "ubuntu-22.04":
        golden(f"cookbooks/{lab}-{profile}.txt", recording.lines(recorded))


def test_a_cloud_node_and_a_titan_x_box_differ_only_where_it_is_declared(tmp_path: Path) -> None:
    node = recording.node_json("research-lab", "gpu")
    cloud = recording.record(node, recording.facts("ubuntu-22.04"), world=recording.pci(tmp_path / "cloud", CLOUD))
    titan = recording.record(
        node,
        recording.facts("ubuntu-22.04", kernel="6.8.0-60-generic"),
        world=recording.pci(tmp_path / "titan", TITAN),
    )
    assert cloud["resources"] == titan["resources"]
    assert "nvidia: GPUs 10de:1b00" in " ".join(titan["log"])

    # What is left to the machine to decide is each resource with a guard: all of them are declared, with the reason.
    declared = yaml.safe_load((TESTS / "differences.yaml").read_text())
    guarded = {item["resource"] for item in cloud["resources"] if item.get("guards")}
    assert guarded <= set(declared), f"declare in tests/chef/differences.yaml why: {sorted(guarded - set(declared))}"
    known = guarded | _guarded_in("training-cluster", "h100")
    assert set(declared) <= known, f"declared and gone: {sorted(set(declared) - known)}"
    assert all(declared.values())


@pytest.mark.parametrize("address", ["192.0.2.9", ""])
def test_machines_of_a_profile_that_a_physical_control_plane_has_get_all_that_it_takes(address: str) -> None:
    node = recording.node_json("research-lab", "gpu")
    plane = {"machines": ["192.0.2.1", "192.0.2.2", "192.0.2.3"], "address": address}
    node["infra"]["kubernetes"] |= {"control_plane": plane, "pod_cidr": "10.32.0.0/13", "service_cidr": "10.31.0.0/16"}
    recorded = recording.record(node, recording.facts("ubuntu-22.04"))
    found = [line.strip() for line in recording.lines(recorded).splitlines()]
    assert "cookbook_file[/usr/local/lib/infra/control-plane] mode=0755 source=control-plane" in found
    assert any(line.startswith("file[/etc/infra/kubeadm.json]") for line in found)
    assert any(line.startswith("file[/etc/infra/control-plane.json]") for line in found)
    (unit,) = [line for line in found if line.startswith("systemd_unit[infra-kube-address.service]")]
    assert (":create,enable" if address else ":stop,disable,delete") in unit
    assert ("package[keepalived]" in " ".join(found)) is bool(address)


def _guarded_in(lab: str, profile: str) -> set[str]:
    recorded = recording.record(recording.node_json(lab, profile), recording.facts("ubuntu-22.04"))
    return {item["resource"] for item in recorded["resources"] if item.get("guards")}


@pytest.mark.parametrize(
    ("profile", "devices", "says"),
    [
        (("training-cluster", "h100"), TITAN, "Pascal) is not driven by the open kernel module"),
        (("research-lab", "gpu"), {"0000:00:1e.0": ("10de:2901", "0x030200")}, "Blackwell) is not driven by"),
        (("two-boxes", "gpu"), {"0000:00:1e.0": ("10de:2330", "0x030200")}, "Hopper) needs branch 525"),
    ],
)
def test_a_gpu_that_the_driver_does_not_fit(
    tmp_path: Path, profile: tuple[str, str], devices: dict[str, tuple[str, str]], says: str
) -> None:
    with pytest.raises(AssertionError, match=r"Fix:") as caught:
        recording.record(
            recording.node_json(*profile), recording.facts("ubuntu-22.04"), world=recording.pci(tmp_path, devices)
        )
    assert says in str(caught.value)


def test_fabric_manager_is_installed_everywhere_and_runs_where_switches_are(tmp_path: Path) -> None:
    node = recording.node_json("training-cluster", "h100")
    bare = recording.record(node, recording.facts("ubuntu-22.04"))
    switched = recording.record(
        node,
        recording.facts("ubuntu-22.04"),
        world=recording.pci(tmp_path, {"0000:00:1e.0": ("10de:2330", "0x030200"), **SWITCHES}),
    )
    assert bare["resources"] == switched["resources"]  # one image: the unit itself asks the bus
    start = next(
        item for item in bare["resources"] if item["resource"].startswith("service[nvidia-fabricmanager where")
    )
    assert "nvidia-hardware nvswitch" in start["guards"][0]


def test_ruby_and_python_know_the_same_gpus() -> None:
    script = (
        f"require 'json'; load '{CHEF}/cookbooks/nvidia/libraries/gpus.rb';"
        "puts JSON.generate(Infra::Gpus::ARCHITECTURES.map { |it| it.to_a.take(4) })"
    )
    done = subprocess.run([str(recording.RUBY), "-e", script], capture_output=True, text=True, timeout=30, check=True)
    known = [item for item in vars(gpus).values() if isinstance(item, gpus.Architecture)]
    mine = {item.name: [item.first_driver, item.last_driver, list(item.modules)] for item in known}
    assert {name: rest for name, *rest in json.loads(done.stdout)} == mine


THING = """provides :thing
unified_mode true
property :size, Integer, required: true
action(:go) { 1 }
"""
BROKEN: list[tuple[str, str]] = [
    ("fiel '/etc/x'", "there is no resource fiel"),
    ("file '/etc/x' do\n  contnet 'a'\nend", "has no property contnet"),
    ("include_recipe 'one::nothing'", "there is no recipe one::nothing"),
    ("file '/etc/x' do\n  notifies :run, 'execute[gone]'\nend", "there is no execute[gone] to notify"),
    ("thing 'a'", "needs size"),
    ("thing 'a' do\n  size 'big'\nend", "size cannot be"),
    ("node['infra']['nothing']['at all']", "undefined method"),
]


@pytest.mark.parametrize(("text", "says"), BROKEN)
def test_mistakes_are_found(tmp_path: Path, text: str, says: str) -> None:
    book = tmp_path / "cookbooks/one"
    files = {
        "metadata.rb": "name 'one'\n",
        "recipes/default.rb": f"{text}\n",
        "resources/thing.rb": THING,
    }
    for path, content in files.items():
        (book / path).parent.mkdir(parents=True, exist_ok=True)
        (book / path).write_text(content)
    node: dict[str, Any] = {"run_list": ["recipe[one]"], "infra": {}}
    with pytest.raises(AssertionError) as caught:
        recording.record(node, recording.facts("debian-12"), chef=tmp_path)
    assert says in str(caught.value)
