"""``infra local``: the embedded AWS, by hand. Commands that need it start it by themselves."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import click

from infra.cli.common import emit, json_option

GROUP_EXAMPLE = """\b
Examples:
  infra local up              start it (does nothing when it runs)
  infra local status --json   where it is and what is in it
  eval "$(infra local env)"   this shell's aws, terraform and boto3 then talk to it
  infra local down            stop it; everything in it is lost
"""


@click.group("local", epilog=GROUP_EXAMPLE)
def command() -> None:
    """The embedded AWS: a server on this machine that the real Terraform provider talks to.

    A cluster with `aws: {endpoint: local}` starts it by itself. What is made in it lives in memory, until it is
    stopped or the machine restarts; it costs nothing and starts no machine.
    """


@command.command("up", epilog="\b\nExample:\n  infra local up")
@click.option("--port", type=click.IntRange(0, 65535), default=None, help="The port to try first; 0 is any free one.")
@json_option
def up(port: int | None, as_json: bool) -> None:
    """Start the embedded AWS, unless it runs already."""
    from infra.local import control

    running = control.up(port)
    if as_json:
        emit(_data(running))
        return
    click.echo(f"The embedded AWS {'runs now' if running.fresh else 'runs'} at {running.url} (process {running.pid}).")
    click.echo("Next: write `aws: {endpoint: local}` in cluster.yaml, then: infra plan")


@command.command("status", epilog="\b\nExample:\n  infra local status")
@json_option
def status(as_json: bool) -> None:
    """Say whether the embedded AWS runs, where, and how much is in it. Exit code 0 either way."""
    from infra.local import control

    found = control.status()
    counts = _counts() if found.running else {}
    if as_json:
        emit(_data(found) | {"resources": counts})
        return
    if not found.running:
        click.echo("The embedded AWS does not run. Start it: infra local up")
        return
    click.echo(f"The embedded AWS runs at {found.url} (process {found.pid}, for {_duration(found.uptime)}).")
    click.echo(f"log: {found.log}")
    if not counts:
        click.echo("It is empty.")
    for region, types in counts.items():
        click.echo(f"{region}: " + ", ".join(f"{number} {kind}" for kind, number in types.items()))


@command.command("down", epilog="\b\nExample:\n  infra local down")
@json_option
def down(as_json: bool) -> None:
    """Stop the embedded AWS. Everything in it is lost."""
    from infra.local import control

    lost = sum(sum(types.values()) for types in _counts().values()) if control.status().running else 0
    was = control.down()
    if as_json:
        emit({"stopped": was.running, "pid": was.pid, "lost": lost})
        return
    if not was.running:
        click.echo("The embedded AWS does not run.")
        return
    click.echo(f"The embedded AWS is stopped; {lost} {'resource' if lost == 1 else 'resources'} went with it.")


@command.command(
    "env",
    short_help="Print what makes this shell's tools talk to it.",
    epilog='\b\nExample:\n  eval "$(infra local env)" && aws ec2 describe-vpcs',
)
@click.option("--region", default="us-west-2", show_default=True, help="The region to set.")
@json_option
def env(region: str, as_json: bool) -> None:
    """Print shell commands that make this shell's tools talk to the embedded AWS, and to nothing else.

    Sets dummy credentials, the endpoint and Terraform's provider mirror, and puts the embedded terraform on PATH.
    """
    from infra.errors import LocalError
    from infra.local import control, endpoint, engine, mirror

    running = control.status()
    if not running.running:
        raise LocalError("the embedded AWS does not run", fix="infra local up")
    variables = endpoint.credentials(region, running.url) | engine.engine_environment(mirror.cli_config())
    unset = endpoint.leaking()
    folder = str(engine.terraform_executable().parent) if engine.available() else ""
    if as_json:
        emit({"path": folder, "set": variables, "unset": unset})
        return
    for name in unset:
        click.echo(f"unset {name}")
    for name, value in sorted(variables.items()):
        click.echo(f"export {name}={shlex.quote(value)}")
    if folder:
        click.echo(f'export PATH={shlex.quote(folder)}:"$PATH"')


@command.command(
    "nodes",
    short_help="Let real machines stand in for its instances.",
    epilog="\b\nExamples:\n  infra local nodes machines.json\n  infra local nodes          what is set"
    "\n  infra local nodes --clear",
)
@click.argument("machines", type=click.Path(path_type=Path), required=False)
@click.option("--clear", is_flag=True, help="Its instances are only records again.")
@json_option
def nodes(machines: Path | None, clear: bool, as_json: bool) -> None:
    """Let real machines stand in for instances of the embedded AWS, which starts none itself.

    MACHINES is a JSON file: {"dev-1": {"address": "192.0.2.7", "host_key": "ssh-ed25519 AAAA..."}, "gpu": [...]}, with
    the name of a host's machine, or a pool's and its machines in order. The embedded AWS then gives that address as the
    instance's, and that key on its console. They are logged in to as every instance is: the account ubuntu, port 22.
    """
    from infra import files
    from infra.local import nodes as seats

    if clear:
        seats.clear()
    if machines is not None:
        seats.write(seats.parse(files.read_json(machines), str(machines)))
    found = seats.read()
    if as_json:
        emit({"machines": seats.data(found)})
        return
    for name, stand_ins in found.items():
        click.echo(f"{name}: {', '.join(seat.address for seat in stand_ins)}")
    if not found:
        click.echo("No machine stands in for an instance.")


@command.command(
    "capacity",
    short_help="Say how much it has to give.",
    epilog="\b\nExamples:\n  infra local capacity scarce.json\n  infra local capacity          what is set"
    "\n  infra local capacity --clear",
)
@click.argument("rules", type=click.Path(path_type=Path), required=False)
@click.option("--clear", is_flag=True, help="It has everything again, at once.")
@json_option
def capacity(rules: Path | None, clear: bool, as_json: bool) -> None:
    """Say how much the embedded AWS has to give, and how long its machines take. It starts with everything, at once.

    RULES is a JSON file: {"limits": [{"region": "us-west-2", "type": "p4d.*", "machines": 0}, {"market": "spot",
    "vcpus": 64}], "pending_seconds": 30, "retry_seconds": 30, "notice_seconds": 120}. Auto Scaling then falls over to
    the next type and zone, and fails in AWS's words. The rules end with the server.
    """
    from infra import files
    from infra.local import capacity as supplies

    if clear:
        supplies.write(supplies.Rules())
    if rules is not None:
        supplies.write(supplies.parse(files.read_json(rules), str(rules)))
    found = supplies.read()
    if as_json:
        emit(found.data())
        return
    for limit in found.limits:
        what = f"{limit.machines} machines" if limit.machines is not None else f"{limit.vcpus} vCPUs"
        code = f" ({limit.code})" if limit.code else ""
        click.echo(f"{limit.type} {limit.market} in {limit.region}, zone {limit.zone}: {what}{code}")
    if not found.limits:
        click.echo("It has room for everything.")
    click.echo(
        f"A machine takes {found.pending_seconds:g} s to run; a spot machine's notice is {found.notice_seconds:g} s."
    )


@command.command("interrupt", epilog="\b\nExample:\n  infra local interrupt i-0123456789abcdef0")
@click.argument("instances", nargs=-1, required=True)
@json_option
def interrupt(instances: tuple[str, ...], as_json: bool) -> None:
    """Take spot machines back: they get their notice, and end after it (see `infra local capacity`)."""
    from infra.errors import UsageError
    from infra.local import capacity as supplies

    found = supplies.interrupt(instances)
    lost = sorted(set(instances) - set(found))
    if lost:
        raise UsageError(
            f"no such spot machine runs: {', '.join(lost)}",
            fix="list them: aws ec2 describe-instances --filters Name=instance-lifecycle,Values=spot",
        )
    if as_json:
        emit({"interrupted": found})
        return
    click.echo(f"Marked for termination: {', '.join(found)}")


BUILD_HOST_EXAMPLE = """\b
Examples:
  infra local build-host up          once: make its Debian, prove that a machine starts
  infra image bake gpu --endpoint local
  infra local build-host down        end its machines; the Debian stays in the cache
"""


@command.group("build-host", epilog=BUILD_HOST_EXAMPLE)
def build_host() -> None:
    """Machines for `infra image bake` on the embedded AWS, whose instances are only records.

    Needs Linux and root. Each bake has a machine of its own, with a fresh disk, for as long as it takes.
    """


@build_host.command(
    "up", short_help="Make its Debian, prove that a machine starts.", epilog="\b\nExample:\n  infra local build-host up"
)
@json_option
def build_host_up(as_json: bool) -> None:
    """Make the Debian that its machines start from, unless it is there, and prove that one starts."""
    from infra.local import build_host as host

    found = host.up(lambda text: click.echo(text, err=True))
    if as_json:
        emit(_data(found))
        return
    click.echo(f"The build host is up; its machines start from {found.root}.")
    click.echo("Next: infra image bake PROFILE --endpoint local")


@build_host.command(
    "status",
    short_help="Say whether a bake can have a machine here.",
    epilog="\b\nExample:\n  infra local build-host status",
)
@json_option
def build_host_status(as_json: bool) -> None:
    """Say whether a bake can have a machine here, and which machines run. Exit code 0 either way."""
    from infra.local import build_host as host

    found = host.status()
    if as_json:
        emit(_data(found))
        return
    if found.up:
        click.echo(f"The build host is up; its machines start from {found.root}.")
    elif found.why:
        click.echo(f"This machine can be no build host: {found.why}.")
    else:
        click.echo("The build host is not up. Start it: infra local build-host up")
    for machine in found.machines:
        click.echo(f"{machine.name}: {machine.user}@{machine.address} (process {machine.pid}, {machine.mode})")


@build_host.command("down", epilog="\b\nExample:\n  infra local build-host down")
@json_option
def build_host_down(as_json: bool) -> None:
    """End its machines. The Debian that they start from stays in the cache."""
    from infra.local import build_host as host

    ended = [machine.name for machine in host.down()]
    if as_json:
        emit({"ended": ended})
        return
    click.echo(f"The build host is down; {len(ended)} {'machine' if len(ended) == 1 else 'machines'} ended.")


def _counts() -> dict[str, dict[str, int]]:
    """region ("global" for services without one) -> Terraform type -> how many, of what somebody asked for."""
    from infra.local import inventory

    counts: dict[str, dict[str, int]] = {}
    for resource in inventory.resources():
        if not resource.owner:
            types = counts.setdefault(resource.region or "global", {})
            types[resource.type] = types.get(resource.type, 0) + 1
    return counts


def _data(found: Any) -> dict[str, Any]:
    from dataclasses import asdict

    return asdict(found)


def _duration(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.0f} s"
    if seconds < 3600:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"
