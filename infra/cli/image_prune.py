"""``infra image prune``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from infra.cli.common import emit, region_option, spec_options

if TYPE_CHECKING:
    from infra.cli.image_common import Desk
    from infra.image.prune import Selection
    from infra.image.pruning import Outcome

EPILOG = """\b
Examples:
  infra image prune                          list, ask, remove
  infra image prune --keep 1 --older-than 30
  infra image prune --json                   list, remove nothing
  infra image prune --yes                    list and remove
"""


@click.command("prune", epilog=EPILOG)
@spec_options
@region_option
@click.option(
    "--keep", default=3, show_default=True, type=click.IntRange(0), help="So many of each profile stay in any case."
)
@click.option("--older-than", default=0, metavar="DAYS", type=click.IntRange(0), help="Only images older than that.")
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
def prune(
    file: Path,
    endpoint: str | None,
    as_json: bool,
    regions: tuple[str, ...],
    keep: int,
    older_than: int,
    yes: bool,
) -> int:
    """Remove images that nothing needs, with their snapshots, after listing them.

    Never one that is promoted or pinned anywhere, in use by a group, a launch template or a machine, shared, or the
    parent of such a one. Each is looked at again right before it goes. Exit code 0; 1: an error, or the answer was no.
    """
    from infra.cli.image_common import desk
    from infra.image import pruning
    from infra.image.prune import Rules

    at = desk(file, endpoint, regions, everywhere=True)  # a pointer in any region holds the copies in the others
    seen = at.look()
    wanted = at.asked or at.regions
    chosen = pruning.choose(seen, Rules(keep, older_than)).within(wanted)
    loose = pruning.loose(at.session, at.cluster, wanted)
    if not as_json:
        from infra.ui import image_view

        image_view.selection(at.cluster, chosen, loose)
    idle = not chosen.removed and not loose
    if idle or (as_json and not yes):
        if as_json:
            _emit(at, chosen, loose, [], [])
        return 0
    if not yes:
        _ask(len(chosen.removed), len(loose))
    done, gone = _remove(at, chosen, loose, as_json)
    if as_json:
        _emit(at, chosen, loose, done, gone)
        return 1 if any(outcome.failed for outcome in done) else 0
    _check(done)
    return 0


def _ask(images: int, snapshots: int) -> None:
    from infra.errors import Refused
    from infra.plan.words import many
    from infra.ui.console import interactive

    if not interactive():
        raise Refused(
            "nobody is there to say yes",
            where="infra image prune",
            why="this is not a terminal; nothing was removed",
            fix="add --yes",
        )
    words = [many(count, word) for count, word in ((images, "image"), (snapshots, "left-over snapshot")) if count]
    if not click.confirm(f"Remove {' and '.join(words)}?"):
        raise Refused("nothing was removed", fix="run it again when you are sure")


def _remove(at: Desk, chosen: Selection, loose: list[tuple[str, str]], quiet: bool) -> tuple[list[Outcome], list[str]]:
    from infra import proc
    from infra.image import pruning, store

    def say(outcome: Outcome) -> None:
        image = outcome.image
        said = f"stays: {outcome.why}"
        if outcome.removed:
            said = f"removed{f', with {chr(44).join(outcome.snapshots)}' if outcome.snapshots else ''}"
        if not quiet:
            click.echo(f"{image.region}  {image.id}  {said}")

    cancel = proc.Cancel()
    images = [verdict.image for verdict in chosen.removed]
    with proc.on_ctrl_c(cancel, lambda text: click.echo(text, err=True)):
        done = pruning.remove(at.session, at.cluster, at.regions, images, cancel, say)
        gone = [
            ident
            for region in at.regions
            for ident in store.delete_snapshots(at.session, region, [snap for where, snap in loose if where == region])
        ]
    if gone and not quiet:
        click.echo(f"removed {len(gone)} left-over {'snapshot' if len(gone) == 1 else 'snapshots'}")
    return done, gone


def _check(done: list[Outcome]) -> None:
    from infra.errors import CloudError, Problem

    failed = [outcome for outcome in done if outcome.failed]
    if not failed:
        return
    raise CloudError(
        f"{len(failed)} of {len(done)} images could not be removed",
        problems=[
            Problem(
                f"{outcome.image.id} was not removed",
                where=outcome.image.region,
                why=outcome.why,
                fix="look at what AWS says, then run the same command again",
            )
            for outcome in failed
        ],
    )


def _emit(at: Desk, chosen: Selection, loose: list[tuple[str, str]], done: list[Outcome], gone: list[str]) -> None:
    outcomes = {outcome.image.id: outcome for outcome in done}
    emit(
        {
            "format": 1,
            "cluster": at.cluster,
            "kept": [verdict.data() for verdict in chosen.kept],
            "chosen": [verdict.data() for verdict in chosen.removed],
            "outcomes": [outcome.data() for outcome in outcomes.values()],
            "loose": [{"region": region, "snapshot": ident, "removed": ident in gone} for region, ident in loose],
        }
    )
