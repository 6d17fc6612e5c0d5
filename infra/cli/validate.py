"""``infra validate``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from infra.cli.common import emit, spec_options

if TYPE_CHECKING:
    from infra.errors import Problem
    from infra.spec.facts import Facts
    from infra.spec.load import Loaded

EPILOG = """\b
Examples:
  infra validate
  infra validate -f prod.yaml --strict
  infra validate --account        asks AWS about types, quotas and names too
  infra validate --json | jq -r '.problems[] | "\\(.where) \\(.rule)"'
"""


@click.command(epilog=EPILOG)
@spec_options
@click.option("--strict", is_flag=True, help="Treat warnings as errors.")
@click.option("--account", is_flag=True, help="Ask AWS too: live instance types, quotas, names that are taken.")
def command(file: Path, endpoint: str | None, as_json: bool, strict: bool, account: bool) -> int:
    """Check cluster.yaml with every rule, before anything is spent.

    Exit code 0: no errors (there may be warnings); 1: errors. docs/validators.md lists the rules.
    """
    from infra.errors import SpecError
    from infra.spec.load import load
    from infra.spec.rules import check

    loaded: Loaded | None = None
    problems: Sequence[Problem]
    try:
        loaded = load(file, endpoint)
        problems = check(loaded)
    except SpecError as error:
        problems = error.problems
    if account and loaded is not None and not any(problem.level == "error" for problem in problems):
        problems = check(loaded, _facts(loaded))
    errors = [problem for problem in problems if strict or problem.level == "error"]
    if as_json:
        emit(_data(file, loaded, problems, bool(errors)))
    else:
        _show(file, loaded, problems, strict)
    return 1 if errors else 0


def _facts(loaded: Loaded) -> Facts | None:
    """What the account says; None where there is none: without ``aws``, or on the embedded one."""
    from infra.cloud import aws, aws_facts

    cluster = loaded.cluster
    if cluster.aws is None or cluster.local:
        return None
    return aws_facts.facts(aws.session(cluster.aws), cluster)


def _data(file: Path, loaded: Loaded | None, problems: Sequence[Problem], failed: bool) -> dict[str, object]:
    levels = [problem.level for problem in problems]
    return {
        "file": str(file),
        "cluster": loaded.cluster.cluster if loaded else None,
        "digest": loaded.digest if loaded else None,
        "ok": not failed,
        "errors": levels.count("error"),
        "warnings": levels.count("warning"),
        "problems": [problem.data() for problem in problems],
    }


def _show(file: Path, loaded: Loaded | None, problems: Sequence[Problem], strict: bool) -> None:
    for level, colour in (("error", "red"), ("warning", "yellow")):
        for problem in problems:
            if problem.level == level:
                click.echo(_text(problem, colour))
    errors = sum(problem.level == "error" for problem in problems)
    warnings = len(problems) - errors
    counts = ", ".join(_count(n, word) for n, word in ((errors, "error"), (warnings, "warning")) if n)
    if loaded is None or errors or (strict and warnings):
        note = "" if errors else "; --strict makes warnings errors"
        click.echo(f"{file} is not valid: {counts}{note}. Correct it, then check again")
        return
    option = "" if file == Path("cluster.yaml") else f" -f {file}"
    click.echo(f"{file} is valid{f' ({counts})' if counts else ''}: {summary(loaded)}. Next: infra plan{option}")


def _text(problem: Problem, colour: str) -> str:
    head, _, rest = problem.text().partition("\n")
    level, _, what = head.partition(": ")
    name = click.style(f"  [{problem.rule}]", dim=True)
    return f"{click.style(level, fg=colour, bold=True)}: {click.style(what, bold=True)}{name}\n{rest}\n"


def summary(loaded: Loaded) -> str:
    """``research: 3 regions, 2 pools, 2 hosts, 8 metal machines, 3 file systems``."""
    cluster = loaded.cluster
    counts = (
        (len(cluster.aws.regions) if cluster.aws else 0, "region"),
        (len(cluster.pools), "pool"),
        (sum(host.count for host in cluster.hosts.values()), "host"),
        (sum(len(metal.hosts) for metal in cluster.metal.values()), "metal machine"),
        (len(cluster.storage), "file system"),
    )
    return f"{cluster.cluster}: " + (", ".join(_count(n, word) for n, word in counts if n) or "nothing yet")


def _count(number: int, word: str) -> str:
    return f"{number} {word}{'' if number == 1 else 's'}"
