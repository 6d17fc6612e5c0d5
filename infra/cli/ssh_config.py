"""``infra ssh-config``."""

from __future__ import annotations

from pathlib import Path

import click

from infra.cli.common import emit, spec_options
from infra.cli.node_choose import patterns_argument
from infra.cli.node_common import Reach, reach_options

EPILOG = """\b
Examples:
  infra ssh-config                 print it
  infra ssh-config --install       write ~/.ssh/config.d/infra-CLUSTER, and say the line that includes it
  ssh titan-01                     works then, and so do scp, rsync and editors
"""


@click.command("ssh-config", epilog=EPILOG)
@patterns_argument
@click.option("--install", is_flag=True, help="Write the file; your ~/.ssh/config itself is never changed.")
@spec_options
@reach_options
def command(
    patterns: tuple[str, ...], install: bool, file: Path, endpoint: str | None, as_json: bool, reach: Reach
) -> int:
    """Print an Include for ~/.ssh/config: every machine (or those of the PATTERNs) by its name.

    Host keys are looked up in the cluster's pins alone, under the machine's identity: an address that another machine
    gets later means nothing. No machine is connected to. Exit code 0; 1: an error.
    """
    from infra.cli.node_choose import choose, read, trust
    from infra.node.export import openssh

    chosen = choose(read(file, endpoint), patterns, reach)
    cluster = chosen.loaded.cluster.cluster
    identities = [item.absolute() for item in reach.identities]
    text = openssh.config(cluster, chosen.reached, trust(chosen), identities=identities)
    target = Path.home() / ".ssh" / "config.d" / f"infra-{cluster}"
    line = f"Include config.d/infra-{cluster}"
    included = _included(Path.home() / ".ssh" / "config", target)
    if install:
        from infra import files

        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        files.write_text(target, text, mode=0o600)
    if as_json:
        emit(
            {
                "format": 1,
                "cluster": cluster,
                "text": text,
                "path": str(target) if install else "",
                "include": line,
                "included": included,
            }
        )
    elif not install:
        click.echo(text, nl=False)
    else:
        click.echo(f"written: {target}")
        if not included:
            click.echo(f"Next: put this at the top of ~/.ssh/config:\n  {line}")
    return 0


def _included(config: Path, target: Path) -> bool:
    """Whether an Include of the user's config names the file. What stands below a Host line does not count."""
    import fnmatch

    try:
        lines = config.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return False
    for line in lines:
        key, *words = line.replace("=", " ", 1).split() or [""]
        if key.lower() in ("host", "match"):
            return False
        for word in words if key.lower() == "include" else ():
            path = Path(word.strip('"')).expanduser()
            if fnmatch.fnmatch(str(target), str(path if path.is_absolute() else config.parent / path)):
                return True
    return False
