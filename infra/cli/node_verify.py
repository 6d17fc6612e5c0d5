"""``infra node verify``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from infra.cli.common import emit, spec_options
from infra.cli.node_choose import patterns_argument
from infra.cli.node_common import Reach, reach_options
from infra.errors import UsageError

if TYPE_CHECKING:
    from infra.node.proof.verify import Drifted, Verdict
    from infra.spec.load import Loaded

EPILOG = """\b
Examples:
  infra node verify titan-01 dev-1           are they the same?
  infra node verify profile:gpu --html gpu.html
  infra node verify 'titan-*' --since-converge   what was changed by hand since the last converge
  infra node verify --accept titan-03        take what it is now as what it should be
  infra node verify profile:gpu --save kept  keep the signed manifests;
  infra node verify --check kept/*.manifest  check and compare them later, without any machine
"""


@click.command("verify", epilog=EPILOG)
@patterns_argument
@click.option("--since-converge", "since", is_flag=True, help="Compare each machine with what it was after its last.")
@click.option("--accept", "named", multiple=True, metavar="NAME", help="Take what NAME is now as its baseline.")
@click.option("--allowed", "list_allowed", is_flag=True, help="List also what may differ, with the reasons.")
@click.option("--deep", is_flag=True, help="Compare every file of every package as well (reads all of /usr).")
@click.option("--save", "folder", type=click.Path(path_type=Path), metavar="DIR", help="Keep the signed manifests.")
@click.option("--check", is_flag=True, help="The arguments are manifests that --save has kept.")
@click.option("--html", type=click.Path(path_type=Path), metavar="FILE", help="Write a report that needs nothing else.")
@spec_options
@reach_options
def command(
    patterns: tuple[str, ...],
    file: Path,
    endpoint: str | None,
    as_json: bool,
    reach: Reach,
    since: bool,
    named: tuple[str, ...],
    list_allowed: bool,
    deep: bool,
    folder: Path | None,
    check: bool,
    html: Path | None,
) -> int:
    """Prove that machines of one profile are the same, or show what differs.

    Each says what it is: packages, kernel, driver, files, settings, users, services, mounts, limits. The answer is
    signed there with its host key, and counts only with the key that is pinned here. What may differ is a declared
    list, each entry with its reason.

    Exit code 0: the same; 2: something differs; 1: an error, also of a single machine.
    """
    _together(patterns, since, named, folder, check, html)
    from infra.cli.node_choose import read

    loaded = read(file, endpoint)
    if since or named:
        drifted = _over_time(loaded, named or patterns, reach, as_json, bool(named))
        if as_json:
            emit({"format": 1, "cluster": loaded.cluster.cluster, **drifted.data()})
        else:
            from infra.ui import verify_view

            verify_view.drifted(drifted)
        return drifted.code
    verdict = _kept(loaded, patterns) if check else _side_by_side(loaded, patterns, reach, as_json, deep, folder)
    if html is not None:
        from infra import files
        from infra.cloud.work import now
        from infra.ui import verify_html

        files.write_text(html, verify_html.page(loaded.cluster.cluster, verdict, now()))
    if as_json:
        emit({"format": 1, "cluster": loaded.cluster.cluster, **verdict.data()})
    else:
        from infra.ui import verify_view

        verify_view.verdict(verdict, list_allowed)
        if html is not None:
            click.echo(f"Report: {html}")
    return verdict.code


def _together(
    patterns: Sequence[str], since: bool, accepted: Sequence[str], folder: Path | None, check: bool, html: Path | None
) -> None:
    """Raise UsageError for options that do not go together."""
    given = {"--since-converge": since, "--accept": accepted, "--check": check, "--save": folder, "--html": html}
    wrong = [("--check", "--since-converge"), ("--check", "--accept"), ("--check", "--save"), ("--accept", "--html")]
    wrong += [("--since-converge", "--html"), ("--since-converge", "--save"), ("--accept", "--save")]
    for one, other in wrong:
        if given[one] and given[other]:
            raise UsageError(f"{one} and {other} do not go together", where="command line", fix="leave one of them out")
    if accepted and patterns:
        raise UsageError(
            "--accept names its machines itself",
            where="command line",
            why=f"{', '.join(patterns)} was given beside it",
            fix=" ".join(["infra node verify", *(f"--accept {name}" for name in (*accepted, *patterns))]),
        )
    if check and not patterns:
        raise UsageError(
            "--check is given no files", where="command line", fix="infra node verify --check DIR/*.manifest"
        )


def _side_by_side(
    loaded: Loaded, patterns: Sequence[str], reach: Reach, quiet: bool, deep: bool, folder: Path | None
) -> Verdict:
    from infra.cli.node_choose import choose
    from infra.node.proof import verify
    from infra.ui.node_count import Count

    count = Count("asked", quiet=quiet)
    chosen = choose(loaded, patterns, reach, aside=count.aside)
    verify.together(chosen.nodes)
    with count.of(len(chosen.nodes)):
        return verify.side_by_side(loaded.cluster, chosen.fleet, chosen.nodes, count.one, deep=deep, folder=folder)


def _over_time(loaded: Loaded, patterns: Sequence[str], reach: Reach, quiet: bool, accept: bool) -> Drifted:
    from infra.cli.node_choose import choose
    from infra.node.proof import verify
    from infra.ui.node_count import Count

    count = Count("asked", quiet=quiet)
    chosen = choose(loaded, patterns, reach, aside=count.aside)
    with count.of(len(chosen.nodes)):
        return verify.over_time(chosen.fleet, chosen.nodes, count.one, accept=accept)


def _kept(loaded: Loaded, paths: Sequence[str]) -> Verdict:
    from infra.cloud.work import Work
    from infra.node.inventory.inventory import Inventory
    from infra.node.proof import verify
    from infra.node.ssh.trust import Pins

    nodes = {node.ident: node for node in Inventory(loaded).nodes}
    pins = Pins.of(Work.of(loaded.cluster, loaded.path).folder)
    return verify.of_files(loaded.cluster, pins, nodes, [Path(path) for path in paths])
