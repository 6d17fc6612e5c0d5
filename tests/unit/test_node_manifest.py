"""Manifests as text: whole or refused; and the script that makes them knows what changes by itself as the list does."""

from __future__ import annotations

import re
import subprocess
from functools import cache
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra import assets
from infra.errors import NodeFailed
from infra.node.proof import allowed, proof
from infra.node.proof.manifest import parse, readable

SAMPLE = (Path(__file__).parent / "golden/manifest.tsv").read_text(encoding="ascii")


def made(facts: dict[str, str]) -> str:
    """The text of a manifest with these facts."""
    lines = ["infra-manifest\t1", *sorted("\t".join((*name.split(":", 1), value)) for name, value in facts.items())]
    return "".join(f"{line}\n" for line in (*lines, f"end\t{len(lines)}"))


def test_whole() -> None:
    found = parse(SAMPLE, "titan-01")
    assert found.get("sysctl:net.core.somaxconn") == "4096"
    assert found.get("package:libcuda1:amd64").endswith(" held")
    assert found.get("user:ada.uid") and found.get("user:root.password")
    assert found.get("no:such") == ""
    assert parse(SAMPLE, "titan-01").digest == found.digest != parse(made({"a:b": "c"}), "x").digest


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "something else"),
        ("sh: 1: not found\n", "something else"),
        (SAMPLE[: len(SAMPLE) // 2], "cut short"),
        (SAMPLE[:-1], "cut short"),
        (SAMPLE.replace("\nend\t", "\nend\t1"), "cut short"),
        (SAMPLE.replace("infra-manifest\t1", "infra-manifest\t2"), "has format 2, and this is for 1"),
        (SAMPLE.replace("net.core.somaxconn\t4096", "net.core.somaxconn 4096"), "no line of a manifest"),
        (SAMPLE.replace("net.core.somaxconn\t4096", "net.core.somaxconn\t€"), "no line of a manifest"),
        (SAMPLE.replace("infra-manifest\t1\n", "infra-manifest\t1\nextra\tline\tx\n"), "cut short"),
    ],
)
def test_not_whole(text: str, why: str) -> None:
    with pytest.raises(NodeFailed, match="the manifest of titan-01 is not whole") as caught:
        parse(text, "titan-01", "cluster.yaml:9")
    problem = caught.value.problems[0]
    assert why in problem.why and problem.where == "cluster.yaml:9" and problem.fix


def test_what_comes_twice_has_both_values() -> None:
    text = "infra-manifest\t1\netc\tx\t1\netc\tx\t2\nend\t3\n"
    assert parse(text, "a").facts == {"etc:x": "1; 2"}


def escaped(text: str) -> str:
    """As the script writes it."""
    words = {"\\": "\\\\", "\n": "\\n", "\t": "\\t"}
    return "".join(
        words.get(char) or (char if " " <= char <= "~" else "".join(f"\\x{byte:02x}" for byte in char.encode()))
        for char in text
    )


@given(st.text())
def test_readable_is_what_was_meant(text: str) -> None:
    shown = readable(escaped(text))
    assert all(char.isprintable() for char in shown)
    if text.isprintable():
        assert shown == text


def test_readable_lets_nothing_through_that_would_play_with_the_terminal() -> None:
    assert readable("a\\x1b[31m\\n\\xe2\\x80\\xaeb\\xff\\\\x41") == "a\\x1b[31m\\n\\xe2\\x80\\xaeb\\xff\\x41"
    assert readable("/etc/\\xc3\\xbcn\\xc3\\xaf") == "/etc/ünï"


def test_the_script_is_plain_sh() -> None:
    script = assets.root("chef") / "bin/manifest"
    assert script.stat().st_mode & 0o111
    assert script.read_text().isascii() and proof.script() == script.read_text()
    subprocess.run(["sh", "-n", script], check=True, timeout=30)
    asked = subprocess.run(["sh", script, "--frob"], capture_output=True, text=True, timeout=30, check=False)
    assert (asked.returncode, asked.stderr) == (64, "manifest: there is no option '--frob' (manifest --help)\n")


@cache
def rules_by_itself() -> list[tuple[bool, re.Pattern[str]]]:
    """The script's own patterns of what ``--against`` leaves out, each with whether it is for presence alone."""
    rules = re.findall(r"^ +(length\(side\[key\]\) == 1 && )?key ~ /(\^.*\$?)/ \{ next \}$", proof.script(), re.M)
    patterns = [(bool(only), re.compile(text.replace("\\/", "/"))) for only, text in rules if ":" in text]
    assert len(patterns) == 3
    return patterns


def by_itself(name: str, *, presence: bool) -> bool:
    """Whether ``--against`` leaves a fact out."""
    return any(pattern.search(name) and (presence or not only) for only, pattern in rules_by_itself())


def test_the_script_and_the_list_agree_on_what_changes_by_itself() -> None:
    listed = allowed.shipped()
    whats = [what for entry in listed.entries if entry.time for what in entry.what]
    assert len(whats) > 40
    names = [what.replace("*", "some.thing") for what in whats]
    names += [what.replace("*", "") for what in whats]
    names += list(parse(SAMPLE, "a").facts)
    names += [
        "etc:/etc/passwd",
        "etc:/etc/ssh/sshd_config",
        "module:nvidia",
        "module:overlay",
        "module:efa",
        "etc:/etc/x-y",
    ]
    names += [
        "sysctl:net.ipv4.conf.docker0.forwarding",
        "sysctl:net.ipv4.conf.all.forwarding",
        "sysctl:net.ipv4.ip_forward",
    ]
    for name in names:
        for presence, values in ((True, (None, "1")), (False, ("0644 sha256:1", "0644 sha256:2"))):
            assert by_itself(name, presence=presence) == bool(listed.over_time(name, values)), (name, presence)
