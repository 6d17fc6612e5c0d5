"""``infra policy publish``: what machines that pull are to be."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from infra.cli.common import emit, spec_options

if TYPE_CHECKING:
    from infra.image.promoted import Move
    from infra.spec.load import Loaded

EPILOG = """\b
Examples:
  infra policy publish gpu                   machines of gpu that pull go to what the file says
  infra policy publish gpu --to 3f9a1c       go back to a policy that was published before
"""


@click.command("publish", epilog=EPILOG, short_help="Let machines that pull fetch it.")
@click.argument("profile")
@click.option("--to", default="", metavar="DIGEST", help="This policy, published before; default: the file's.")
@spec_options
def command(profile: str, to: str, file: Path, endpoint: str | None, as_json: bool) -> int:
    """Put the archive of PROFILE's policy into the ledger's bucket, and let machines that pull fetch it.

    `infra apply` and `infra image promote` do so by themselves; this is for machines without an image. Which machines
    pull, and how often: converge.pull in cluster.yaml. Exit code 0; 1: an error.
    """
    from infra import policy
    from infra.cloud.site import look_site
    from infra.cloud.work import now, who
    from infra.image import promoted, syntax
    from infra.spec.load import load

    loaded = load(file, endpoint)
    made = None if to else policy.of(loaded, profile)
    if made is not None:
        syntax.check(made)
    _check(loaded, profile)
    session = look_site(loaded).session
    session.guard()
    if made is None:
        digest = promoted.resolve(session, loaded.cluster, to)
        move = promoted.point(session, loaded.cluster, profile, digest, who(), now())
    else:
        move = promoted.publish(session, loaded.cluster, made, who(), now())
    notes = _notes(loaded)
    if as_json:
        emit({"format": 1, "cluster": loaded.cluster.cluster, "profile": profile, **move.data(), "notes": notes})
    else:
        _show(move, notes)
    return 0


def _check(loaded: Loaded, profile: str) -> None:
    from infra.errors import UsageError
    from infra.spec.explain import did_you_mean

    profiles = loaded.cluster.profiles
    if profile not in profiles:
        raise UsageError(
            f"there is no profile {profile!r}",
            where=loaded.where("profiles"),
            why=f"the profiles are: {', '.join(profiles) or 'none'}",
            fix=did_you_mean(profile, profiles, "name one of them"),
        )


def _notes(loaded: Loaded) -> list[str]:
    if loaded.cluster.converge.pull is not None:
        return []
    return ["no machine pulls yet: cluster.yaml has no converge: {pull: 30m}"]


def _show(move: Move, notes: list[str]) -> None:
    after = move.after
    was = f"{move.before.digest[:12]} → " if move.before and move.moved else ""
    click.echo(f"{after.profile}  {was}{after.digest[:12]}{'' if move.moved else ' already'}  {after.url}")
    for note in notes:
        click.echo(f"note: {note}")
    click.echo("Next: infra node reports")
