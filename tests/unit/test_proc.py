"""The runner: output, deadlines, redaction, cancellation."""

from __future__ import annotations

import os
import subprocess
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


def test_output_by_way_of_files_is_the_same(tmp_path: Path) -> None:
    lines: list[str] = []
    count = "import sys, time\nfor n in range(3): print(n, flush=True); time.sleep(0.1)\n"
    code = count + "print('e', file=sys.stderr)\nprint('x', end='')"
    done = proc.run(python(code), deadline=20, on_line=lines.append, outlive=tmp_path / "apply")
    assert (done.out, done.err, lines) == ("0\n1\n2\nx", "e\n", ["0", "1", "2", "x"])
    assert list(tmp_path.iterdir()) == []


def ended(pid: int) -> None:
    """Wait until that process, which is nobody's child any more, has ended."""
    for _ in range(400):
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            return
        if state in "ZX":  # it is dead, and whoever is to take note of it has not
            return
        time.sleep(0.05)
    raise AssertionError(f"process {pid} does not end")


def test_a_child_outlives_its_parent_only_when_it_should(tmp_path: Path) -> None:
    """A pipe without a reader would end the child at its next word."""
    talk = "import os, time, pathlib\nfor n in range(20): print(os.getpid(), flush=True); time.sleep(0.05)\n"
    talk += f"pathlib.Path({str(tmp_path / 'end')!r}).touch()"
    for outlive, lives in ((tmp_path / "apply", True), (None, False)):
        (tmp_path / "end").unlink(missing_ok=True)
        parent = (
            "import pathlib, sys\nfrom infra import proc\n"
            f"path = {str(outlive)!r}\n"
            f"proc.run([sys.executable, '-c', {talk!r}], deadline=20, on_line=lambda text: print(text, flush=True), "
            "outlive=None if path == 'None' else pathlib.Path(path))"
        )
        process = subprocess.Popen(python(parent), stdout=subprocess.PIPE)
        assert process.stdout is not None
        child = int(process.stdout.readline())
        process.kill()
        process.wait()
        process.stdout.close()
        ended(child)
        assert (tmp_path / "end").exists() is lives


def test_nothing_of_a_killed_child_works_on_alone(tmp_path: Path) -> None:
    grandchild = f"import time, pathlib; time.sleep(1); pathlib.Path({str(tmp_path / 'late')!r}).touch()"
    code = (
        f"import os, pathlib, subprocess, sys; late = subprocess.Popen([sys.executable, '-c', {grandchild!r}]); "
        f"pathlib.Path({str(tmp_path / 'pid')!r}).write_text(str(late.pid)); os.kill(os.getpid(), 9)"
    )
    with pytest.raises(ToolFailed):
        proc.run(python(code), deadline=20)
    ended(int((tmp_path / "pid").read_text()))
    assert not (tmp_path / "late").exists()


def test_no_child_gets_the_sudo_password(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INFRA_SUDO_PASSWORD", "hunter22")
    script = 'echo "${INFRA_SUDO_PASSWORD-none}"'
    for env in (None, {**os.environ}):
        assert proc.run(["sh", "-c", script], deadline=10, env=env).out == "none\n"
