"""What the YAML parser complains of, in a user's words, at the line that caused it."""

from __future__ import annotations

import re
from pathlib import Path

import yaml

from infra.errors import SpecError


def syntax_error(error: yaml.YAMLError, text: str, path: Path) -> SpecError:
    """The parser's complaint, at the line that is at fault and with what to do."""
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    lines = text.split("\n")
    index = min(mark.line, len(lines) - 1) if mark else 0
    problem = getattr(error, "problem", None) or str(error)
    began = getattr(error, "context_mark", None)
    if began and not "".join(lines[index:]).strip():
        index, began = began.line, None  # what is not closed is only noticed at the end
    why, fix = _explain_syntax(problem, lines[index])
    above = next((place for place in range(index - 1, -1, -1) if lines[place].strip()), index)
    if "mapping values are not allowed" in problem and (found := _explain_above(lines[above])):
        index, began, (why, fix) = above, None, found
    shown = lines[index].strip()[:60]
    if began and mark and began.line != mark.line:
        why += f" (in what began in line {began.line + 1})"
    return SpecError(f"not valid YAML near {shown!r}", where=f"{path}:{index + 1}", why=why, fix=fix)


def _explain_above(line: str) -> tuple[str, str] | None:
    """What makes a line run into the next one, so that the parser only stumbles there."""
    if line.lstrip(" ")[:1].isspace():
        return "the line is indented with a tab, or with what only looks like a space", "indent with spaces"
    if found := re.fullmatch(r"\s*(?:- )?([\w-]+):([^\s:/]\S*)", line):
        return "there is no space after the ':'", f"write: {found[1]}: {found[2]}"
    return None


def _explain_syntax(problem: str, line: str) -> tuple[str, str]:
    if "\t" in line[: len(line) - len(line.lstrip())]:
        return "the line is indented with a tab", "indent with spaces"
    if "cannot start any token" in problem:
        return (
            "a plain text cannot begin with @, `, % or a tab",
            "put the text in quotes, and indent with spaces",
        )
    if "found unexpected ':'" in problem:
        return "between { and }, a key's ':' is followed by a space", "put a space after the ':'"
    if "mapping values are not allowed" in problem:
        return "there is a second ': ' where none can be", "put a text that holds ': ' in quotes; check the indentation"
    if "quoted scalar" in problem or "unexpected end of stream" in problem:
        return "a quote is opened and never closed", "close the quote"
    if "',' or" in problem:
        return "a [ or { is opened and not closed, or a comma is missing", "close the bracket, or add the comma"
    if "did not find expected key" in problem or "'-' indicator" in problem:
        return "the indentation does not fit the lines above", "line up the keys of one level"
    return problem, "correct the line"
