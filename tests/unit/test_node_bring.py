"""What is decided about a machine before and after it is brought to its policy; its scripts on a made-up root."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from infra.errors import InfraError, NodeBusy, NodeFailed, NodeUnfit, Problem, SpecError
from infra.node import scripts
from infra.node.bring import chips, client, failures, sources
from infra.node.bring.client import Package, Packages
from infra.node.bring.facts import Facts, Gpu, Incomplete, parse
from infra.node.bring.fitness import Wish, judge, stop
from infra.node.bring.job import Story
from infra.node.model import Node
from infra.policy import of
from infra.spec.load import Loaded, load
from infra.spec.models import Gpus, Nvidia, Profile
from tests.bed import deb

NODE = Node("titan-01", "metal", "titan", "gpu", "ops", "192.0.2.1", where="cluster.yaml:9")
GB = 1_000_000
FIT = Facts(
    boot="b",
    hostname="titan-01",
    os_id="ubuntu",
    os_version="24.04",
    os_name="Ubuntu 24.04.1 LTS",
    arch="x86_64",
    memory=64 * GB,
    free={"/": 100 * GB, "/var": 100 * GB},
    inodes={"/": 1_000_000, "/var": 1_000_000},
    gpus=(Gpu("0000:01:00.0", "1b00"), Gpu("0000:02:00.0", "1b00")),
)
WISH = Wish(
    "titan-01",
    "cluster.yaml:9",
    "gpu",
    Profile(nvidia=Nvidia(driver="580", cuda="12.9")),
    "proprietary",
    Gpus(model="titan-x-pascal", count=2),
)


LAB = "version: 1\ncluster: lab\nprofiles: {gpu: {}}\nmetal: {titan: {profile: gpu, hosts: [titan-01]}}\n"


def lab(folder: Path) -> Loaded:
    return load(folder / "cluster.yaml", text=LAB)


def test_a_machine_that_fits() -> None:
    assert judge(FIT, WISH) == []
    stop([])


MISFITS: dict[str, tuple[Callable[[Facts], Facts], str, str]] = {
    "os": (lambda facts: replace(facts, os_id="debian", os_version="12"), "error", "--allow-os"),
    "arch": (lambda facts: replace(facts, arch="riscv64"), "error", "riscv64"),
    "tools": (lambda facts: replace(facts, missing=("flock",)), "error", "apt-get install flock"),
    "memory": (lambda facts: replace(facts, memory=512_000), "error", "512 MB"),
    "clock": (lambda facts: replace(facts, skew=-86_400.0), "error", "24 hours behind ours"),
    "read-only": (lambda facts: replace(facts, unwritable={"/var": "no: Read-only file system"}), "error", "Read-only"),
    "disk": (lambda facts: replace(facts, free={"/": 3 * GB, "/var": 9 * GB}), "error", "12.0 GB are needed"),
    "inodes": (lambda facts: replace(facts, inodes={"/": 12, "/var": 99_999}), "error", "12 inodes"),
    "dpkg": (lambda facts: replace(facts, interrupted="libc6"), "error", "dpkg --configure -a"),
    "dns": (lambda facts: replace(facts, unresolved=("deb.example.org",)), "error", "deb.example.org"),
    "dns-policy": (lambda facts: replace(facts, unresolved_policy=("nvidia.example",)), "warning", "nvidia.example"),
    "gpu-count": (lambda facts: replace(facts, gpus=facts.gpus[:1]), "error", "1 of the 2 GPUs"),
    "gpu-model": (lambda facts: replace(facts, gpus=(Gpu("a", "17c2"),) * 2), "warning", "Maxwell GPU (10de:17c2)"),
    "gpu-driver": (lambda facts: replace(facts, gpus=(Gpu("a", "2901"),) * 2), "error", "Blackwell"),
    "gpu-unknown": (lambda facts: replace(facts, gpus=(Gpu("a", "4000"),) * 2), "warning", "10de:4000"),
    "runfile": (
        lambda facts: replace(facts, runfiles=("/usr/bin/nvidia-uninstall",)),
        "error",
        "sudo nvidia-uninstall",
    ),
    "secure-boot": (lambda facts: replace(facts, secure_boot=True), "error", "enrol a key"),
    "nouveau": (lambda facts: replace(facts, nouveau=True), "warning", "nouveau"),
    "managed": (lambda facts: replace(facts, managers=("Puppet /etc/puppet/puppet.conf",)), "warning", "Puppet"),
}


@pytest.mark.parametrize("rule", MISFITS)
def test_a_machine_that_does_not_fit(rule: str) -> None:
    change, level, words = MISFITS[rule]
    found = [problem for problem in judge(change(FIT), WISH) if problem.rule == rule]
    assert len(found) == 1 and found[0].level == level and words in found[0].text(), found
    assert found[0].what.startswith("titan-01 ") and found[0].where == "cluster.yaml:9"
    assert level == "warning" or (found[0].why and found[0].fix)


def test_all_that_does_not_fit_is_said_at_once() -> None:
    worst = FIT
    for rule in MISFITS:
        worst = MISFITS[rule][0](worst)
    with pytest.raises(NodeUnfit) as caught:
        stop(judge(worst, WISH))
    levels = [problem.level for problem in caught.value.problems]
    assert levels.count("error") >= 11 and levels == sorted(levels), "what stops comes first"


def test_what_makes_a_misfit_fit() -> None:
    def rules(facts: Facts, wish: Wish = WISH) -> set[str]:
        return {problem.rule for problem in judge(facts, wish) if problem.level == "error"}

    debian = replace(FIT, os_id="debian", os_version="12")
    assert rules(debian, replace(WISH, allow_os=True)) == set()
    assert rules(replace(debian, node={"digest": "a"})) == set(), "somebody allowed it when it was brought first"
    assert rules(replace(debian, os_id="fedora"), replace(WISH, allow_os=True)) == {"os"}
    assert rules(replace(FIT, secure_boot=True, key_enrolled=True)) == set()
    small = replace(FIT, free={"/": 3 * GB, "/var": 3 * GB})
    assert rules(small) == {"disk"} and rules(replace(small, node={"digest": "a"})) == set()
    cut = {"id": "a", "digest": "b"}
    assert rules(replace(FIT, interrupted="", job=cut)) == set(), "our own job was cut off: the next one mends it"
    assert rules(replace(FIT, interrupted="", job={**cut, "rc": "record 0"})) == {"dpkg"}


@pytest.mark.parametrize(
    ("device", "nvidia", "module", "fix"),
    [
        ("1b00", Nvidia(driver="590", cuda="12.9"), "proprietary", 'driver: "580"'),
        ("1b00", Nvidia(driver="580", cuda="13.0"), "proprietary", 'cuda: "12.9" or older'),
        ("17c2", Nvidia(driver="580", cuda="12.9"), "open", "module: proprietary"),
        ("2901", Nvidia(driver="550", cuda="12.4"), "open", 'driver: "570" or newer'),
        ("102d", Nvidia(driver="470", cuda="12.0"), "proprietary", 'cuda: "11.8" or older'),
    ],
)
def test_driver_toolkit_and_module_must_fit_the_chip(device: str, nvidia: Nvidia, module: str, fix: str) -> None:
    wish = replace(WISH, profile=Profile(nvidia=nvidia), module=module, gpus=None)
    found = judge(replace(FIT, gpus=(Gpu("0000:01:00.0", device),)), wish)
    assert [problem.rule for problem in found] == ["gpu-driver"] and fix in found[0].fix, found


def test_the_chips_are_those_of_the_cookbook() -> None:
    ruby = (Path(__file__).parents[2] / "chef/cookbooks/nvidia/libraries/gpus.rb").read_text()
    theirs = {
        name: {tuple(int(end, 16) for end in pair) for pair in re.findall(r"(0x[0-9a-f]+)\.\.(0x[0-9a-f]+)", blocks)}
        for name, blocks in re.findall(r"Architecture\.new\('(\w+)', .*?\[(0x.*?)\]\)", ruby)
    }
    assert {family.name: set(blocks) for family, blocks in chips.BLOCKS} == theirs
    assert str(chips.architecture("1B00")) == "Pascal" and chips.architecture("zz") is None


# --- preflight.sh on a made-up root


def tree(root: Path, files: dict[str, str]) -> None:
    for path, text in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)


def preflight(root: Path, *words: str, digest: str = "d1") -> Facts:
    done = subprocess.run(
        ["sh", "-c", scripts.text("preflight"), "sh", digest, "0", "", *(words or ("quick",))],
        env={"INFRA_ROOT": str(root), "PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return parse(done.stdout.splitlines(), 0)


MACHINE = {
    "proc/sys/kernel/random/boot_id": "boot-1\n",
    "proc/sys/kernel/hostname": "titan-01\n",
    "proc/meminfo": "MemTotal:       65000000 kB\n",
    "proc/modules": "nouveau 1 0 - Live\n",
    "etc/os-release": 'PRETTY_NAME="Ubuntu 24.04.1 LTS"\nID=ubuntu\nVERSION_ID="24.04"\n',
    "sys/bus/pci/devices/0000:01:00.0/vendor": "0x10de\n",
    "sys/bus/pci/devices/0000:01:00.0/class": "0x030000\n",
    "sys/bus/pci/devices/0000:01:00.0/device": "0x1b00\n",
    "sys/bus/pci/devices/0000:01:00.1/vendor": "0x10de\n",  # its sound
    "sys/bus/pci/devices/0000:01:00.1/class": "0x040300\n",
    "sys/bus/pci/devices/0000:01:00.1/device": "0x10ef\n",
    "etc/salt/minion": "",
    "var/lib/dpkg/status": "Package: libc6\nStatus: install ok half-configured\n",
    "var/lib/infra/node.json": '{\n  "converged": "2026-11-22T01:02:03Z",\n  "digest": "d1",\n  "origin": "image"\n}\n',
}


def test_preflight_reads_the_machine(tmp_path: Path) -> None:
    tree(tmp_path, MACHINE)
    efi = tmp_path / "sys/firmware/efi/efivars"
    efi.mkdir(parents=True)
    (efi / "SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c").write_bytes(b"\x06\x00\x00\x00\x01")
    facts = preflight(tmp_path, digest="d2")
    assert (facts.os_id, facts.os_version, facts.boot, facts.memory) == ("ubuntu", "24.04", "boot-1", 65_000_000)
    assert facts.gpus == (Gpu("0000:01:00.0", "1b00"),) and facts.nouveau and facts.secure_boot
    assert facts.managers == ("Salt /etc/salt/minion",) and (facts.interrupted or "").split() == ["libc6"]
    assert facts.node["origin"] == "image" and facts.digest == "d1" and not facts.same
    assert facts.free["/"] > 0 and facts.unwritable == {} and facts.skew > 1e9
    assert not list(tmp_path.rglob(".infra.*")), "nothing is left behind"


@pytest.mark.parametrize(
    ("files", "same"),
    [
        ({}, True),
        ({"var/lib/infra/report.json": '{\n  "status": "converged",\n  "exit": 0,\n  "digest": "d1",\n}\n'}, True),
        ({"var/lib/infra/report.json": '{\n  "status": "failed",\n  "exit": 1,\n  "digest": "d1",\n}\n'}, False),
        ({"var/lib/infra/report.json": '{\n  "status": "converged",\n  "exit": 0,\n  "digest": "d2",\n}\n'}, False),
        ({"var/lib/infra/node.json": '{\n  "converged": "",\n  "digest": "d1"\n}\n'}, False),
        ({"run/reboot-required": "infra: a driver\n"}, False),
        ({"var/lib/infra/drained": ""}, False),
    ],
)
def test_when_there_is_nothing_to_do(tmp_path: Path, files: dict[str, str], same: bool) -> None:
    tree(tmp_path, {**MACHINE, **files})
    assert preflight(tmp_path).same is same
    assert not preflight(tmp_path, "force").same


def test_drift_is_something_to_do(tmp_path: Path) -> None:
    tree(tmp_path, {**MACHINE, "var/lib/infra/manifest.tsv": "a\n"})
    manifest = tmp_path / "var/lib/infra/policy/d1/bin/manifest"
    tree(tmp_path, {"var/lib/infra/policy/d1/bin/manifest": "#!/bin/sh\nprintf '< sysctl\\tx\\t1\\n'; exit 2\n"})
    manifest.chmod(0o755)
    assert preflight(tmp_path).same, "a quick look does not look"
    facts = preflight(tmp_path, "drift")
    assert not facts.same and facts.drift == ("< sysctl x 1",)


def test_names_that_a_policy_needs(tmp_path: Path) -> None:
    text = """\
version: 1
cluster: lab
profiles:
  gpu: {nvidia: {driver: "580"}, docker: {}, run_list: ["recipe[nvidia]", "recipe[docker]"]}
  mirror:
    nvidia: {driver: "580"}
    run_list: ["recipe[nvidia]"]
    attributes: {infra: {repositories: {nvidia: {uri: "http://mirror.lab/cuda/"}}}}
  disk: {docker: {}, run_list: ["recipe[docker]"], attributes: {infra: {repositories: {docker: {uri: "file:///srv"}}}}}
  bare: {nvidia: {driver: "580"}}
"""
    loaded = load(tmp_path / "cluster.yaml", text=text)
    found = {name: sources.hosts(of(loaded, name)) for name in loaded.cluster.profiles}
    assert found == {
        "gpu": ("download.docker.com", "developer.download.nvidia.com"),
        "mirror": ("mirror.lab",),
        "disk": (),
        "bare": (),
    }


def test_half_an_answer_is_none() -> None:
    with pytest.raises(Incomplete):
        parse(["clock\t1", "boot\tb"], 0)
    assert parse(["node\t{broken", "end\tok"], 0).node == {}


# --- The client


def test_what_a_package_is(tmp_path: Path) -> None:
    made = deb.build(tmp_path, "cinc", "18.5.0-1")
    assert client.about(made) == ("cinc", "18.5.0-1", "amd64")
    made.rename(renamed := tmp_path / "client.deb")
    assert client.about(renamed) == ("cinc", "18.5.0-1", "amd64"), "by what is inside"
    (named := tmp_path / "chef_18.1-1_arm64.deb").write_bytes(b"!<arch>\n" + b"x" * 40)
    assert client.about(named) == ("chef", "18.1-1", "arm64"), "else by its name"


def test_which_client_is_needed(tmp_path: Path) -> None:
    package = Package(tmp_path / "a.deb", "5" * 64, "cinc", "18.5.0-1")
    loaded = lab(tmp_path)
    has = replace(FIT, clients={"cinc": "18.5.0-1"}, program="/opt/cinc/bin/cinc-client")

    def needed(facts: Facts, given: Package | None = package) -> bool:
        return client.needed(given, facts, loaded, NODE)[0] is not None

    assert needed(FIT) and not needed(has) and needed(replace(has, clients={"cinc": "18.4.0-1"}))
    assert not needed(replace(has, clients={"cinc": "?"}, client_sha256="5" * 64))
    assert needed(replace(FIT, client_sha256="5" * 64)), "the note outlived the client"
    assert "keeps the client that it has (cinc 18.5.0-1)" in client.needed(None, has, loaded, NODE)[1]
    with pytest.raises(SpecError) as caught:
        client.needed(None, FIT, loaded, NODE)
    assert "chef: {url:" in caught.value.text() and "--client-package" in caught.value.text()
    with pytest.raises(NodeUnfit):
        client.why_run_needs(package, NODE)


def test_a_package_of_the_command_line(tmp_path: Path) -> None:
    path = deb.build(tmp_path, "cinc", "18.5.0-1")
    digest = client.sha256_of(path.read_bytes())
    found = Packages(lab(tmp_path), path, digest).of("gpu", "aarch64")
    assert found and (found.sha256, found.version) == (digest, "18.5.0-1") and found.read() == path.read_bytes()
    with pytest.raises(InfraError, match="sha256 of the client's package is not given"):
        Packages(lab(tmp_path), path).of("gpu", "x86_64")
    with pytest.raises(InfraError, match="is not the one that --client-sha256 names"):
        Packages(lab(tmp_path), path, "0" * 64).of("gpu", "x86_64")
    assert found.read() is found.read(), "once for all nodes"
    path.write_bytes(b"other")
    with pytest.raises(InfraError, match="changed while it was in use"):
        Package(path, digest).read()
    assert Packages(lab(tmp_path)).of("gpu", "x86_64") is None


# --- A job as it is told


def told(*lines: str) -> tuple[Story, list[dict[str, Any]]]:
    story, events = Story(), list[dict[str, Any]]()
    for line in lines:
        story.hear(line, events.append)
    return story, events


def test_a_story() -> None:
    story, events = told(
        "= stage client",
        "= started 1a2b",
        "+ converge\tpackage[a]",
        "|one",
        "|",
        "|three",
        "= state ended converge 37",
        'r|{"total": 3, "updated_count": 1,',
        'r|"updated": [{"resource": "package[a]", "depth": 0}]}',
        "d|< sysctl\tx\t1",
        "not ours",
    )
    assert (story.id, story.state, story.stage, story.code, story.seen) == ("1a2b", "ended", "converge", 37, 3)
    assert list(story.tail) == ["one", "three"] and story.left == ("< sysctl\tx\t1",)
    assert story.value("r")["total"] == 3 and story.value("s") == {}
    assert events[2] == {"type": "beat", "stage": "converge", "text": "package[a]"}
    assert told("= state running")[0].state == "" and told("= state rebooted b2")[0].boot == "b2"
    assert told("! busy\tada@lab\tnow\td\tconverge")[0].refused[0].split("\t")[1] == "ada@lab"


def test_failures_in_words(tmp_path: Path) -> None:
    policy = of(lab(tmp_path), "gpu")
    failed = (
        f'r|{{"digest": "{policy.digest}", "failed": {{"resource": "package[a]", "action": "install", "class": "Err",'
        f' "where": "/var/lib/infra/policy/{policy.digest}/bin/converge:7", "message": "E: no such package"}}}}'
    )

    def ends(kind: type[InfraError], *lines: str) -> Problem:
        with pytest.raises(kind) as caught:
            failures.check(NODE, told(*lines)[0], policy)
        return caught.value.problems[0]

    for well in ("= state ended record 0", "= state ended converge 0", "= state ended converge 35"):
        failures.check(NODE, told(well)[0], policy)
    problem = ends(NodeFailed, "= state ended converge 1", failed)
    assert problem.what == "titan-01 failed at package[a] (action install)"
    assert problem.where.endswith("/chef/bin/converge:7") and Path(problem.where.partition(":")[0]).is_file()
    assert problem.why == "Err:\nE: no such package" and failures.LOG in problem.fix
    assert "FATAL: x" in ends(NodeFailed, "|FATAL: x", "= state ended converge 9").why, "it left no report of its own"
    assert "another converge" in ends(NodeBusy, "|another converge is at work", "= state ended converge 75").why
    assert "CHEF_LICENSE" in ends(NodeFailed, "= state ended converge 172").fix
    assert "did not end" in ends(NodeFailed, "= state ended converge 124").what
    assert "could not be recorded" in ends(NodeFailed, "= state ended record 1").what
    assert "was killed" in ends(NodeFailed, "|last words", "= state lost").what
    smoke = ends(
        NodeFailed, "= state ended smoke 1", 's|{"checks": [{"name": "units", "status": "FAIL", "what": "failed: x"}]}'
    )
    assert smoke.what.endswith("its smoke test failed: units") and smoke.why == "units: failed: x"
