"""A group whose commands live in modules that are imported on use; its help is printed without importing any."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import ClassVar

import click

from infra.errors import UsageError


class Lazy(click.Group):
    """``table``: name -> (module, one line of help), or (module:attribute, …) where that is not ``command``.

    ``example`` ends the help; ``program`` is what the user typed to get here.
    """

    table: ClassVar[Mapping[str, tuple[str, str]]]
    example: ClassVar[str]
    program: ClassVar[str]

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.table)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name not in self.table:
            return None
        module, _, attribute = self.table[name][0].partition(":")
        command = getattr(importlib.import_module(module), attribute or "command")
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in self.table.items()])

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        formatter.write(self.example)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name = args[0] if args else ""
        if name and not name.startswith("-") and name not in self.table:
            import difflib

            close = difflib.get_close_matches(name, self.table, n=1)
            raise UsageError(
                f"there is no command {name!r}",
                fix=f"did you mean: {self.program} {close[0]}" if close else f"see {self.program} --help",
            )
        return super().resolve_command(ctx, args)
