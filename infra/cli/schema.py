"""``infra schema``."""

from __future__ import annotations

import click

from infra.cli.common import emit

EPILOG = """\b
Examples:
  infra schema > cluster.schema.json
  then, as the first line of cluster.yaml, for VS Code, Neovim and others with yaml-language-server:
  # yaml-language-server: $schema=cluster.schema.json
"""


@click.command(epilog=EPILOG)
@click.option("--json", "as_json", is_flag=True, help="The schema is JSON in any case.")
def command(as_json: bool) -> int:
    """Print the JSON Schema of cluster.yaml, for editors."""
    from infra.spec.schema import schema

    emit(schema())
    return 0
