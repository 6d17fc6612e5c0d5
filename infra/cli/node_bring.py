"""``infra node bootstrap`` and ``infra node converge``."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from infra.cli.common import emit, spec_options
from infra.cli.node_common import Reach, reach_options

if TYPE_CHECKING:
    from infra.cli.node_choose import Chosen
    from infra.errors import InfraError
    from infra.node.bring.bring import Brought, Options, Wants
    from infra.node.model import Node
    from infra.spec.load import Loaded
    from infra.ui.bring_view import Reporter

    Results = dict[str, Brought | InfraError]

BOOTSTRAP = """\b
Examples:
  infra node bootstrap titan-01               from Ubuntu with an account that may sudo, to what the AMI is
  infra node bootstrap 'titan-[01-08]' --parallel 8
  infra node bootstrap group:titan --ask-sudo --details
  infra node bootstrap titan-01 --client-package cinc.deb --client-sha256 3f9a…    without the internet
Run it again after whatever happened: it goes on where it stopped.
"""
CONVERGE = """\b
Examples:
  infra node converge titan-01 --why-run      what would change there
  infra node converge profile:gpu             a canary first, then max_unavailable of each group at a time
  infra node converge all --max-unavailable 25% --no-reboot
"""


@dataclass(frozen=True, slots=True)
class Asked:
    """What both commands are told: which machines of which file, how they are reached, and how they are brought."""

    patterns: tuple[str, ...]
    file: Path
    endpoint: str | None
    as_json: bool
    reach: Reach
    no_reboot: bool
    no_drain: bool
    allow_os: bool
    patience: int
    client_package: Path | None
    client_sha256: str
    details: bool
    yes: bool

    def options(self, **more: Any) -> Options:
        """As the product takes them; ``more`` are those of one command alone."""
        from infra.node.bring.bring import Options

        return Options(
            reboot=not self.no_reboot,
            drain=not self.no_drain,
            allow_os=self.allow_os,
            patience=self.patience,
            **more,
        )


def _asked(function: Callable[..., Any]) -> Callable[..., Any]:
    """The machines and the options that both have: passed together as ``asked``."""

    @click.argument("patterns", nargs=-1, required=True, metavar="PATTERN...")
    @spec_options
    @reach_options
    @click.option("--no-reboot", is_flag=True, help="Stop where a restart is needed, and say so.")
    @click.option("--no-drain", is_flag=True, help="Do not drain Kubernetes nodes first.")
    @click.option(
        "--allow-os",
        is_flag=True,
        envvar="INFRA_ALLOW_OS",
        help="Try another Ubuntu or Debian than the profile's.",
    )
    @click.option(
        "--wait",
        "patience",
        type=click.IntRange(0, 3600),
        default=300,
        show_default=True,
        metavar="SECONDS",
        help="Wait so long for another package manager to end.",
    )
    @click.option(
        "--client-package",
        type=click.Path(path_type=Path),
        metavar="FILE",
        help="Install this client; default: what chef: in the file says.",
    )
    @click.option("--client-sha256", default="", metavar="HEX", help="Its sha256.")
    @click.option("--details", is_flag=True, help="Show every line of the converges.")
    @click.option("--yes", is_flag=True, help="Do not ask; for scripts.")
    @functools.wraps(function)
    def wrapped(**given: Any) -> Any:
        both = {item.name: given.pop(item.name) for item in fields(Asked)}
        return function(Asked(**both), **given)

    return wrapped


@click.command("bootstrap", epilog=BOOTSTRAP, short_help="Take bare machines to what their profile says.")
@_asked
def bootstrap(asked: Asked) -> int:
    """Take the machines that the PATTERNs stand for to what their profile says, restarting them where it must be.

    One that failed never stops the others. Exit code 0: all are there; 1: some are not.
    """
    options = asked.options(check_drift=False)
    return _run(asked, lambda chosen, wants, show: _each(chosen, wants, options, show))


@click.command("converge", epilog=CONVERGE, short_help="Bring machines to the policy that the file describes.")
@_asked
@click.option("--why-run", is_flag=True, help="Change nothing; show what would change.")
@click.option("--force", is_flag=True, help="Converge also what is at its policy, and as it was left.")
@click.option(
    "--max-unavailable",
    "share",
    default="",
    metavar="N|N%",
    help="So many of a group at a time; default: metal.*.max_unavailable, else 1.",
)
def converge(asked: Asked, why_run: bool, force: bool, share: str) -> int:
    """Bring the machines that the PATTERNs stand for to the policy that the file describes now.

    One machine of each profile goes first; when it fails, the others of its profile are left as they are. Exit code 0:
    all are there; 1: some are not.
    """
    options = asked.options(why_run=why_run, force=force)
    _check_share(share)
    if why_run:
        return _run(replace(asked, yes=True), lambda chosen, wants, show: _each(chosen, wants, options, show))
    return _run(asked, lambda chosen, wants, show: _rolled(chosen, wants, options, show, share))


def _check_share(share: str) -> None:
    import re

    from infra.errors import UsageError

    if share and not re.fullmatch(r"[1-9][0-9]{0,3}|[1-9][0-9]?%|100%", share):
        raise UsageError(
            f"{share!r} is neither a number of machines nor a part of them",
            where=f"--max-unavailable {share}",
            fix="write: --max-unavailable 2, or --max-unavailable 25%",
        )


def _each(chosen: Chosen, wants: Wants, options: Options, show: Reporter) -> Results:
    """All of them side by side."""
    from infra.node.bring.bring import bring

    for (
        node
    ) in chosen.nodes:  # all of them, however late it is their turn: nobody looks in vain for one that is to come
        wants.begun(node.name)

    def done(node: Node, result: Brought | InfraError) -> None:
        wants.ended(node.name)
        show.done(node, result)

    return chosen.fleet.each(chosen.nodes, lambda link: bring(link, wants.of(link.node), options, show.sink), done)


def _rolled(chosen: Chosen, wants: Wants, options: Options, show: Reporter, share: str) -> Results:
    """Some of each group at a time."""
    from contextlib import closing

    from infra.node.bring.bring import bring
    from infra.node.bring.rolling import limits, roll

    def one(node: Node) -> Brought:
        with closing(chosen.fleet.connect(node)) as link:
            return bring(link, wants.of(node), options, show.sink)

    return roll(
        chosen.nodes,
        one,
        max_unavailable=limits(chosen.loaded.cluster, chosen.nodes, share),
        parallel=chosen.fleet.parallel,
        done=show.done,
    )


def _run(asked: Asked, work: Callable[[Chosen, Wants, Reporter], Results]) -> int:
    from infra import proc
    from infra.cli.node_choose import choose
    from infra.errors import InfraError
    from infra.node.bring.bring import Wants
    from infra.node.bring.floor import ordered
    from infra.spec.load import read
    from infra.ui import bring_view

    loaded, _ = read(asked.file, asked.endpoint)
    cancel = proc.Cancel()
    room: list[Reporter] = []
    chosen = choose(
        loaded,
        asked.patterns,
        asked.reach,
        cancel=cancel,
        aside=lambda: room[0].aside() if room else bring_view.nowhere(),
    )
    chosen = replace(chosen, nodes=ordered(loaded, _with_a_profile(chosen.nodes)))
    wants = Wants(loaded, asked.client_package, asked.client_sha256)
    for node in chosen.nodes:
        wants.of(node)  # a profile that does not resolve is said before anything is reached
    if len(chosen.nodes) > 1 and asked.reach.ask and not asked.yes:  # many machines at a terminal are worth a question
        click.confirm(f"{len(chosen.nodes)} machines: go on", default=True, abort=True, err=True)
    with (
        bring_view.reporter(chosen.nodes, asked.as_json, asked.details) as show,
        proc.on_ctrl_c(cancel, lambda text: click.echo(text, err=True)),
    ):
        room.append(show)
        results = work(chosen, wants, show)
    bad = [result for result in results.values() if isinstance(result, InfraError)]
    if asked.as_json:
        shown = bring_view.data(results, chosen.nodes)
        emit({"format": 1, "cluster": loaded.cluster.cluster, "nodes": shown, "failed": len(bad)})
    else:
        _show(results)
        _pulled(loaded, results)
    return 1 if bad else 0


def _pulled(loaded: Loaded, results: Results) -> None:
    """What was pushed to machines that pull something else is said: they would go back without a word."""
    if loaded.cluster.converge.pull is None:
        return
    from infra.errors import InfraError
    from infra.node.pull import publishing as pulling

    done = [item for item in results.values() if not isinstance(item, InfraError) and item.state != "would"]
    for note in pulling.reverting(loaded, [(item.profile, item.digest) for item in done]):
        click.echo(f"note: {note}", err=True)


def _with_a_profile(nodes: Sequence[Node]) -> list[Node]:
    """Those that a policy makes. Raises UsageError when there is none among them."""
    from infra.errors import UsageError

    found = [node for node in nodes if node.profile]
    others = [node.name for node in nodes if not node.profile]
    if not found:
        raise UsageError(
            f"{', '.join(others)} {'has' if len(others) == 1 else 'have'} no profile",
            why="what they are is not said by a policy",
            fix="infra node list shows every machine's profile",
        )
    if others:
        click.echo(f"left out, without a profile: {', '.join(others)}", err=True)
    return found


def _show(results: Results) -> None:
    from infra.errors import InfraError
    from infra.ui import bring_view

    for problem in bring_view.warnings(results):
        click.echo(problem.text(), err=True)
    for result in results.values():
        if not isinstance(result, InfraError) and result.state == "would" and result.changed:
            click.echo(bring_view.would(result))
    if failed := bring_view.failures(results):
        click.echo(failed, err=True)
    if len(results) > 1:
        click.echo(bring_view.summary(results))
    if next_one := bring_view.next_command(results):
        click.echo(next_one)
