"""Bakes that go wrong, by the real engines: what is said, and that nothing is left that costs or lets anybody in."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
from pathlib import Path

import pytest

from tests.e2e import embedded
from tests.e2e.bakery import Bakery, bakery, converging, debian, left, nothing_left, stop
from tests.e2e.faulty_aws import Refusal

__all__ = ["bakery", "debian"]

SLEEP = "sleep 7777"


def test_ruby_that_cannot_be_read_is_found_before_anything_starts(bakery: Bakery) -> None:
    if shutil.which("ruby") is None:
        pytest.skip("NO RUBY HERE: the converge would find it")
    bakery.lab()
    recipe = bakery.cookbook("mine", "file '/etc/mine' do\n  content 'one'\n\npackage 'x'\n")
    said = bakery.bake(code=1).err
    assert f"{recipe}:" in said and "is not valid Ruby" in said and "nothing was started" in said
    nothing_left(bakery)


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ("echo 'Packer v1.5.6'", ("packer 1.5.6 is too old", "1.6.0 or newer")),
        ("echo 'usage: packer dictionary' >&2; exit 1", ("is not HashiCorp's packer", "usage: packer dictionary")),
        ("", ("packer is not there", "install it")),
    ],
)
def test_no_packer_or_not_the_right_one(bakery: Bakery, tmp_path: Path, script: str, words: tuple[str, ...]) -> None:
    bakery.lab()
    program = tmp_path / "packer"
    if script:
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(0o755)
    said = bakery.bake(code=1, INFRA_PACKER=str(program)).err
    assert all(word in said for word in words), said
    nothing_left(bakery)


def test_a_failed_converge_says_what_failed_and_makes_no_image(bakery: Bakery) -> None:
    bakery.lab(chef=bakery.client("echo 'E: Unable to locate package libmissing'; exit 1"))
    said = bakery.bake(code=1).err
    assert "converging failed" in said and "Unable to locate package libmissing" in said
    assert "packer.log" in said and "Traceback" not in said
    nothing_left(bakery)


def test_a_failing_smoke_test_makes_no_image(bakery: Bakery) -> None:
    listen = "my $s = IO::Socket::INET->new(Listen => 1, LocalPort => 8080) or die; sleep 600"
    bakery.lab(
        chef=bakery.client(f"setsid perl -MIO::Socket::INET -e '{listen}' >/dev/null 2>&1 </dev/null &\nsleep 1")
    )
    said = bakery.bake(code=1).err
    assert "the smoke test failed: ports" in said and "somebody listens on 8080" in said
    nothing_left(bakery)


def test_a_builder_that_dies_while_it_converges(bakery: Bakery) -> None:
    bakery.lab(chef=bakery.client(SLEEP))
    bake = bakery.begin()
    machine = converging(bakery, bake)
    os.kill(machine["pid"], signal.SIGKILL)
    said = bake.communicate(timeout=90)[0]
    assert bake.returncode == 1
    assert "the builder died while it was at work" in said, said
    nothing_left(bakery)


def test_ctrl_c_while_it_converges(bakery: Bakery) -> None:
    bakery.lab(chef=bakery.client(SLEEP))
    bake = bakery.begin()
    converging(bakery, bake)
    said = stop(bake, signal.SIGINT)
    assert bake.returncode == 1
    assert "interrupted" in said and "Ctrl-C" in said and "Traceback" not in said
    nothing_left(bakery)


@pytest.mark.parametrize("changed", [False, True])
def test_a_bake_that_was_killed_is_cleared_away_by_the_next(bakery: Bakery, changed: bool) -> None:
    bakery.lab(chef=bakery.client(SLEEP))
    bake = bakery.begin()
    machine = converging(bakery, bake)
    children = subprocess.run(["pgrep", "-P", str(bake.pid)], capture_output=True, text=True).stdout.split()
    stop(bake, signal.SIGKILL)
    for pid in {*map(int, children)} - {machine["pid"]}:
        kill_group(pid)
    assert bakery.hand().ec2.describe_instances()["Reservations"], "Packer had no time to remove its instance"
    bakery.lab(chef=bakery.client("exit 1"), content="of another digest" if changed else "one")
    said = bakery.bake(code=1)
    assert "an earlier bake" in said.out and "died; removed what it left: instance i-" in said.out
    nothing_left(bakery)


def kill_group(pid: int) -> None:
    """SIGKILL to a Packer and its plugins, which are in one group."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGKILL)


def test_sudo_that_is_refused(bakery: Bakery, debian: Path, tmp_path: Path) -> None:
    strict = tmp_path / "strict"
    subprocess.run(["cp", "-al", str(debian), str(strict)], check=True)
    (strict / "etc/sudoers.d/90-cloud-init-users").unlink()
    bakery.lab()
    said = bakery.bake(code=1, INFRA_BUILD_HOST_ROOT=str(strict)).err
    assert "may not use sudo" in said and "a password is required" in said
    nothing_left(bakery)


def test_a_disk_that_is_full(bakery: Bakery) -> None:
    bakery.lab(chef=bakery.client("true", ballast=12))
    said = bakery.bake(code=1, INFRA_BUILD_HOST_DISK="8m").err
    assert "disk is full" in said and "--disk" in said
    nothing_left(bakery)


def test_two_bakes_of_one_digest(bakery: Bakery) -> None:
    bakery.lab(chef=bakery.client(SLEEP))
    first = bakery.begin()
    converging(bakery, first)
    second = bakery.bake(code=1)
    assert "a bake of tiny" in second.err and "is running already" in second.err
    assert f"process {first.pid} of" in second.err
    assert len(bakery.machines()) == 1, "the first goes on"
    stop(first, signal.SIGINT)
    nothing_left(bakery)


def test_canonicals_image_is_gone(bakery: Bakery) -> None:
    bakery.lab()
    embedded.start(bakery.infra.env)
    ec2 = bakery.hand().ec2
    for image in ec2.describe_images(Owners=["099720109477"])["Images"]:
        if "jammy" in image["Name"]:
            ec2.deregister_image(ImageId=image["ImageId"])
    said = bakery.bake(code=1).err
    assert "Canonical has no image of ubuntu-22.04" in said and "us-west-2" in said
    assert left(bakery) == [] and bakery.images() == []


def test_the_base_goes_between_the_look_and_the_launch(bakery: Bakery) -> None:
    bakery.lab()
    gone = Refusal(
        "InvalidAMIID.NotFound",
        "The image id '[ami-08241543ada12091c]' does not exist",
        when=lambda call: (call.service, call.action) == ("ec2", "RunInstances"),
    )
    with embedded.refusing(bakery.infra.env, [gone]):
        said = bakery.bake(code=1).err
    assert "the base image is gone" in said and "looks for the newest one" in said
    nothing_left(bakery)


def test_aws_refuses_the_instance(bakery: Bakery) -> None:
    bakery.lab()
    full = Refusal(
        "VcpuLimitExceeded",
        "You have requested more vCPU capacity than your current vCPU limit of 0 allows",
        when=lambda call: (call.service, call.action) == ("ec2", "RunInstances"),
    )
    with embedded.refusing(bakery.infra.env, [full]):
        said = bakery.bake(code=1).err
    assert "quota" in said.lower() or "limit" in said.lower()
    nothing_left(bakery)


def test_a_copy_that_fails_leaves_the_others_and_a_rerun_finishes(bakery: Bakery) -> None:
    bakery.lab()
    everywhere = ("--region", "us-west-2", "--region", "us-east-1", "--region", "eu-west-1")
    refused = Refusal(
        "ResourceLimitExceeded",
        "Resource limit exceeded",
        times=6,
        when=lambda call: (call.service, call.action) == ("ec2", "CopyImage"),
    )
    with embedded.refusing(bakery.infra.env, [refused]):
        said = bakery.bake(*everywhere, code=1)
    assert "could not be copied to" in said.err and "it copies only what lacks" in said.err
    nothing_left(bakery, images=1)
    before = bakery.images()[0]["ImageId"]
    again = bakery.bake(*everywhere, "--json").json
    assert again["done"] == "copied" and again["images"][0]["id"] == before
    assert all(len(bakery.images(region)) == 1 for region in ("us-west-2", "us-east-1", "eu-west-1"))


def test_without_a_build_host(bakery: Bakery) -> None:
    bakery.lab()
    bakery.infra("local", "build-host", "down")
    said = bakery.bake(code=1).err
    assert "the build host is not up" in said and "infra local build-host up" in said


def test_the_clients_package_is_another_than_the_pinned_one(bakery: Bakery) -> None:
    section = bakery.client("true")
    bakery.lab(chef=section)
    (bakery.folder / "cinc.deb").write_bytes(b"something else")
    said = bakery.bake(code=1).err
    assert "is not the one that chef.sha256 names" in said
    nothing_left(bakery)
