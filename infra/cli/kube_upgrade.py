"""``infra kube upgrade``."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import TYPE_CHECKING

import click

from infra.cli.common import emit, spec_options
from infra.cli.kube_common import Way, way_options
from infra.cli.node_common import Reach, reach_options

if TYPE_CHECKING:
    from infra.errors import InfraError
    from infra.kube.api import Api
    from infra.kube.upgrading import Upgrade
    from infra.spec.load import Loaded

EPILOG = """\b
Examples:
  infra kube upgrade --to 1.37 --dry-run     the steps, and what stays to be done otherwise
  infra kube upgrade --to 1.37
Run it again after whatever happened: it goes on where it stopped.
"""


@click.command("upgrade", epilog=EPILOG, short_help="Go to the next minor version, machine by machine.")
@spec_options
@way_options
@reach_options
@click.option("--to", default="", metavar="1.37", help="The version; default: kubernetes.version of the file.")
@click.option("--dry-run", is_flag=True, help="Show the steps; change nothing.")
@click.option("--no-drain", is_flag=True, help="Do not drain machines first.")
@click.option("--yes", is_flag=True, help="Do not ask; for scripts.")
def command(
    file: Path,
    endpoint: str | None,
    as_json: bool,
    way: Way,
    reach: Reach,
    to: str,
    dry_run: bool,
    no_drain: bool,
    yes: bool,
) -> int:
    """Take the control plane to another minor version, one machine after the other, and then the metal, each drained.

    One minor version at a time, as Kubernetes supports it. Machines of pools are not changed: they are replaced by
    ones of a newer image (infra apply). Exit code 0: done, or nothing to do; 2: with --dry-run, there is something to
    do; 1: an error.
    """
    from infra.cli import kube_common
    from infra.errors import Refused
    from infra.spec.load import load
    from infra.ui import console, kube_view

    loaded = load(file, endpoint)
    wanted = to or kube_common.section(loaded).version
    kube = kube_common.reach(loaded, way)
    upgrade = _plan(loaded, kube, wanted)
    notes = _notes(loaded, upgrade)
    failed: dict[str, InfraError] = {}
    if not as_json:
        kube_view.upgrade(upgrade, notes)
    if not dry_run and not upgrade.empty:
        if not yes and (as_json or not console.interactive()):
            raise Refused(
                "there is nobody to ask", why="this is not a terminal, or --json was given", fix="say so: --yes"
            )
        if not yes and not click.confirm("Do it?"):
            raise Refused("nothing was done", why="the answer was no", fix="run it again when it suits")
        failed = _carry_out(loaded, way, reach, kube, upgrade, drain=not no_drain, quiet=as_json)
    if as_json:
        data = {"format": 1, "cluster": loaded.cluster.cluster, "done": not dry_run and not failed}
        wrong = [{"node": name, "kind": error.kind, "problems": _problems(error)} for name, error in failed.items()]
        emit({**data, **upgrade.data(), "failed": wrong, "notes": notes})
    elif failed:
        for error in failed.values():
            click.echo(error.text(), err=True)
    if failed:
        return 1
    return 2 if dry_run and not upgrade.empty else 0


def _problems(error: InfraError) -> list[dict[str, str]]:
    return [problem.data() for problem in error.problems]


def _plan(loaded: Loaded, kube: Api, to: str) -> Upgrade:
    from datetime import UTC, datetime

    from infra.kube import upgrading
    from infra.kube.health import NODES
    from infra.kube.members import members
    from infra.node.inventory import cloud

    upgrading.parsed(to)
    server = str((kube.get("/version") or {}).get("gitVersion", ""))
    found = members(kube.list(NODES), cloud.inventory(loaded).nodes, datetime.now(UTC))
    return upgrading.plan(found, server, to)


def _notes(loaded: Loaded, upgrade: Upgrade) -> list[str]:
    from infra.kube.upgrading import parsed

    assert loaded.cluster.kubernetes is not None
    found = []
    has = loaded.cluster.kubernetes.version
    if parsed(has)[:2] != parsed(upgrade.to)[:2]:
        found.append(
            f'cluster.yaml says {has}: write version: "{upgrade.to}" there afterwards, before anything is converged: a '
            "converge installs what the file says"
        )
    if upgrade.images:
        found.append(
            "machines of pools get it with a new image: infra apply bakes it, and they are replaced as they go"
        )
    return found


def _carry_out(
    loaded: Loaded, way: Way, reach: Reach, kube: Api, upgrade: Upgrade, *, drain: bool, quiet: bool
) -> dict[str, InfraError]:
    from infra import proc
    from infra.cli.node_choose import choose
    from infra.node.bring import kube_upgrade
    from infra.node.bring.drain import Kubectl

    cancel = proc.Cancel()
    chosen = choose(loaded, [step.machine for step in upgrade.steps], reach, cancel=cancel)
    machines = {node.name: node for node in chosen.nodes}
    lock = threading.Lock()

    def say(who: str, what: str) -> None:
        if not quiet:
            with lock:
                click.echo(f"{who}: {what}")

    options = [*(["--kubeconfig", str(way.kubeconfig)] if way.kubeconfig else [])]
    options += ["--context", way.context or loaded.cluster.cluster]
    kubectl = Kubectl(options=tuple(options), cancel=cancel) if drain else None
    ways = kube_upgrade.Ways(chosen.fleet, kube, kubectl, say)
    with proc.on_ctrl_c(cancel, lambda text: click.echo(text, err=True)):
        results = kube_upgrade.carry_out(loaded.cluster, upgrade.steps, machines, upgrade.to, ways)
    return {name: error for name, error in results.items() if error is not None}
