"""Options and output that every command shares."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])

ENDPOINT_VARIABLE = "INFRA_AWS_ENDPOINT"

file_option = click.option(
    "-f",
    "--file",
    "file",
    type=click.Path(path_type=Path),
    default=lambda: Path(os.environ.get("INFRA_FILE", "cluster.yaml")),
    show_default="cluster.yaml",
    help="The cluster's description.",
)
endpoint_option = click.option(
    "--endpoint",
    default=lambda: os.environ.get(ENDPOINT_VARIABLE) or None,
    show_default="what the file says",
    metavar="local|URL",
    help="Use this AWS endpoint instead of the file's; 'local' is the embedded AWS.",
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON (documented, stable).")
region_option = click.option("--region", "regions", multiple=True, help="Only this region; may be given again.")


def spec_options(function: F) -> F:
    """``--file``, ``--endpoint`` and ``--json``: passed as ``file``, ``endpoint`` and ``as_json``."""
    return file_option(endpoint_option(json_option(function)))


def output_option(default: str) -> Callable[[F], F]:
    """``-o FILE``: passed as ``output``, None without it; ``default`` says in words where it goes then."""
    return click.option(
        "-o",
        "--output",
        type=click.Path(path_type=Path),
        default=None,
        show_default=default,
        help="The file to write.",
    )


def emit(data: Any) -> None:
    """Print one JSON document on stdout, keys sorted."""
    click.echo(json.dumps(data, indent=2, sort_keys=True, ensure_ascii=False))
