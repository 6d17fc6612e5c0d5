"""``infra kube health``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from infra.cli.common import json_option
from infra.cli.kube_common import Way, way_options

if TYPE_CHECKING:
    from infra.kube.health import Change

EPILOG = """\b
Examples:
  infra kube health --dry-run                which nodes are ill, and which are well again
  infra kube health --watch                  as it runs in the cluster
"""


@click.command("health", epilog=EPILOG, short_help="Give nodes that are ill a taint, and take it away.")
@json_option
@way_options
@click.option("--dry-run", is_flag=True, help="Change nothing.")
@click.option("--watch", is_flag=True, help="Again and again, until it is stopped.")
@click.option(
    "--every", type=click.IntRange(1, 3600), default=20, show_default=True, metavar="SECONDS", help="So often."
)
def command(as_json: bool, way: Way, dry_run: bool, watch: bool, every: int) -> int:
    """Give nodes whose conditions say that they are ill (a GPU fault, a GPU that is missing, a file system gone
    read-only…) the taint infra/ill, and take it away when they say that they are well.

    infra kube manifests puts it into the cluster, as the Deployment infra-node-health: the context is then the pod's
    own. Exit code 0; 2: with --dry-run, something is to be done; 1: an error.
    """
    from infra.kube import api
    from infra.kube.health import sweep

    kube = api.connect(way.kubeconfig, way.context)
    if watch:
        return _watch(kube, every, dry_run, as_json)
    done = sweep(kube, dry=dry_run)
    _tell(done, dry_run, as_json)
    return 2 if dry_run and done else 0


def _watch(kube: Any, every: int, dry: bool, as_json: bool) -> int:
    """Until SIGTERM. An API server that is away is said once, and waited for."""
    import signal
    import threading

    from infra.errors import KubeError
    from infra.kube.health import sweep

    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    away = ""
    while not stop.is_set():
        try:
            done = sweep(kube, dry=dry)
            if away:
                click.echo("the API server answers again", err=True)
            away = ""
            if done:
                _tell(done, dry, as_json)
        except KubeError as error:
            if error.text() != away:
                away = error.text()
                click.echo(away, err=True)
        stop.wait(every)
    return 0


def _tell(done: list[Change], dry: bool, as_json: bool) -> None:
    """A document each round with ``--json``, else a line each change."""
    if as_json:
        import json

        text = json.dumps({"format": 1, "dry_run": dry, "changes": [one.data() for one in done]}, sort_keys=True)
        click.echo(text)
        return
    for one in done:
        word = "would get" if dry else "gets"
        lost = "would lose" if dry else "loses"
        click.echo(
            f"{one.node} {word} infra/ill={one.reason}: {one.message or one.reason}"
            if one.reason
            else f"{one.node} {lost} infra/ill: it is well again"
        )
    if not done:
        click.echo("every node is as its conditions say")
