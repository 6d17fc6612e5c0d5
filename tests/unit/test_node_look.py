"""What look.sh prints, read; and what of it is worth a word."""

from __future__ import annotations

import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from infra.node import scripts
from infra.node.inventory.look import Look, Report, declared, health, parse
from infra.node.model import Node

BOX = Node("titan-01", "metal", "titan", "gpu", "ubuntu", gpus="2 × titan-x-pascal")
DIGEST = "3f9a1c" + "0" * 58
SAID = f"""\
node\t{{"profile": "gpu", "digest": "{DIGEST}",
node\t "converged": "2026-11-22T07:00:00Z", "origin": "bootstrap"}}
current\t{DIGEST}
report\t{{
report\t  "status": "failed",
report\t  "exit": 1,
report\t  "updated_count": 3,
report\t  "total": 40,
report\t  "failed": {{
report\t    "resource": "package[nvidia]",
report\t    "message": "no such\\npackage"
report\t  }}
report\t}}
baseline\tyes
reboot\tyes
boot\t15162c6b-3643-4421-aea8-306275442d39
uptime\t27252.40
kernel\t6.8.0-1\thost
os.ID\tubuntu
os.VERSION_ID\t22.04
gpu\t10de:1b00
gpu\t10de:1b00
driver\tNVRM version: NVIDIA UNIX x86_64 Kernel Module  580.65.06  Sun Jul 27 07:09:35 UTC 2025
driven\t0000:3b:00.0
var\tread-only /
var\twritable /var
disk\t/dev/sda1 95 /
disk\t/dev/sda1 95 /var
disk\t/dev/sdb1 12 /home
failed\tsnapd.service
<\tsysctl\tvm.swappiness\t10
>\tsysctl\tvm.swappiness\t60
drift\t2
end\tend
"""


def test_parse() -> None:
    seen = parse(SAID)
    assert (seen.digest, seen.profile, seen.origin, seen.current) == (DIGEST, "gpu", "bootstrap", DIGEST)
    assert seen.report == Report("failed", 1, "", "", 40, 3, "package[nvidia]", "no such\npackage")
    assert (seen.baseline, seen.reboot_pending, seen.uptime, seen.os) == (True, True, 27252.4, "ubuntu-22.04")
    assert (seen.gpu_words, seen.driver, seen.driven) == ("2 × 10de:1b00", "580.65.06", 1)
    assert (seen.full, seen.failed) == ({"/": 95, "/home": 12}, ("snapd.service",))
    assert not seen.read_only
    assert seen.drift == ("<\tsysctl\tvm.swappiness\t10", ">\tsysctl\tvm.swappiness\t60")


@pytest.mark.parametrize(
    "text", ["", "node\tnot json\nreport\t[1]\n", "uptime\tx\ndisk\t/dev/sda1\nnode\t{", "\t\n\t\t"]
)
def test_what_is_damaged_counts_as_not_there(text: str) -> None:
    seen = parse(text)
    assert (seen.digest, seen.report, seen.drift) == ("", None, None)


def test_the_one_line_for_everybody() -> None:
    """Who may not read the report still knows how the last converge ended."""
    seen = parse(f"status\tfailed\t1\t{DIGEST}\t2026-11-22T07:00:00Z\tpackage[nvidia]\n")
    assert seen.report == Report("failed", 1, DIGEST, "2026-11-22T07:00:00Z", failed="package[nvidia]")
    assert parse("status\thidden\n").report is None
    assert parse("status\tconverged\n").report is None


@pytest.mark.parametrize(
    "lines, wanted",
    [
        (["writable /"], False),
        (["read-only /"], True),
        (["read-only /", "writable /var"], False),
        (["writable /", "writable /var/lib", "read-only /var"], False),
        (["writable /", "writable /var", "read-only /var"], True),
        ([], False),
    ],
)
def test_read_only(lines: list[str], wanted: bool) -> None:
    assert parse("".join(f"var\t{line}\n" for line in lines)).read_only is wanted


@pytest.mark.parametrize("code, wanted", [("0", ()), ("2", ()), ("74", None), ("", None)])
def test_no_drift_is_not_no_answer(code: str, wanted: tuple[str, ...] | None) -> None:
    assert parse(f"drift\t{code}\n").drift == wanted


WELL = Look(
    digest=DIGEST,
    current=DIGEST,
    converged="2026-11-22T07:00:00Z",
    report=Report("converged", digest=DIGEST),
    gpus=("10de:1b00",) * 2,
    driver="580.1",
    driven=2,
)


@pytest.mark.parametrize(
    "seen, words",
    [
        (WELL, ()),
        (Look(gpus=WELL.gpus), ("not bootstrapped",)),
        (replace(WELL, digest="0" * 64, current="0" * 64), ("older policy",)),
        (replace(WELL, gpus=("10de:1b00",), driven=1), ("1 of 2 GPUs on the bus",)),
        (replace(WELL, driven=1), ("the driver has 1 of 2 GPUs",)),
        (replace(WELL, report=Report("running")), ("a converge was cut off",)),
        (replace(WELL, report=Report("running"), busy="process 9, since x"), ("converging (process 9, since x)",)),
        (replace(WELL, report=Report("failed", 43)), ("converge failed (43)",)),
        (replace(WELL, read_only=True, full={"/": 99, "/home": 12}), ("/var is read-only", "/ is 99% full")),
        (replace(WELL, current="1" * 64), ("node.json and the policy in place differ (111111111111)",)),
        (replace(WELL, failed=("a", "b", "c", "d")), ("failed: a, b, c, …",)),
        (replace(WELL, reboot_pending=True), ("reboot needed",)),
    ],
)
def test_health(seen: Look, words: tuple[str, ...]) -> None:
    assert health(BOX, seen, DIGEST) == words


def test_settled() -> None:
    assert WELL.settled(DIGEST)
    assert replace(WELL, report=None).settled(DIGEST), "an image's first start has no report"
    for other in (
        replace(WELL, current=""),
        replace(WELL, converged=""),
        replace(WELL, report=Report("failed", digest=DIGEST)),
        replace(WELL, report=Report("converged", digest="0" * 64)),
        replace(WELL, reboot_pending=True),
        replace(WELL, busy="somebody"),
    ):
        assert not other.settled(DIGEST)
    assert not WELL.settled("0" * 64)


def test_declared() -> None:
    assert [declared(text) for text in ("4 × titan-x-pascal", "8 × A100, 1 × x", "")] == [4, 9, 0]


def test_the_script_runs_anywhere_and_says_it_has_ended(tmp_path: Path) -> None:
    done = subprocess.run(
        ["/bin/sh", "-s", "health"], input=scripts.text("look"), capture_output=True, text=True, timeout=30, check=True
    )
    assert done.stderr == ""
    assert done.stdout.endswith("end\tend\n")
    seen = parse(done.stdout)
    assert seen.boot_id and seen.kernel and seen.uptime > 0 and seen.full


def test_the_report_comes_without_its_long_list(tmp_path: Path) -> None:
    """A first converge has thousands of lines there."""
    state = tmp_path / "infra"
    state.mkdir()
    updated = ",\n".join('    {\n      "resource": "file[x]"\n    }' for _ in range(2000))
    (state / "report.json").write_text(
        f'{{\n  "status": "converged",\n  "updated": [\n{updated}\n  ],\n  "failed": null\n}}\n'
    )
    (state / "node.json").write_text(f'{{"digest": "{DIGEST}"}}')  # no newline at its end
    script = scripts.text("look").replace("state=/var/lib/infra", f"state={state}")
    done = subprocess.run(["/bin/sh"], input=script, capture_output=True, text=True, timeout=30, check=True)
    assert len(done.stdout) < 4000
    seen = parse(done.stdout)
    assert (seen.report and seen.report.status, seen.digest) == ("converged", DIGEST)
