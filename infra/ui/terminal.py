"""One question at the terminal, which Ctrl-C ends whoever handles the signal, and from whatever thread it is asked."""

from __future__ import annotations

import os
import select
import termios
from collections.abc import Callable

from infra.errors import Interrupted

LOOK = 0.2  # seconds between two looks whether the user wants to stop


def answer(question: str, *, hidden: bool = False, stop: Callable[[], bool] = bool) -> str:
    """The line that the user types at the process's terminal, without its end; "" at the end of input.

    ``hidden``: it is not shown. ``stop`` is looked at while waiting: Interrupted is raised when it says so.
    """
    try:
        terminal = os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY)
    except OSError:
        return ""
    try:
        before = termios.tcgetattr(terminal)
        quiet = [*before]
        if hidden:
            quiet[3] &= ~termios.ECHO
        termios.tcsetattr(terminal, termios.TCSADRAIN, quiet)
        try:
            os.write(terminal, question.encode())
            return _line(terminal, stop)
        finally:
            termios.tcsetattr(terminal, termios.TCSADRAIN, before)
            if hidden:
                os.write(terminal, b"\n")
    finally:
        os.close(terminal)


def _line(terminal: int, stop: Callable[[], bool]) -> str:
    raw = b""
    while not raw.endswith(b"\n"):
        if stop():
            raise Interrupted("stopped by you", fix="run the same command again")
        if select.select([terminal], [], [], LOOK)[0]:
            piece = os.read(terminal, 4096)
            if not piece:
                break
            raw += piece
    return raw.decode("utf-8", "replace").rstrip("\r\n")
