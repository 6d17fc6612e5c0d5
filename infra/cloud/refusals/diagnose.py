"""Terraform's, the provider's and AWS's messages in a user's words: what happened, why, and what to do.

Pure: the entries are in the modules ``infra.cloud.refusals_*``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from infra.cloud.refusals import access as refusals_access
from infra.cloud.refusals import aws as refusals_aws
from infra.cloud.refusals import engine as refusals_engine
from infra.cloud.refusals.refusal import Refusal
from infra.errors import InfraError, Problem

LONGEST = 400
_ANSI = re.compile(r"\x1b\[[0-9;]*m")
_BOX = re.compile(r"(?m)^[ \t]*[╷│╵]+ ?")
_WORD = re.compile(r"\b([A-Z][A-Za-z0-9]*(?:\.[A-Za-z]+)*)(?=[:)])")
_ACTIONS = (
    re.compile(r"not authorized to perform: (?P<action>[a-z0-9-]+:\w+)"),
    re.compile(r"error calling (?P<action>[a-z0-9-]+:\w+)"),
    re.compile(r"operation error (?P<service>[\w ]+): (?P<operation>\w+)"),
    re.compile(r"when calling the (?P<operation>\w+) operation"),
)
_ENCODED = re.compile(r"Encoded authorization failure message: (\S+)")
_BLAME = re.compile(
    r"(with an explicit deny in an? [\w ]+?|because no [\w-]+ policy allows|because no permissions boundary allows)"
    r"(?=[ .,:]|$)"
)


@dataclass(frozen=True, slots=True)
class Found:
    """An entry of the table that fits a message, with the values for its texts."""

    entry: Refusal
    values: Mapping[str, str]

    def problem(self, where: str) -> Problem:
        values = _Values(self.values)
        return Problem(
            what=_short(self.entry.what.format_map(values)),
            where=where,
            why=_short(self.entry.why.format_map(values)),
            fix=self.entry.fix.format_map(values),
            rule=self.entry.name,
        )


class _Values(dict[str, str]):
    def __missing__(self, key: str) -> str:
        return {"profile": "", "decode": "", "action": "this", "type": "such machine"}.get(key, "?")


def explain(
    diagnostics: Sequence[Mapping[str, Any]] | str, *, where: str = "", profile: str = "", action: str = ""
) -> InfraError | None:
    """One error for all that Terraform said, or None when no part of it is known.

    ``diagnostics`` are the objects of ``-json`` output, or plain output. ``where`` is the region's folder. What is not
    known is kept beside what is, in Terraform's words. The error is of the first known one's kind.
    """
    pieces = list(_pieces(diagnostics))
    known: list[tuple[Found, str]] = []
    problems: list[Problem] = []
    for text, place in pieces:
        spot = f"{Path(where).name}: {place}" if where and place else place or where
        found = recognise(text, profile=profile, action=action)
        if found is not None:
            known.append((found, spot))
            problems.append(found.problem(spot))
        else:
            problems.append(_unknown(text, spot))
    if not known:
        return None
    merged = _merge(problems)
    return known[0][0].entry.kind(merged[0].what, problems=merged)


def recognise(text: str, *, profile: str = "", action: str = "") -> Found | None:
    """The entry that fits one message, patterns before codes; None when it is not known."""
    flat = " ".join(_ANSI.sub("", text).split())
    values = {"profile": f" --profile {profile}" if profile else ""}
    for pattern, entry in _patterns():
        match = pattern.search(flat)
        if match:
            named = {key: value for key, value in match.groupdict().items() if value}
            message = named.pop("message", "") or match.group(0)
            return Found(entry, {**_details(flat, action), **values, "message": _tidy(message), **named})
    for match in _WORD.finditer(flat):
        found = coded(match[1], flat[match.end() + 1 :], flat, profile=profile, action=action)
        if found is not None:
            return found
    return None


def coded(code: str, message: str, text: str = "", *, profile: str = "", action: str = "") -> Found | None:
    """The entry of an AWS error code; None when the code is not known."""
    entry = _codes().get(code)
    if entry is None:
        return None
    values = {
        "profile": f" --profile {profile}" if profile else "",
        "code": code,
        "message": _tidy(message) or code,
        **{key: value for key, value in _details(text or message, action).items() if value},
    }
    for pattern, other in _patterns():
        if other is entry and (match := pattern.search(message)):
            values.update({key: value for key, value in match.groupdict().items() if value})
    if entry.name == "access-denied":
        values["message"] = _why_denied(values["message"])
    return Found(entry, values)


@lru_cache(maxsize=1)
def _table() -> tuple[Refusal, ...]:
    return (*refusals_engine.TABLE, *refusals_access.TABLE, *refusals_aws.TABLE)


@lru_cache(maxsize=1)
def _patterns() -> tuple[tuple[re.Pattern[str], Refusal], ...]:
    return tuple((re.compile(pattern), entry) for entry in _table() for pattern in entry.patterns)


@lru_cache(maxsize=1)
def _codes() -> dict[str, Refusal]:
    return {code: entry for entry in _table() for code in entry.codes}


def _pieces(diagnostics: Sequence[Mapping[str, Any]] | str) -> list[tuple[str, str]]:
    """(message, place) of every error."""
    if isinstance(diagnostics, str):
        # Without colours Terraform draws no boxes, and a nested «Error:» looks like a new one: then it is one piece.
        boxes = re.split(r"(?m)^[ \t]*╷", _ANSI.sub("", diagnostics))
        parts = [_BOX.sub("", box) for box in (boxes[1:] or boxes)]
        return [(part, _place(part)) for part in parts if part.strip() and "Warning: " not in part.strip()[:9]]
    return [
        (f"{item.get('summary', '')}\n{item.get('detail', '')}", _address(item))
        for item in diagnostics
        if item.get("severity", "error") == "error"
    ]


def _place(text: str) -> str:
    match = re.search(r"(?m)^\s*with ((?:module|aws_|data|provider)[^\n]*?),?$", text)
    return match[1] if match else ""


def _address(item: Mapping[str, Any]) -> str:
    if item.get("address"):
        return str(item["address"])
    spot = item.get("range")
    return f"{spot['filename']}:{spot['start']['line']}" if spot else ""


def _details(text: str, action: str) -> dict[str, str]:
    """Which action was refused, and how to decode an encoded refusal."""
    found = {"action": action or "this"}
    for pattern in _ACTIONS:
        if match := pattern.search(text):
            named = match.groupdict()
            found["action"] = named.get("action") or (
                f"{named['service'].lower().replace(' ', '')}:{named['operation']}"
                if named.get("service")
                else action or str(named.get("operation"))
            )
            break
    if match := _ENCODED.search(text):
        found["decode"] = f"; what exactly: aws sts decode-authorization-message --encoded-message {match[1]}"
    return found


def _why_denied(message: str) -> str:
    plain = _ENCODED.sub("", message).strip()
    match = _BLAME.search(plain)
    return f"{plain} ({match[1]})" if match and match[1] not in plain else plain or "AccessDenied"


def _tidy(message: str) -> str:
    """Without what only AWS' support can use."""
    text = re.sub(r",? ?\(?(?:status code|StatusCode): \d+,? ?", " ", message)
    text = re.sub(r"(?:request id|RequestID|host id|HostID|Request ID): ?[^,) ]*[,)]?", "", text)
    return " ".join(text.split()).strip(" ,:;")


def _short(text: str) -> str:
    return text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"


def _unknown(text: str, where: str) -> Problem:
    head, _, rest = text.strip().removeprefix("Error: ").partition("\n")
    return Problem(
        what=_short(head.strip()),
        where=where,
        why=_short(" ".join(rest.split())),
        fix="mend what it names, then run the same command again",
        rule="terraform",
    )


def _merge(problems: Sequence[Problem]) -> list[Problem]:
    """The same refusal in many places is one problem that counts them."""
    groups: dict[tuple[str, str], list[Problem]] = {}
    for problem in problems:
        groups.setdefault((problem.rule, problem.what), []).append(problem)
    merged = []
    for group in groups.values():
        more = len({problem.where for problem in group}) - 1
        where = f"{group[0].where} (and {more} more)" if more > 0 else group[0].where
        merged.append(replace(group[0], where=where))
    return merged
