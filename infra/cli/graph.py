"""``infra graph``."""

from __future__ import annotations

from pathlib import Path

import click

from infra.cli.common import emit, spec_options

EPILOG = """\b
Examples:
  infra graph                     writes CLUSTER.svg
  infra graph -o lab.html         a page with tips, light and dark
  infra graph -o - | rsvg-convert > lab.png
"""


@click.command(epilog=EPILOG)
@spec_options
@click.option(
    "-o", "--output", default="", metavar="FILE", help="Where to write; '-' is stdout. [default: CLUSTER.svg]"
)
@click.option(
    "--format", "form", type=click.Choice(["svg", "html"]), help="Left out: what FILE ends in; without an ending, svg."
)
def command(file: Path, endpoint: str | None, as_json: bool, output: str, form: str | None) -> int:
    """Draw what cluster.yaml describes: regions, subnets, pools, hosts, metal, storage."""
    from infra import files
    from infra.errors import UsageError
    from infra.spec.load import read
    from infra.ui.graph import scene
    from infra.ui.graph_html import page
    from infra.ui.graph_svg import svg

    if output == "-" and as_json:
        raise UsageError("-o - and --json both want stdout", where="command line", fix="give -o a file")
    loaded, _ = read(file, endpoint)
    ending = Path(output).suffix.lower().lstrip(".").replace("htm", "html").replace("htmll", "html")
    if form is None and ending not in ("", "svg", "html"):
        raise UsageError(
            f"there is no drawing as .{ending}",
            where=f"-o {output}",
            fix="end it in .svg or .html; a PNG: infra graph -o - | rsvg-convert > lab.png",
        )
    form = form or ending or "svg"
    picture = svg(scene(loaded.cluster))
    text = page(f"{loaded.cluster.cluster} – infra", picture) if form == "html" else picture
    if output == "-":
        click.echo(text, nl=False)
        return 0
    path = Path(output or f"{loaded.cluster.cluster}.{form}")
    files.write_text(path, text)
    if as_json:
        emit({"cluster": loaded.cluster.cluster, "file": str(path), "format": form})
    else:
        click.echo(f"Drew {loaded.cluster.cluster} in {path}. Open it in a browser.")
    return 0
