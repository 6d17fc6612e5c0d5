"""``infra image``: a group whose commands are imported when they run."""

from __future__ import annotations

import importlib

import click

# name -> (module, one line of help). The group's help is printed from here without importing any of them.
COMMANDS: dict[str, tuple[str, str]] = {
    "bake": ("infra.cli.image_bake", "Make a profile's image with Packer, unless it is there."),
    "list": ("infra.cli.image_look", "Show all images, regions side by side."),
    "show": ("infra.cli.image_look", "Show one image: what it holds, where it is in use."),
    "tree": ("infra.cli.image_look", "Show which image was baked on which."),
    "diff": ("infra.cli.image_look", "Compare two images: packages, versions, attributes."),
    "promote": ("infra.cli.image_change", "Let a profile's machines start from an image."),
    "revoke": ("infra.cli.image_change", "Let no machine start from an image any more."),
    "prune": ("infra.cli.image_prune", "Remove images that nothing needs, after listing them."),
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


class Lazy(click.Group):
    """Commands by name from :data:`COMMANDS`."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name not in COMMANDS:
            return None
        module = importlib.import_module(COMMANDS[name][0])
        found = getattr(module, "list_" if name == "list" else name)
        assert isinstance(found, click.Command)
        return found

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        formatter.write(EXAMPLE)


@click.group("image", cls=Lazy)
def command() -> None:
    """Images: what a profile is, baked into an AMI in every region that needs it.

    What is known of an image stands in its tags; which one a profile's machines start from, in a parameter of Systems
    Manager. `infra plan` follows both.
    """
