"""``infra image bake``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from infra.cli.common import emit, region_option, spec_options

if TYPE_CHECKING:
    from infra.cloud.aws import Session
    from infra.image.bake import Result
    from infra.spec.load import Loaded

EPILOG = """\b
Examples:
  infra image bake gpu                      make the image that the file describes, wherever its machines are
  infra image bake gpu --force              from Canonical's newest image, even if this one is there already
  infra image bake gpu --instance-type m5.xlarge    on a machine without a GPU
  infra local build-host up && infra image bake gpu --endpoint local    try it on this machine
"""


@click.command("bake", epilog=EPILOG, short_help="Make a profile's image with Packer, unless it is there.")
@click.argument("profile")
@spec_options
@region_option
@click.option("--force", is_flag=True, help="Bake afresh, even if the image is there.")
@click.option("--promote", is_flag=True, help="Let the profile's machines start from it; the first image is anyway.")
@click.option(
    "--instance-type", default="", metavar="TYPE", help="Bake on this; default: a small one, with a GPU if any."
)
@click.option("--subnet", default="", metavar="ID", help="Bake in this subnet; default: a public one.")
@click.option("--disk", default=0, metavar="GB", type=click.IntRange(0, 16_000), help="Root disk of the image.")
def bake(
    profile: str,
    file: Path,
    endpoint: str | None,
    as_json: bool,
    regions: tuple[str, ...],
    force: bool,
    promote: bool,
    instance_type: str,
    subnet: str,
    disk: int,
) -> int:
    """Make PROFILE's image with Packer and copy it to every region where its machines are.

    An image with the same digest is not made again. A failed smoke test means no image. Exit code 0: made, or there
    already; 1: an error; nothing that costs is left behind either way.
    """
    from infra import proc
    from infra.cloud import aws
    from infra.cloud.site import needs_aws
    from infra.image import bake as bakes
    from infra.image.build import Options
    from infra.spec.load import read
    from infra.ui.bake_view import reporter

    loaded, _ = read(file, endpoint)
    bakes.prepare(loaded, profile, regions)  # before the embedded AWS would be started
    wanted = needs_aws(loaded)
    session = aws.session(wanted, _endpoint(loaded))
    cancel = proc.Cancel()
    with reporter(profile, as_json) as progress, proc.on_ctrl_c(cancel, lambda text: click.echo(text, err=True)):
        result = bakes.run(
            loaded,
            profile,
            regions,
            force=force,
            session=session,
            progress=progress,
            cancel=cancel,
            options=Options(instance_type, subnet, disk),
        )
    promoted = _promote(session, loaded, result, promote)
    if as_json:
        emit({**result.data(), "promoted": promoted})
    else:
        _show(result, promoted)
    return 0


def _endpoint(loaded: Loaded) -> str | None:
    from infra.cloud.site import needs_aws

    if not loaded.cluster.local:
        return needs_aws(loaded).endpoint
    from infra.local import control

    return control.up().url


def _promote(session: Session, loaded: Loaded, result: Result, asked: bool) -> list[str]:
    """The regions in which the profile's pointer was moved: where asked for, and where there was none."""
    from infra.cloud.work import now, who
    from infra.image import promoted, store
    from infra.image.ledger import Pointer

    cluster, profile = loaded.cluster.cluster, result.policy.profile
    there = store.pointers(session, cluster, [image.region for image in result.images])
    moved = []
    for image in result.images:
        pointer = there.get((image.region, profile))
        if pointer is not None and (not asked or (pointer.image == image.id and not pointer.pinned)):
            continue
        new = Pointer(image.region, profile, image.id, image.digest, False, who(), now())
        store.promote(session, cluster, new)
        moved.append(image.region)
    if moved:
        promoted.follow(session, loaded.cluster, [(profile, result.policy.digest)], who(), now())
    return moved


def _show(result: Result, promoted: list[str]) -> None:
    profile, short = result.policy.profile, result.policy.short
    if result.nothing:
        for image in result.images:
            click.echo(f"{profile}: image {image.id} ({short}) is there already in {image.region}: nothing to do")
    else:
        for image in result.images:
            done = "copied" if image.region in result.copied else "baked" if result.built else "there already"
            click.echo(f"{image.region}  {image.id}  {image.name}  {done}; smoke test: {image.smoke}")
    if result.built is not None and result.built.client.rehearsal:
        click.echo("REHEARSAL: nothing was converged in this image; it is good for trying infra alone", err=True)
    if promoted:
        click.echo(f"promoted in {', '.join(promoted)}: machines of {profile} start from it. Next: infra plan")
    elif not result.nothing:
        click.echo(f"Next: infra image promote {profile}, then infra plan")
