"""What looks like a secret never gets into an archive that is copied to every machine and kept in S3."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

_PRIVATE = re.compile(r"-----BEGIN [A-Z0-9 ]*PRIVATE KEY( BLOCK)?-----|PuTTY-User-Key-File-")
_KNOWN = (
    ("a private key", _PRIVATE),
    ("an AWS access key", re.compile(r"(?<![A-Za-z0-9])(AKIA|ASIA)[A-Z2-7]{16}(?![A-Za-z0-9])")),
    ("a GitHub token", re.compile(r"\b(gh[pousr]_[A-Za-z0-9]{36}|github_pat_[A-Za-z0-9_]{60})")),
    ("a GitLab token", re.compile(r"\bglpat-[A-Za-z0-9_-]{20}")),
    ("a Hugging Face token", re.compile(r"\bhf_[A-Za-z0-9]{30}")),
    ("a Slack token", re.compile(r"\bxox[abprs]-[A-Za-z0-9-]{10}")),
    ("a key of an API", re.compile(r"\bsk-[A-Za-z0-9_-]{32}|\bAIza[A-Za-z0-9_-]{35}|\bnvapi-[A-Za-z0-9_-]{32}")),
    ("a signed token (JWT)", re.compile(r"\beyJ[A-Za-z0-9_-]{10,}\.eyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10,}")),
    ("a password in a URL", re.compile(r"\b[a-z][a-z0-9+.-]*://[^\s/:@]+:[^\s/@]+@")),
    ("the hash of a password", re.compile(r"^\$(1|2[aby]|5|6|y|argon2id?)\$.{8,}")),
)
_AWS_SECRET = re.compile(r"[A-Za-z0-9/+]{40}")
_KEY = re.compile(
    r"(^|[_.-])(pass(word|wd|phrase)?|secret|secret_?(access_?)?key|(access_?|auth_?|bearer_?|api_?)?token|"
    r"api_?key|private_?key|credentials?)s?$"
)
_REFERENCE = re.compile(r"(arn:|ssm:|/|\$\{|file:|vault:|secretsmanager:)")

FIX = (
    "keep it in SSM or Secrets Manager, let the recipe read it on the machine, and write its name here (ssm:/lab/name)"
)


def in_text(text: str) -> str:
    """What kind of secret the text of a file holds, in words; "" when it looks like none."""
    return next((kind for kind, pattern in _KNOWN[:3] if pattern.search(text)), "")


def in_value(key: str, value: str) -> str:
    """What kind of secret an attribute's value looks like, in words; "" when it looks like none."""
    kind = next((kind for kind, pattern in _KNOWN if pattern.search(value)), "")
    if kind:
        return kind
    if _AWS_SECRET.fullmatch(value) and _mixed(value):
        return "an AWS secret key"
    if value and _KEY.search(_snake(key)) and not _REFERENCE.match(value):
        return "a secret, by its name"
    return ""


def _snake(key: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", key).lower()


def _mixed(value: str) -> bool:
    """Lower case, upper case and digits: a sha1 is not a key."""
    return all(re.search(pattern, value) for pattern in ("[a-z]", "[A-Z]", "[0-9]"))


def walk(value: Any, loc: tuple[str | int, ...] = ()) -> Iterator[tuple[tuple[str | int, ...], str]]:
    """Every text in an attribute tree, with the way to it; keys are looked at too."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield (*loc, key), ""
            yield from walk(item, (*loc, key))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from walk(item, (*loc, index))
    elif isinstance(value, str):
        yield loc, value


def found(tree: Any) -> Iterator[tuple[tuple[str | int, ...], str]]:
    """(the way to it, the kind of secret) for all in an attribute tree."""
    for loc, value in walk(tree):
        key = next((part for part in reversed(loc) if isinstance(part, str)), "")
        kind = in_value(key, value) or (in_text(key) if not value else "")
        if kind:
            yield loc, kind
