"""A command whose line has two parts: words of ours, and after ``--`` a command that is somebody else's."""

from __future__ import annotations

import click


class WithCommand(click.Command):
    """What stands after the first ``--`` is not parsed: it is ``ctx.meta[KEY]``, None when there is no ``--``."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        given = list(args)
        ctx.meta[KEY] = None
        if "--" in given:
            place = given.index("--")
            ctx.meta[KEY] = given[place + 1 :]
            given = given[:place]
        return super().parse_args(ctx, given)

    def collect_usage_pieces(self, ctx: click.Context) -> list[str]:
        return [*super().collect_usage_pieces(ctx), "-- COMMAND..."]


KEY = "infra.command"


def after_dashes() -> list[str] | None:
    """The words after ``--``."""
    found: list[str] | None = click.get_current_context().meta[KEY]
    return found
