"""``infra image``: a group whose commands are imported when they run."""

from __future__ import annotations

import click

from infra.cli.lazy import Lazy

# name -> (module, one line of help). The group's help is printed from here without importing any of them.
COMMANDS: dict[str, tuple[str, str]] = {
    "bake": ("infra.cli.image_bake:bake", "Make a profile's image with Packer, unless it is there."),
    "list": ("infra.cli.image_look:list_", "Show all images, regions side by side."),
    "show": ("infra.cli.image_look:show", "Show one image: what it holds, where it is in use."),
    "tree": ("infra.cli.image_look:tree", "Show which image was baked on which."),
    "diff": ("infra.cli.image_look:diff", "Compare two images: packages, versions, attributes."),
    "promote": ("infra.cli.image_change:promote", "Let a profile's machines start from an image."),
    "revoke": ("infra.cli.image_change:revoke", "Let no machine start from an image any more."),
    "prune": ("infra.cli.image_prune:prune", "Remove images that nothing needs, after listing them."),
}

EXAMPLE = """
Examples:
  infra image bake gpu                       what the file says of gpu, as an AMI
  infra image list                           what there is, where it is promoted and in use
  infra image diff gpu ami-0123456789abcdef0 what another one would change
  infra image promote gpu --to 3f9a1c        go back to an older one
  infra image prune --keep 2                 remove what nothing needs

An IMAGE is an AMI id, an AMI's name, a profile (its promoted image), or the beginning of a digest.
"""


class Commands(Lazy):
    table = COMMANDS
    example = EXAMPLE
    program = "infra image"


@click.group("image", cls=Commands)
def command() -> None:
    """Images: what a profile is, baked into an AMI in every region that needs it.

    What is known of an image stands in its tags; which one a profile's machines start from, in a parameter of Systems
    Manager. `infra plan` follows both.
    """
