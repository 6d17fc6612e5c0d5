"""What a machine is, as ``chef/bin/manifest`` prints it there. Pure.

A line a fact: section, key, value, with tabs between. Here a fact's name is ``section:key``:
``sysctl:vm.swappiness``, ``package:bash:amd64``. Names and values stay as they came, in ASCII with escapes;
``readable`` is for people.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from infra import files
from infra.errors import NodeFailed

FORMAT = "1"
HEAD = f"infra-manifest\t{FORMAT}"
UNREAD = "!"  # the key of what a section could not read
_ESCAPES = re.compile(r"\\\\|(?:\\x[89a-f][0-9a-f])+")


@dataclass(frozen=True, slots=True)
class Manifest:
    """All ``facts`` of one machine, by name, and the sha256 ``digest`` of the text that they were in."""

    facts: dict[str, str]
    digest: str

    def get(self, name: str) -> str:
        """A fact's value; "" when the machine has no such fact."""
        return self.facts.get(name, "")


def parse(text: str, of: str, where: str = "") -> Manifest:
    """The manifest that ``text`` is; ``of`` names its machine for errors. A key that comes twice has both values.

    Raises NodeFailed when it is cut short, damaged, or of another format: half a manifest would look like a machine
    that lacks the other half.
    """
    lines = text.split("\n")
    if lines[0] != HEAD:
        kind, _, number = lines[0].partition("\t")
        why = (
            f"it has format {number}, and this is for {FORMAT}" if kind == "infra-manifest" else "it is something else"
        )
        raise _broken(of, where, f"{why}: {lines[0][:80]!r}" if number != FORMAT else why)
    if len(lines) < 3 or lines[-1] != "" or lines[-2] != f"end\t{len(lines) - 2}":
        raise _broken(of, where, f"it is cut short after {len(lines)} lines")
    rows = [line.split("\t", 2) for line in lines[1:-2]]
    if not text.isascii() or any(len(row) != 3 for row in rows):
        odd = next(line for line in lines if not line.isascii() or (line.count("\t") < 2 and line != lines[0]))
        raise _broken(of, where, f"this is no line of a manifest: {odd[:80]!r}")
    facts = {f"{section}:{key}": value for section, key, value in rows}
    if len(facts) != len(rows):
        both: dict[str, list[str]] = {}
        for section, key, value in rows:
            both.setdefault(f"{section}:{key}", []).append(value)
        facts = {name: "; ".join(values) for name, values in both.items()}
    return Manifest(facts, files.digest(text))


def _broken(of: str, where: str, why: str) -> NodeFailed:
    return NodeFailed(
        f"the manifest of {of} is not whole",
        where=where or of,
        why=why,
        fix="run the same command again; if it stays so, look on the machine whether /run or /tmp is full",
    )


def readable(text: str) -> str:
    """A name or a value for people: what the escapes stand for where that is text that can be printed."""
    return _ESCAPES.sub(_unescaped, text) if "\\" in text else text


def _unescaped(match: re.Match[str]) -> str:
    found = match[0]
    if found == "\\\\":
        return "\\"
    try:
        text = bytes.fromhex(found.replace("\\x", "")).decode()
    except UnicodeDecodeError:
        return found
    return text if text.isprintable() else found
