"""``infra autoscale explain``."""

from __future__ import annotations

from pathlib import Path

import click

from infra.cli.common import emit, spec_options

EPILOG = """\b
Examples:
  infra autoscale explain research/train-0
  kubectl get pods,nodes,daemonsets -A -o json > now.json
  infra autoscale explain train-0 --dump now.json          without a cluster
  infra autoscale explain train-0 --dump now.json --types g5.12xlarge,p5.48xlarge
"""


@click.command("explain", epilog=EPILOG)
@click.argument("pod", metavar="[NAMESPACE/]POD")
@click.option("--dump", type=click.Path(path_type=Path), metavar="FILE", help="Ask this file, and no cluster.")
@click.option(
    "--types", default="", metavar="TYPE,TYPE…", help="With --dump: what may be bought, not cluster.yaml's pools."
)
@click.option("--region", default="us-east-1", show_default=True, help="Of --types.")
@click.option("--kubeconfig", type=click.Path(path_type=Path), help="Left out: as kubectl does it.")
@click.option("--context", default="", help="Of the kubeconfig.")
@spec_options
def command(
    pod: str,
    dump: Path | None,
    types: str,
    region: str,
    kubeconfig: Path | None,
    context: str,
    file: Path,
    endpoint: str | None,
    as_json: bool,
) -> int:
    """Say why a pod waits, or where it runs or is to run: by the code that buys, at this moment.

    Nothing is changed. Exit code 0, whatever the pod does; 1: an error, such as no pod of that name.
    """
    from infra.orchestration import autoscaling

    if dump is not None:
        names = [name for name in types.split(",") if name]
        found, warnings = autoscaling.explain_dump(pod, dump, names, region, file, endpoint)
    else:
        found, warnings = autoscaling.explain_live(pod, file, endpoint, kubeconfig, context)
    for warning in warnings:
        click.echo(f"warning: {warning}", err=True)
    if as_json:
        emit({"format": 1, **found.data()})
    else:
        click.echo(found.text())
    return 0
