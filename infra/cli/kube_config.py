"""``infra kube config``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from infra.cli.common import emit, output_option, spec_options
from infra.cli.node_common import Reach, reach_options

if TYPE_CHECKING:
    from infra.spec.load import Loaded

EPILOG = """\b
Examples:
  infra kube config && kubectl get nodes
  infra kube config -o research.kubeconfig
  infra kube config --server https://127.0.0.1:6443      through a port that you forward
"""


@click.command("config", epilog=EPILOG)
@spec_options
@reach_options
@output_option("the first of $KUBECONFIG, or ~/.kube/config")
@click.option("--server", default="", metavar="URL", help="Another way to the API than the published one.")
@click.option("--keep-current", is_flag=True, help="Do not make it the current context.")
@click.option("--force", is_flag=True, help="Replace a context of that name that is not ours.")
def command(
    file: Path,
    endpoint: str | None,
    as_json: bool,
    reach: Reach,
    output: Path | None,
    server: str,
    keep_current: bool,
    force: bool,
) -> int:
    """Fetch the administrators' kubeconfig, which the control plane left in SSM, and merge it into yours. From a
    control plane on physical machines it comes over SSH.

    Context and cluster are called as the cluster is. Other contexts stay as they are; the file is readable by you
    alone, and is written whole or not at all. Exit code 0: written, or it was there already; 1: an error.
    """
    from infra.cli.kube_common import section
    from infra.errors import UsageError
    from infra.kube import kubeconfig
    from infra.spec.load import load

    loaded = load(file, endpoint)
    section(loaded)
    if server and not server.startswith("https://"):
        raise UsageError(
            f"{server!r} is no URL of an API server", where="--server", fix="write: --server https://127.0.0.1:6443"
        )
    name = loaded.cluster.cluster
    text, where = _floor(loaded, reach) if loaded.cluster.plane_hosts else _published(loaded)
    path = kubeconfig.place(output)
    new = kubeconfig.ours(kubeconfig.read(text, where), name, server)
    written = kubeconfig.write(path, new, current=not keep_current, force=force)
    told = str(new["clusters"][0]["cluster"].get("server", ""))
    if as_json:
        emit({"format": 1, "cluster": name, "context": name, "path": str(path), "server": told, "written": written})
        return 0
    click.echo(f"{path}: context {name}, {told}{'' if written else ' (it was there already)'}")
    click.echo(f"Next: kubectl --context {name} get nodes")
    return 0


def _published(loaded: Loaded) -> tuple[str, str]:
    """What the control plane left in SSM, and where that is. Raises KubeGone."""
    from infra.cloud import parameters
    from infra.cloud.site import look_site
    from infra.errors import KubeGone

    name = loaded.cluster.cluster
    session = look_site(loaded).session
    session.guard()
    text = parameters.read(session, name, parameters.ADMIN)
    where = f"SSM parameter {parameters.name(name, parameters.ADMIN)} in {session.aws.home}"
    if text is None:
        raise KubeGone(
            f"the control plane of {name} has left no kubeconfig",
            where=where,
            why="it does so when it is up, some minutes after its machines are made",
            fix="see how it is: infra status; and on it: systemctl status infra-control-plane",
        )
    return text, where


def _floor(loaded: Loaded, reach: Reach) -> tuple[str, str]:
    """From the first physical machine of the control plane that has it."""
    from infra.cli.node_choose import choose
    from infra.node.bring.floor import admin, planes

    chosen = choose(loaded, [node.name for node in planes(loaded)], reach)
    return admin(loaded, chosen.fleet)
