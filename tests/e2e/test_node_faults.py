"""Bad input and faults, each tried on a machine by the command line: see docs/node-faults.md for what each printed."""

from __future__ import annotations

import random
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.bed import Bed, Machine
from tests.bed.relay import relay
from tests.conftest import Infra
from tests.e2e.bring_rig import Rig
from tests.e2e.node_faults import PAGE, Book, Faults, after, broken, cut, line_of, outcome

CUTS, MACHINES, SEED = 20, 5, 4
BOOK = Book()


@pytest.fixture(scope="module")
def faults(
    bed_root: None, session_environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Faults]:
    """Five machines that were brought to a policy once; they are shared by the tests."""
    folder = tmp_path_factory.mktemp("faults")
    (folder / "lab").mkdir()
    infra = Infra(folder / "lab", {**session_environment, "INFRA_LOCAL_DIR": str(folder / "aws")})
    with Bed() as bed:
        made = Faults(Rig.of(infra, bed, folder, MACHINES), BOOK)
        made.rig("bootstrap", "all", "--yes")
        yield made


@pytest.fixture
def box(faults: Faults) -> Machine:
    """The first machine, with another policy to be brought to."""
    faults.fresh(faults.rig.machine)
    return faults.rig.machine


# --- Who may come in


def test_the_wrong_key(faults: Faults, box: Machine, tmp_path: Path) -> None:
    had = str(faults.rig.node(box)["digest"])
    key = tmp_path / "id"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
    ran = faults.rig.infra("node", "converge", "node0", "-i", str(key), "--allow-os", code=1)
    faults.stopped("wrong key", "another key with `-i`", box, ran, had=had)
    faults.mended(box)


def test_a_changed_host_key(faults: Faults, box: Machine) -> None:
    had = str(faults.rig.node(box)["digest"])
    file = faults.rig.infra.folder / "cluster.yaml"
    right = file.read_text()
    file.write_text(right.replace(faults.rig.machines[0].host_key, faults.rig.machines[1].host_key, 1))
    ran = faults.rig("converge", "node0", code=1)
    assert ran.err.count("SHA256:") >= 2, ran.err  # both fingerprints
    faults.stopped("changed host key", "another machine's key under `host_key`", box, ran, had=had)
    file.write_text(right)
    faults.mended(box)


def test_no_sudo(faults: Faults, box: Machine) -> None:
    had = str(faults.rig.node(box)["digest"])
    with broken(box, "deluser -q ops sudo || gpasswd -d ops sudo", "gpasswd -a ops sudo"):
        ran = faults.rig("converge", "node0", code=1)
        faults.stopped("no sudo", "the account taken out of the group sudo", box, ran, "sudo", had=had)
    faults.mended(box)


def test_a_wrong_sudo_password(faults: Faults, box: Machine) -> None:
    had = str(faults.rig.node(box)["digest"])
    ran = faults.rig("converge", "node0", code=1, INFRA_SUDO_PASSWORD="not-the-one")
    assert "not-the-one" not in ran.all
    faults.stopped("sudo password wrong", "`INFRA_SUDO_PASSWORD`", box, ran, "password", had=had)
    faults.mended(box)


def test_a_pattern_that_matches_nothing(faults: Faults, box: Machine) -> None:
    had = str(faults.rig.node(box)["digest"])
    ran = faults.rig("converge", "noed0", code=1)
    faults.stopped("a name pattern that matches nothing", "`infra node converge noed0`", box, ran, "node0", had=had)
    faults.mended(box)


# --- What the account is like: none of it is an obstacle


def test_a_noisy_bashrc_and_no_python(faults: Faults, box: Machine) -> None:
    assert box.run("command -v python3 python python2 || echo none").out.strip() == "none"
    noise = "echo 'Welcome to titan'; printf '\\033[31mred\\033[0m'; seq 1 3; echo oops >&2\n"
    with broken(box, f"cat >/home/ops/.bashrc <<'END'\n{noise}END", "rm /home/ops/.bashrc"):
        said = faults.rig("converge", "node0")
    faults.works("noisy .bashrc on stdout", "lines, colours and numbers", box, line_of(said.out, "node0  ✓"))
    faults.works("no python on the node", "the machines have none", box, line_of(said.out, "node0  ✓"))


@pytest.mark.parametrize("shell", ["fish", "tcsh"])
def test_a_login_shell_of_another_kind(faults: Faults, box: Machine, shell: str) -> None:
    url = faults.rig.bed.packages([shell], name=shell)
    box.put(f"deb [trusted=yes] {url} ./\n", "/etc/apt/sources.list")
    box.run(f"apt-get -qq update && DEBIAN_FRONTEND=noninteractive apt-get -qq install -y {shell}", timeout=300)
    box.run(": >/etc/apt/sources.list; rm -rf /var/lib/apt/lists/*")
    with broken(box, f"usermod -s /usr/bin/{shell} ops", "usermod -s /bin/bash ops"):
        said = faults.rig("converge", "node0")
    faults.works(f"account with {shell} as its shell", "`usermod -s`", box, line_of(said.out, "node0  ✓"))


# --- What is wrong on the machine


SYSTEM = {
    "read-only /var": (
        "mount --bind /var /var && mount -o remount,bind,ro /var",
        "umount -l /var",
        "`mount -o remount,bind,ro /var`",
        "/var",
    ),
    "full /var": (
        "mount -t tmpfs -o size=64k tmpfs /var/lib/infra/policy",
        "umount -l /var/lib/infra/policy",
        "a file system of 64 KB at /var/lib/infra/policy: it fills while the archive comes",
        "No space left on device",
    ),
    "clock off by a day": (
        'printf \'#!/bin/sh\\n[ "$1" = +%%s ] && exec /bin/date -d "1 day" +%%s; exec /bin/date "$@"\\n\' '
        ">/usr/local/bin/date; chmod 755 /usr/local/bin/date",
        "rm /usr/local/bin/date",
        "a wrapper of `date` on PATH that adds a day (a machine shares its host's clock)",
        "clock",
    ),
    "an archive damaged in transfer": (
        "printf '#!/bin/sh\\n[ $# = 0 ] || exec /usr/bin/sha256sum \"$@\"\\n{ cat; echo x; } | /usr/bin/sha256sum\\n' "
        ">/usr/local/sbin/sha256sum; chmod 755 /usr/local/sbin/sha256sum",
        "rm /usr/local/sbin/sha256sum",
        "a wrapper of `sha256sum` that sees one byte more (SSH itself lets none pass)",
        "its sha256 there is another than here",
    ),
}


@pytest.mark.parametrize("fault", SYSTEM)
def test_the_machine_is_ill(faults: Faults, box: Machine, fault: str) -> None:
    how, back, made, word = SYSTEM[fault]
    had = str(faults.rig.node(box)["digest"])
    with broken(box, how, back):
        ran = faults.rig("converge", "node0", code=1)
    faults.stopped(fault, made, box, ran, word, had=had)
    faults.mended(box)


def test_names_that_cannot_be_resolved(faults: Faults, box: Machine) -> None:
    had = str(faults.rig.node(box)["digest"])
    file = faults.rig.infra.folder / "cluster.yaml"
    right = file.read_text()
    file.write_text(right.replace(f"address: {box.address}", "address: node0.invalid", 1))
    ran = faults.rig("converge", "node0", code=1)
    faults.stopped("DNS that fails, here", "`address: node0.invalid`", box, ran, "node0.invalid", had=had)
    file.write_text(right)
    sources = "/etc/apt/sources.list"
    with broken(box, f"echo 'deb http://deb.example.invalid/debian stable main' >{sources}", f": >{sources}"):
        ran = faults.rig("converge", "node0", code=1)
    made = "a repository in sources.list whose name no server knows"
    faults.stopped("DNS that fails, there", made, box, ran, "deb.example.invalid", had=had)
    faults.mended(box)


def test_the_lock_of_dpkg_is_held(faults: Faults, box: Machine) -> None:
    had = str(faults.rig.node(box)["digest"])
    hold = (
        "use Fcntl; open(F, '>>', '/var/lib/dpkg/lock-frontend'); "
        "my $all = pack('s s x4 q q l', F_WRLCK, 0, 0, 0, 0); fcntl(F, F_SETLK, $all) or die $!; sleep 600"
    )
    box.put(hold, "/tmp/hold.pl")
    with broken(box, "setsid perl /tmp/hold.pl >/dev/null 2>&1 & sleep 0.5", "pkill -x perl; sleep 0.2"):
        ran = faults.rig("converge", "node0", "--wait", "2", code=1)
    made = "a process with a POSIX lock on lock-frontend; `--wait 2`"
    faults.stopped("dpkg lock held", made, box, ran, "perl", had=had)
    faults.mended(box)


def test_a_resource_that_fails(faults: Faults, box: Machine) -> None:
    had = str(faults.rig.node(box)["digest"])
    faults.rig.client.told(box, 'fail="apt_package[nvidia-driver-580]"')
    ran = faults.rig("converge", "node0", code=1)
    faults.rig.client.told(box)
    made = "the stand-in fails there, with apt's last lines"
    faults.stopped(
        "a resource that fails", made, box, ran, "apt_package[nvidia-driver-580]", "Unable to locate", had=had
    )
    faults.mended(box)


# --- The line


def test_a_machine_that_hangs_in_its_banner(faults: Faults, box: Machine) -> None:
    had = str(faults.rig.node(box)["digest"])
    file = faults.rig.infra.folder / "cluster.yaml"
    right = file.read_text()
    with relay((box.address, 22), silent=True) as way:
        file.write_text(right.replace(f"address: {box.address}", f"address: {way.host}, port: {way.port}", 1))
        began = time.monotonic()
        ran = faults.rig("converge", "node0", code=1)
        assert time.monotonic() - began < 60
    faults.stopped(
        "node that hangs in the SSH banner", "a port that takes connections and is silent", box, ran, had=had
    )
    file.write_text(right)
    faults.mended(box)


def test_a_machine_that_is_off(faults: Faults, box: Machine) -> None:
    box.power("off")
    ran = faults.rig("converge", "node0", code=1)
    faults.stopped("a machine that is off", "the plug pulled", box, ran)
    box.power("on")
    box.wait()
    faults.mended(box)


def test_a_slow_line(faults: Faults, box: Machine) -> None:
    file = faults.rig.infra.folder / "cluster.yaml"
    right = file.read_text()
    with relay((box.address, 22), delay=0.2) as way:
        file.write_text(right.replace(f"address: {box.address}", f"address: {way.host}, port: {way.port}", 1))
        began = time.monotonic()
        said = faults.rig("converge", "node0")
        took = time.monotonic() - began
    file.write_text(right)
    shown = line_of(said.out, "node0  ✓")
    faults.works("a link with 200 ms of delay", "a relay in user space, 200 ms each way", box, shown)
    assert took < 60


def test_a_link_that_is_down_for_ten_seconds(faults: Faults, box: Machine) -> None:
    calls = faults.rig.calls(box)
    faults.rig.client.told(box, 'sleep=14\nresources="package[c]"')
    process = faults.rig.begin("converge", "node0", "--details")
    faults.rig.working(calls, box)
    box.link("down")
    time.sleep(10)
    box.link("up")
    ran = outcome(process)
    assert ran.code == 0 and faults.rig.calls(box) == calls + 1, ran.all
    shown = line_of(ran.all, "trying again", "connected again", "node0  ✓")
    faults.works("a link that goes down for ten seconds", "`ip link set eth0 down`, in the converge", box, shown)


def test_a_machine_that_restarts_in_the_middle(faults: Faults, box: Machine) -> None:
    calls = faults.rig.calls(box)
    faults.rig.client.told(box, 'sleep=5\nresources="package[c]"')
    process = faults.rig.begin("converge", "node0", "--details")
    faults.rig.working(calls, box)
    box.reboot()
    ran = outcome(process)
    assert ran.code == 0 and faults.rig.calls(box) == calls + 2, ran.all
    shown = line_of(ran.all, "restarted in the middle", "node0  ✓")
    faults.works("node that reboots mid-converge", "`systemctl reboot`", box, shown)


def test_two_operators_at_once(faults: Faults, box: Machine) -> None:
    had = str(faults.rig.node(box)["digest"])
    calls = faults.rig.calls(box)
    faults.rig.client.told(box, 'sleep=8\nresources="package[c]"')
    ada = faults.rig.begin("converge", "node0", LOGNAME="ada", USER="ada")
    faults.rig.working(calls, box)
    ran = faults.rig("converge", "node0", code=1, LOGNAME="eve", USER="eve")
    faults.stopped("two operators at once on one node", "the second while the first converges", box, ran, had=had)
    assert outcome(ada).code == 0 and faults.rig.calls(box) == calls + 1
    faults.mended(box)


def test_cut_at_twenty_random_points(faults: Faults) -> None:
    """Five machines at once, four times over, each cut at a moment of its own."""
    chance = random.Random(SEED)
    ended: list[str] = []
    shown = ""
    for turn in range(CUTS // MACHINES):
        faults.policy()
        had = {machine.name: faults.rig.node(machine)["digest"] for machine in faults.rig.machines}
        begun, cuts = [], []
        for number, machine in enumerate(faults.rig.machines):
            faults.rig.client.told(machine, 'sleep=5\nresources="package[c]"')
            kind = "reset" if (turn + number) % 2 else "drop"
            begun.append(faults.rig.begin("converge", machine.name))
            cuts.append(after(0.4 + chance.random() * 6, cut, machine, 1.5, kind))
        for machine, process in zip(faults.rig.machines, begun, strict=True):
            ran = outcome(process)
            node = faults.rig.node(machine)
            if ran.code == 0:
                faults.there(machine)
                ended.append("went on by itself")
            else:
                assert ran.code == 1 and "fix: " in ran.err, ran.all
                assert node["digest"] == had[machine.name] or not node["converged"] or is_there(faults, machine)
                shown = shown or ran.err
                ended.append("stopped")
        for thread in cuts:
            thread.join()
        faults.rig("converge", "all", "--yes", "--max-unavailable", "100%")
        for machine in faults.rig.machines:
            faults.there(machine)
            left = machine.run("ls -A /var/lib/infra /var/lib/infra/policy").out.split()
            assert not [name for name in left if name.startswith(".new") or name.endswith(".deb")], left
    assert len(ended) == CUTS
    count = ended.count("went on by itself")
    made = f"nft in the machine's namespace, resets and silence by turns, at random moments (seed {SEED})"
    text = f"{count} of {CUTS} went on by themselves" + (f"; else: {shown}" if shown else "")
    BOOK.note(
        "connection cut at 20 random points", made, 0 if count == CUTS else 1, text, "the same command: converged"
    )


def is_there(faults: Faults, machine: Machine) -> bool:
    """Converged in the end, though the operator was told that it is not known."""
    faults.there(machine)
    return True


def test_the_page_has_every_fault() -> None:
    if not BOOK.rows:
        pytest.skip("the faults were not tried")
    BOOK.write()
    page = PAGE.read_text()
    missing = [fault for fault in BOOK.rows if f"\n| {fault} | " not in page]
    assert not missing, "write the page anew: INFRA_GOLDEN=write pytest tests/e2e/test_node_faults.py"
