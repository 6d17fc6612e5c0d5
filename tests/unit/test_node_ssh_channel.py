"""What is said over one exec channel: the framing, with real shells at the other end and no SSH in between."""

from __future__ import annotations

import hashlib
import itertools
import shutil
import subprocess
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.node.ssh import channel as wire

TOKEN = "infra-0011223344556677"


def taken(out: bytes, cuts: Sequence[int] = ()) -> tuple[wire.Stream, list[tuple[str, str]]]:
    marks: list[tuple[str, str]] = []
    stream = wire.Stream(TOKEN.encode(), lambda word, rest: marks.append((word, rest)))
    places = [0, *sorted(cut % (len(out) + 1) for cut in cuts), len(out)]
    for start, end in itertools.pairwise(places):
        stream.feed(out[start:end])
    return stream, marks


def spoken(shell: str, script: str, *args: str, stdin: bytes = b"") -> tuple[str, str, list[tuple[str, str]]]:
    payload = wire.payload(TOKEN, script, args)
    done = subprocess.run(
        [shell, "-c", wire.command(TOKEN, len(payload), "plain")],
        input=payload + stdin,
        capture_output=True,
        timeout=30,
        check=True,
    )
    out, marks = taken(done.stdout)
    return out.text, taken(done.stderr)[0].text, marks


SHELLS = [shell for shell in ("sh", "bash", "dash", "zsh", "fish", "tcsh", "csh") if shutil.which(shell)]


@pytest.mark.parametrize("shell", SHELLS)
def test_a_script_in_every_shell(shell: str) -> None:
    out, err, marks = spoken(shell, 'printf "%s|" "$@"; echo "it\'s" >&2; exit 7', "a b", "$(id)", "'", "!x\\")
    assert (out, err) == ("a b|$(id)|'|!x\\|", "it's\n")
    assert [word for word, _ in marks] == ["ready", "begin", "end"] and marks[-1] == ("end", "7")


@given(st.lists(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])), max_size=4))
def test_any_words_arrive(words: list[str]) -> None:
    out, _, _ = spoken("sh", 'printf "%s\\1" "$@"', *words)
    assert out == "".join(f"{word}\1" for word in words or [""])


def test_blobs_follow_the_script_on_stdin() -> None:
    first, second = b"\0\1\2line\n" * 999, b""
    stdin = wire.header(first) + first + wire.header(second) + second
    script = "infra_blob one | sha256sum; infra_blob two >/dev/null; cat; echo done"
    out, _, marks = spoken("sh", script, stdin=stdin + b"left alone")
    assert out.split() == [hashlib.sha256(first).hexdigest(), "-", "done"]
    assert [rest for word, rest in marks if word == "blob"] == ["one", "two"]


@pytest.mark.parametrize("sent", [b"4 " + b"0" * 64 + b"\nblob", b"400 " + b"0" * 64 + b"\ncut", b"", b"nonsense\n"])
def test_a_blob_that_is_not_whole_ends_the_script(sent: bytes) -> None:
    out, _, marks = spoken("sh", "infra_blob it >/dev/null; echo never", stdin=sent)
    assert out == "" and ("damaged", "it") in marks and marks[-1] == ("end", str(wire.DAMAGED))


def test_the_password_is_skipped_when_nobody_wanted_it() -> None:
    payload = wire.payload(TOKEN, "echo ran; cat")
    launcher = wire.command(TOKEN, len(payload), "password").partition("-- ")[2]
    done = subprocess.run(
        ["sh", "-c", launcher],
        input=f"the password\n{TOKEN}:script\n".encode() + payload,
        capture_output=True,
        timeout=30,
        check=True,
    )
    assert taken(done.stdout)[0].text == "ran\n" and b"the password" not in done.stdout + done.stderr


@pytest.mark.parametrize("how", ["plain", "free", "prompt", "password"])
def test_the_command_line_holds_nothing_that_shells_read_differently(how: wire.How) -> None:
    words = wire.command(TOKEN, 1000, how)
    _, inside, after = words.split("'")
    assert after == "" and not set(inside) & set("\\!\n`") and "\n" not in words


NOISE = st.binary(max_size=60).filter(lambda raw: TOKEN.encode() not in raw)


@given(NOISE, NOISE, NOISE, NOISE, st.lists(st.integers(0, 400), max_size=8))
def test_noise_is_cut_off_however_it_comes(
    before: bytes, first: bytes, second: bytes, after: bytes, cuts: list[int]
) -> None:
    token = TOKEN.encode()
    whole = (
        before + token + b":ready\n" + token + b":begin boot\n" + first + token + b":blob it\n" + second + token
        + b":end 0\n" + after
    )  # fmt: skip
    stream, marks = taken(whole, cuts)
    assert stream.text == (first + second).decode("utf-8", "replace")
    assert marks == [("ready", ""), ("begin", "boot"), ("blob", "it"), ("end", "0")]


@given(st.lists(st.integers(0, 100), max_size=5))
def test_the_prompt_of_sudo_has_no_line_end(cuts: list[int]) -> None:
    _, marks = taken(f"a lecture\n{TOKEN}:passwordSorry.\n{TOKEN}:password".encode(), cuts)
    assert marks == [("password", ""), ("password", "")]


@given(st.lists(st.text("ab\n", max_size=5)), st.lists(st.integers(0, 100), max_size=5))
def test_lines_are_told_whole(parts: list[str], cuts: list[int]) -> None:
    told: list[str] = []
    text = "".join(parts)
    whole = f"{TOKEN}:begin\n{text}{TOKEN}:end 0\n".encode()
    stream = wire.Stream(TOKEN.encode(), lambda *_: None, told.append)
    places = [0, *sorted(cut % len(whole) for cut in cuts), len(whole)]
    for start, end in itertools.pairwise(places):
        stream.feed(whole[start:end])
    assert told == text.split("\n")[: -1 if text.endswith("\n") or not text else None]
