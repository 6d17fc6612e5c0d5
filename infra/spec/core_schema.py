"""What plain scalars mean in YAML 1.2's core schema; a number keeps the text it was written as."""

from __future__ import annotations

import re
from typing import Any

_NULL = {"", "~", "null", "Null", "NULL"}
_BOOL = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_INT = re.compile(r"[-+]?[0-9]{1,18}")
_BASED = re.compile(r"0(o[0-7]{1,18}|x[0-9a-fA-F]{1,15})")
_FLOAT = re.compile(r"[-+]?(?=.{1,40}$)((\.[0-9]+|[0-9]+\.[0-9]*)([eE][-+]?[0-9]{1,2})?|[0-9]+[eE][-+]?[0-9]{1,2})")


class Whole(int):
    """An int whose text is the one in the file: an account 012345678901 keeps its zero."""

    source: str

    def __str__(self) -> str:
        return self.source


class Real(float):
    """A float whose text is the one in the file: a version 1.30 stays 1.30."""

    source: str

    def __str__(self) -> str:
        return self.source


def core_value(text: str) -> Any:
    """What a plain scalar means in YAML 1.2's core schema; numbers too large for it, .inf and .nan stay texts."""
    if text in _NULL:
        return None
    if text in _BOOL:
        return _BOOL[text]
    if _INT.fullmatch(text):
        whole = Whole(text)
        whole.source = text
        return whole
    if _BASED.fullmatch(text):
        whole = Whole(text, 0)
        whole.source = text
        return whole
    if _FLOAT.fullmatch(text):
        real = Real(text)
        real.source = text
        return real
    return text
