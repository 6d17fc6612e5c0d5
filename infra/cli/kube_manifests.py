"""``infra kube manifests``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from infra.cli.common import emit, spec_options
from infra.cli.kube_common import Way, way_options

if TYPE_CHECKING:
    from infra.spec.load import Loaded

EPILOG = """\b
Examples:
  infra kube manifests                       print them, as YAML
  infra kube manifests --diff                what differs in the cluster; exit code 2 when something does
  infra kube manifests --apply               make the cluster so
  infra kube manifests --iam                 what the autoscaler needs in AWS, as a policy document
"""


@click.command("manifests", epilog=EPILOG)
@spec_options
@way_options
@click.option("--diff", is_flag=True, help="Compare with the cluster; change nothing.")
@click.option("--apply", "apply_", is_flag=True, help="Apply them, and remove what is no longer among them.")
@click.option("--iam", is_flag=True, help="Print the autoscaler's policy in AWS instead.")
def command(file: Path, endpoint: str | None, as_json: bool, way: Way, diff: bool, apply_: bool, iam: bool) -> int:
    """What runs in every cluster: flannel, NVIDIA's device plugin, storage classes, the detector of ill nodes, the
    autoscaler.

    Made from cluster.yaml alone; only ids of EFS file systems are asked of AWS. Exit code 0: done, or nothing differs;
    2: with --diff, the cluster differs; 1: an error.
    """
    from infra.cli.kube_common import section
    from infra.errors import UsageError
    from infra.kube.manifests import bundle
    from infra.kube.manifests import iam as policies
    from infra.spec.load import read

    if diff + apply_ + iam > 1:
        raise UsageError("--diff, --apply and --iam are three questions", fix="give one of them")
    loaded, _ = read(file, endpoint)
    section(loaded)
    if iam:
        emit(policies.document(loaded.cluster, (loaded.cluster.aws.account if loaded.cluster.aws else None) or "*"))
        return 0
    efs, notes = _efs(loaded, strict=diff or apply_)
    objects = bundle.objects(loaded.cluster, efs)
    if diff or apply_:
        return _against(loaded, way, objects, notes, apply_, as_json)
    if as_json:
        items = [{**_bare(body), "state": "", "changes": [], "manifest": body} for body in objects]
        emit({"format": 1, "cluster": loaded.cluster.cluster, "applied": False, "objects": items, "notes": notes})
        return 0
    for note in notes:
        click.echo(f"note: {note}", err=True)
    click.echo(bundle.text(objects), nl=False)
    return 0


def _against(
    loaded: Loaded, way: Way, objects: list[dict[str, Any]], notes: list[str], apply_: bool, as_json: bool
) -> int:
    from infra.cli.kube_common import reach
    from infra.kube import putting

    kube = reach(loaded, way)
    items = putting.compare(kube, objects)
    if apply_:
        putting.put(kube, items)
    if as_json:
        data = [item.data() for item in items]
        emit({"format": 1, "cluster": loaded.cluster.cluster, "applied": apply_, "objects": data, "notes": notes})
    else:
        from infra.ui import kube_view

        kube_view.manifests(items, notes, applied=apply_)
    return 2 if not apply_ and any(item.state != "same" for item in items) else 0


def _bare(body: dict[str, Any]) -> dict[str, str]:
    from infra.kube.manifests import bundle

    return {"title": bundle.title(body), "path": bundle.path(body)}


def _efs(loaded: Loaded, strict: bool) -> tuple[dict[tuple[str, str], str], list[str]]:
    """The ids of the file systems, and which are not there. Who only prints needs no AWS: then it is a note."""
    from infra.errors import CloudError, LocalError
    from infra.kube.manifests import storage

    if not storage.missing(loaded.cluster, {}):
        return {}, []
    from infra.cloud import file_systems
    from infra.cloud.site import look_site

    try:
        session = look_site(loaded).session
        session.guard()
        found = file_systems.ids(session, loaded.cluster)
    except (CloudError, LocalError) as error:
        if strict:
            raise
        return {}, [f"no storage class for EFS: its id could not be asked ({error})"]
    left = storage.missing(loaded.cluster, found)
    notes = [f"no storage class for {name} in {region} yet: there is no EFS (infra apply)" for name, region in left]
    return found, notes
