"""What a view prints, as text of a fixed width; golden files of it.

``INFRA_GOLDEN=write pytest tests/unit`` writes the golden files anew.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from infra.ui.console import console

GOLDEN = Path(__file__).parent / "golden"
Render = Callable[..., str]


def render(
    view: Callable[..., None], *args: object, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> str:
    """The text on stdout, 110 wide, without the spaces at the ends of lines."""
    monkeypatch.setenv("COLUMNS", "110")
    console.cache_clear()
    capsys.readouterr()
    view(*args)
    console.cache_clear()
    return "\n".join(line.rstrip() for line in capsys.readouterr().out.splitlines()) + "\n"


def golden(name: str, text: str) -> None:
    """Compare with a golden file, or write it."""
    path = GOLDEN / name
    if os.environ.get("INFRA_GOLDEN") == "write":
        path.write_text(text, encoding="utf-8")
    assert text == path.read_text(encoding="utf-8")
