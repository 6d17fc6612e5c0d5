"""What AWS, its provider and Terraform say when they refuse, as a table: how it is recognised, what it means,
what to do. The entries are in :mod:`infra.cloud.refusals.engine`,
:mod:`infra.cloud.refusals.access` and :mod:`infra.cloud.refusals.aws`.

An entry is recognised by an AWS error code, or by a pattern over the whole message (white space collapsed). Texts are
templates over the pattern's named groups and over ``code``, ``message``, ``action``, ``profile`` (as an option:
`` --profile NAME`` or nothing) and ``region``. The order matters: the first entry that fits wins, patterns of the
whole table before codes.
"""

from __future__ import annotations

from dataclasses import dataclass

from infra.errors import InfraError


@dataclass(frozen=True, slots=True)
class Refusal:
    """One entry: ``name`` is stable (the ``rule`` of the problem in ``--json``)."""

    name: str
    kind: type[InfraError]
    what: str
    fix: str
    why: str = "{message}"
    codes: tuple[str, ...] = ()
    patterns: tuple[str, ...] = ()
