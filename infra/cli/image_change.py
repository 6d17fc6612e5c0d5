"""``infra image promote`` and ``revoke``: they move a pointer, or write a tag."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from infra.cli.common import emit, region_option, spec_options

if TYPE_CHECKING:
    from infra.cli.image_common import Desk
    from infra.image.ledger import Image
    from infra.image.world import World

PROMOTE_EPILOG = """\b
Examples:
  infra image promote gpu                    what the file says of gpu, in all its regions
  infra image promote gpu --to 3f9a1c        go back to an older digest, and stay there
  infra image promote gpu --to ami-0123456789abcdef0 --region us-west-2
"""
REVOKE_EPILOG = """\b
Examples:
  infra image revoke ami-0123456789abcdef0 --why "CVE-2026-1234 in the container toolkit"
  infra image revoke 3f9a1c --undo
"""
LONGEST = 240  # characters of a reason


@click.command("promote", epilog=PROMOTE_EPILOG)
@click.argument("profile")
@spec_options
@region_option
@click.option("--to", default="", metavar="IMAGE", help="This image; default: the one of the file's digest.")
def promote(profile: str, file: Path, endpoint: str | None, as_json: bool, regions: tuple[str, ...], to: str) -> int:
    """Let the machines of PROFILE start from an image; the next plan shows what that changes.

    With --to an image of another digest than the file's is pinned: plans keep it, and say so, until `infra image
    promote PROFILE` follows the file again. All regions of the profile are moved, or none. A revoked image, or one
    whose smoke test failed, is refused. Exit code 0; 1: an error.
    """
    from infra.cli.image_common import desk
    from infra.cloud.work import now, who
    from infra.image import promoted, promotion, store
    from infra.image.builder import architecture_of, regions_of

    at = desk(file, endpoint, regions, everywhere=True)
    _check_profile(at, profile)
    notes: list[str] = []
    digest = _digest(at, profile, must=not to, notes=notes)
    seen = at.look()
    machines = architecture_of(at.loaded.cluster, profile)
    wish = promotion.Wish(profile, digest, who(), now(), at.find(to, seen) if to else None, machines)
    wanted = at.asked or regions_of(at.loaded.cluster, profile)
    found = promotion.promotions(wish, seen.images, seen.pointers, wanted)
    chosen = [] if at.asked else [(profile, item.image.digest) for item in found]
    pulled = promoted.follow(at.session, at.loaded.cluster, chosen, who(), now())  # first: it may refuse
    for item in found:
        if not item.same:
            store.promote(at.session, at.cluster, item.after)
    if at.asked and at.loaded.cluster.converge.pull:
        notes.append(f"machines that pull stay at what they are told: infra policy publish {profile} moves them")
    notes += [f"machines that pull go to {move.after.digest[:12]}" for move in pulled if move.moved]
    if as_json:
        moves = [item.data() for item in found]
        emit({"format": 1, "cluster": at.cluster, "profile": profile, "promotions": moves, "notes": notes})
    else:
        from infra.ui import image_view

        image_view.promoted(profile, found, notes)
    return 0


@click.command("revoke", epilog=REVOKE_EPILOG)
@click.argument("image")
@spec_options
@region_option
@click.option("--why", default="", metavar="TEXT", help="The reason; everybody whose plan it stops reads it.")
@click.option("--undo", is_flag=True, help="It is good again.")
def revoke(
    image: str, file: Path, endpoint: str | None, as_json: bool, regions: tuple[str, ...], why: str, undo: bool
) -> int:
    """Mark IMAGE and its copies in all regions (or those of --region): no plan launches a machine from it any more.

    Machines that run from it go on. Exit code 0; 1: an error.
    """
    from infra.cli.image_common import desk
    from infra.errors import UsageError
    from infra.image import store

    reason = _reason(image, why, undo)
    at = desk(file, endpoint, regions, everywhere=True)
    seen = at.look()
    found = [item for item in seen.copies(at.find(image, seen)) if not at.asked or item.region in at.asked]
    if not found:
        raise UsageError(
            f"{image} has no copy in {', '.join(at.asked)}",
            where="--region",
            fix="leave --region out: all copies are meant",
        )
    done = [store.revoke(at.session, item, reason) for item in found if item.revoked != reason]
    moved = {item.id: item for item in done}
    now = [moved.get(item.id, item) for item in found]
    if as_json:
        listed = [{**seen.data(item), "changed": item.id in moved} for item in now]
        emit({"format": 1, "cluster": at.cluster, "revoked": not undo, "images": listed})
    else:
        _show(seen, now, moved, undo)
    return 0


def _check_profile(at: Desk, profile: str) -> None:
    from infra.errors import UsageError
    from infra.spec.explain import did_you_mean

    profiles = at.loaded.cluster.profiles
    if profile not in profiles:
        raise UsageError(
            f"there is no profile {profile!r}",
            where=at.loaded.where("profiles"),
            why=f"the profiles are: {', '.join(profiles) or 'none'}",
            fix=did_you_mean(profile, profiles, "name one of them"),
        )
    if profiles[profile].image:
        raise UsageError(
            f"profile {profile} names its AMI itself: {profiles[profile].image}",
            where=at.loaded.where("profiles", profile, "image"),
            why="a pointer would not be followed",
            fix=f"take image: out of profiles.{profile}, or change it there",
        )


def _digest(at: Desk, profile: str, must: bool, notes: list[str]) -> str:
    """The file's digest of the profile. Going back to an older image must work with a broken policy, too."""
    from infra import policy
    from infra.errors import PolicyError

    try:
        return policy.of(at.loaded, profile).digest
    except PolicyError as error:
        if must:
            raise
        notes.append(f"the policy of {profile} cannot be made from the file: {error}")
        return ""


def _reason(image: str, why: str, undo: bool) -> str:
    from infra.errors import UsageError

    reason = " ".join(why.split())
    if undo and reason:
        raise UsageError("--why and --undo are not for one command", fix=f"infra image revoke {image} --undo")
    if not undo and not reason:
        raise UsageError(
            "a revocation needs a reason",
            where="--why",
            why="whoever's plan it stops must know what is wrong",
            fix=f'infra image revoke {image} --why "CVE-2026-1234 in the container toolkit"',
        )
    if len(reason) > LONGEST:
        raise UsageError(
            f"the reason has {len(reason)} characters, {LONGEST} fit",
            where="--why",
            fix="shorten it; name a ticket",
        )
    return reason


def _show(seen: World, found: list[Image], moved: dict[str, Image], undo: bool) -> None:
    word = "good again" if undo else "revoked"
    for item in found:
        same = "" if item.id in moved else " already"
        click.echo(f"{item.region}  {item.id}  {item.profile} {item.short}  is {word}{same}")
    held = [item for item in found if seen.promoted(item)]
    if held and not undo:
        where = ", ".join(item.region for item in held)
        click.echo(f"It is {seen.promoted(held[0])} in {where}: infra plan refuses to go on until another one is.")
    running = [use.text for item in found for use in seen.uses_of(item)]
    if running and not undo:
        click.echo(f"Still running from it: {', '.join(running)}. They go on.")
    profile = found[0].profile
    other = f"Next: infra image bake {profile} --force, or infra image promote {profile} --to ANOTHER"
    click.echo("Next: infra plan" if undo else other)
