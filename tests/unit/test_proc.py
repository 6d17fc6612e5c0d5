"""The runner: output, deadlines, redaction, cancellation."""

from __future__ import annotations

import sys
import threading
import time
from pathlib import Path

import pytest

from infra import proc
from infra.errors import FileError, Interrupted, ToolFailed, ToolMissing, ToolTimeout


def python(code: str) -> list[str]:
    return [sys.executable, "-c", code]


def test_output_is_kept_and_streamed() -> None:
    lines: list[str] = []
    done = proc.run(python("print('one'); print('two')"), deadline=20, on_line=lines.append)
    assert (done.code, done.out, lines) == (0, "one\ntwo\n", ["one", "two"])


def test_a_failure_carries_the_last_lines() -> None:
    with pytest.raises(ToolFailed) as caught:
        proc.run(python("import sys; print('the reason', file=sys.stderr); sys.exit(3)"), deadline=20)
    assert "exit code 3" in caught.value.text()
    assert "the reason" in caught.value.text()


def test_a_missing_program_and_a_missing_folder_are_told_apart(tmp_path: Path) -> None:
    with pytest.raises(ToolMissing):
        proc.run(["no-such-program-here"], deadline=5)
    with pytest.raises(FileError):
        proc.run(python(""), deadline=5, cwd=tmp_path / "gone")
    with pytest.raises(ToolMissing):
        proc.run([str(tmp_path)], deadline=5)


def test_nothing_outlives_its_deadline() -> None:
    started = time.monotonic()
    with pytest.raises(ToolTimeout):
        proc.run(python("import time; time.sleep(60)"), deadline=0.5)
    assert time.monotonic() - started < 15


def test_secrets_are_redacted_everywhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(proc, "SECRETS", proc.Secrets(["hunter2hunter2"]))
    lines: list[str] = []
    code = "import sys; print('a hunter2hunter2 b'); print('hunter2hunter2', file=sys.stderr)"
    done = proc.run(python(code), deadline=20, on_line=lines.append)
    assert "hunter2" not in done.out + done.err + "".join(lines)
    assert proc.REDACTED in done.out


def test_cancelling_lets_the_child_finish_what_it_has_in_hand(tmp_path: Path) -> None:
    code = (
        "import signal, time, pathlib, sys\n"
        "def stop(*_): pathlib.Path('finished').touch(); sys.exit(1)\n"
        "signal.signal(signal.SIGINT, stop)\n"
        "print('ready', flush=True)\n"
        "time.sleep(60)"
    )
    cancel, ready = proc.Cancel(), threading.Event()
    threading.Thread(target=lambda: (ready.wait(20), cancel()), daemon=True).start()
    with pytest.raises(Interrupted):
        proc.run(python(code), deadline=30, cwd=tmp_path, on_line=lambda _: ready.set(), cancel=cancel)
    assert (tmp_path / "finished").exists()


def test_a_child_that_fills_both_pipes_does_not_block() -> None:
    code = "import sys; sys.stdout.write('x' * 300000); sys.stderr.write('y' * 300000)"
    done = proc.run(python(code), deadline=30)
    assert (len(done.out), len(done.err)) == (300000, 300000)
