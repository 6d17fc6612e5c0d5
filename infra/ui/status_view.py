"""What exists, as a person reads it: a table per region by the parts of cluster.yaml; what is ill in red."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from infra.plan.words import many
from infra.ui import money
from infra.ui.console import console
from infra.ui.destroy_view import size
from infra.ui.log_view import moment, words

if TYPE_CHECKING:
    from rich.table import Table

    from infra.cloud.parts import Part
    from infra.cloud.status import RegionStatus, Status
    from infra.plan.model import Machine

MOST = 3  # machines of a group that get a line each


def show(found: Status) -> None:
    """Print everything, then what to do next."""
    out = console()
    for note in found.notes:
        out.print(f"note: {note}", markup=False)
    for region in found.regions:
        _region(region)
    if found.metal:
        out.print(f"[bold]metal[/]: {_metal(found.metal)}; this command does not reach them")
    _around(found)
    _summary(found)


def _region(region: RegionStatus) -> None:
    from rich.markup import escape

    out = console()
    if region.lost:
        out.print(f"[bold]{region.region}[/]: [red]{escape(region.lost)}[/]")
    elif not region.resources:
        out.print(f"[bold]{region.region}[/]: nothing exists yet")
    else:
        out.print(_table(region))
    if not region.in_file:
        out.print(f"  no longer in the file; infra destroy --region {region.region} removes it", markup=False)


def _table(region: RegionStatus) -> Table:
    from rich.table import Table
    from rich.text import Text

    head = f"{region.region}  {many(region.resources, 'resource')}, {money.hourly(region.cost)}/h"
    table = Table(title=head, title_justify="left", title_style="bold", expand=False, box=None)
    for name in ("part", "state", "what", "id"):
        table.add_column(name, overflow="fold")
    before = ""
    for part in region.parts:
        colour = "" if part.healthy else "bold red"
        name = part.part if part.part != before else ""
        before = part.part
        what = Text(facts(part))
        for problem in part.problems:
            what.append(("\n" if what.plain else "") + problem, "red")
        table.add_row(Text(name, colour), Text(part.state, colour or _tone(part)), what, Text(ident(part)))
    return table


def _tone(part: Part) -> str:
    return (
        "green" if part.state in ("active", "available", "running") or part.kind in ("pool", "balancer") else "yellow"
    )


def ident(part: Part) -> str:
    """The id; of a load balancer's long one, its address."""
    return str(part.facts.get("address") or "") if part.kind == "balancer" else part.id


def facts(part: Part) -> str:
    """The facts of one part in words."""
    found = _WORDS[part.kind](part.facts) if part.state != "gone" else []
    return ", ".join(text for text in found if text)


def _network(said: Mapping[str, Any]) -> Sequence[str]:
    own = "the lab's own VPC" if said.get("existing") else "VPC"
    return [f"{own} {said['cidr']}", f"{many(said['subnets'], 'subnet')} in {many(said['zones'], 'zone')}"]


def _nat(said: Mapping[str, Any]) -> Sequence[str]:
    return [f"NAT {said['zone']}", said["address"]]


def _peering(said: Mapping[str, Any]) -> Sequence[str]:
    return [f"peering with {said['region']}"]


def _pool(said: Mapping[str, Any]) -> Sequence[str]:
    types = [f"{count} × {name}" for name, count in sorted(said["instance_types"].items())]
    template = said["template"]
    suspended = [name for name in said["suspended"] if not (said["autoscaled"] and name == "AZRebalance")]
    newer = "" if template["version"] == template["latest"] else f" (newest {template['latest']})"
    return [
        f"{said['min']} to {said['max']}",
        " + ".join(types),
        f"{said['spot']} spot" if said["spot"] else "",
        f"{said['leaving']} leaving" if said["leaving"] else "",
        said["image"],
        f"template version {template['version']}{newer}" if newer else "",
        f"{said['outdated']} of an older template" if said["outdated"] else "",
        f"suspended: {', '.join(suspended)}" if suspended else "",
    ]


def _machine(said: Mapping[str, Any]) -> Sequence[str]:
    where = said["public"] or said["private"]
    checks = f"checks {said['checks']}" if said["checks"] else ""
    return [said["name"], said["type"], where, said["zone"], checks]


def _efs(said: Mapping[str, Any]) -> Sequence[str]:
    zones = [item["zone"] or item["address"] for item in said["targets"] if item["state"] == "available"]
    return ["EFS", size(said["bytes"]), f"mounted in {', '.join(sorted(zones))}" if zones else "no mount target"]


def _bucket(said: Mapping[str, Any]) -> Sequence[str]:
    return ["S3 bucket"]


def _balancer(said: Mapping[str, Any]) -> Sequence[str]:
    return ["API", *(f"{count} {state}" for state, count in sorted(said["targets"].items()))]


_WORDS = {
    "network": _network,
    "nat": _nat,
    "peering": _peering,
    "pool": _pool,
    "host": _machine,
    "control-plane": _machine,
    "efs": _efs,
    "s3": _bucket,
    "balancer": _balancer,
}


def _metal(machines: Sequence[Machine]) -> str:
    names = [machine.name for machine in machines]
    shown = names if len(names) <= MOST + 1 else [*names[:MOST], f"and {len(names) - MOST} more"]
    return ", ".join(shown)


def _around(found: Status) -> None:
    out = console()
    for lock in found.locks:
        where = f"{lock.region}: " if lock.region else ""
        out.print(f"[yellow]locked[/]: {where}{lock.operation or 'a run'} by {lock.who} (see infra unlock)")
    if found.last is not None:
        last = found.last
        said = f"{words(last)} {last.number}, {last.status}, by {last.who}, {moment(last.started)}"
        out.print(f"last: {said} (infra log {last.number})", markup=False)
    if found.plan:
        counts = ", ".join(f"{count} to {action}" for action, count in found.plan["changes"].items())
        stale = "; the file changed since" if found.plan["stale"] else ""
        text = found.plan["problem"] or f"{counts}, of {moment(found.plan['created'])} by {found.plan['who']}{stale}"
        out.print(f"a saved plan waits: {text}", markup=False)


def _summary(found: Status) -> None:
    out = console()
    if not found.regions:
        out.print(f"\n[bold]{found.cluster}[/]: no cloud")
        return
    if not found.exists:
        out.print(f"\n[bold]{found.cluster}[/]: nothing exists yet. Next: infra plan")
        return
    ill = [part for region in found.regions for part in region.parts if not part.healthy]
    lost = any(region.lost for region in found.regions)
    if lost:
        state = "[red]lost[/]. Next: infra plan"
    else:
        state = f"[bold red]{len(ill)} not healthy[/]" if ill else "[green]healthy[/]"
    out.print(f"\n[bold]{found.cluster}[/]: {state}")
    if not lost:
        cost = f"{money.hourly(found.cost)}/h ({money.monthly(found.cost)}/month)"
        out.print(f"cost now: {cost}   [dim]list prices of {found.prices_date}[/]")
