"""The machines' part of ``plan`` and ``apply``: which are looked at, beside Terraform, and how they are reached."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from infra.cli.node_common import Reach

if TYPE_CHECKING:
    from infra.cli.flow import Options
    from infra.cloud.planning import RegionSink
    from infra.cloud.site import Site
    from infra.errors import Problem
    from infra.node.inventory.inventory import Inventory
    from infra.node.model import Node
    from infra.node.plan.planning import Found
    from infra.node.ssh.fleet import Fleet
    from infra.orchestration.carrying import Bring
    from infra.plan.model import Plan
    from infra.proc import Cancel
    from infra.spec.load import Loaded

Looked = Callable[[], "Found"]


@dataclass(frozen=True, slots=True)
class Machines:
    """The machines that a plan is about, and a fleet that reaches them."""

    nodes: tuple[Node, ...]
    fleet: Fleet


@dataclass(frozen=True, slots=True)
class Handling:
    """What an apply may do with machines, as its options say."""

    ask_sudo: bool = False
    allow_os: bool = False
    drain: bool = True


def reach(ask_sudo: bool, as_json: bool) -> Reach:
    """Nothing is asked while a plan is made or applied, but the sudo password, before it all, when that is wished."""
    from infra.ui.console import interactive

    return Reach(ask_sudo=ask_sudo, ask=ask_sudo and interactive() and not as_json)


def machines(
    loaded: Loaded, regions: Sequence[str], only: Sequence[str], how: Reach, cancel: Cancel
) -> Machines | None:
    """Those that a plan of these parts covers; None when there are none, and then nothing is imported for them."""
    cluster = loaded.cluster
    if not cluster.metal and not cluster.hosts:
        return None
    from infra.node.plan import planning

    parts = planning.covers(cluster, regions, only)
    if cluster.local and not planning.seats():  # its instances are records: AWS need not even be asked for them
        parts = tuple(part for part in parts if part[0] == "metal")
    if not parts:
        return None
    from infra.cli.node_choose import choose

    def pick(found: Inventory) -> list[Node]:
        return planning.among(cluster, found.nodes, parts, regions)

    chosen = choose(loaded, planning.patterns(parts), how, cancel=cancel, pick=pick)
    return Machines(tuple(chosen.nodes), chosen.fleet) if chosen.nodes else None


def begin(loaded: Loaded, options: Options, how: Reach, cancel: Cancel) -> Looked:
    """Look at the machines in a thread, while Terraform plans; the result waits for it, and raises what it did."""
    from infra.node.plan.planning import Found, find

    if options.destroy or not options.nodes:
        return Found
    pool = ThreadPoolExecutor(1, thread_name_prefix="machines")

    def work() -> Found:
        found = machines(loaded, options.regions, options.only, how, cancel)
        return find(loaded, found.nodes, found.fleet) if found else Found()

    future = pool.submit(work)
    pool.shutdown(wait=False)
    return future.result


def machines_of(site: Site, plan: Plan, how: Reach) -> Machines:
    """The machines of a saved plan that something is to be done to, as the file has them now."""
    from infra.cli.node_choose import choose

    names = [step.node for step in plan.nodes]
    chosen = choose(site.loaded, names, how, cancel=site.cancel)
    return Machines(tuple(chosen.nodes), chosen.fleet)


def moved(site: Site, plan: Plan, there: Machines) -> list[Problem]:
    """What of the machines is no longer as the plan saw it."""
    from infra.node.plan import planning

    return planning.moved(plan, planning.find(site.loaded, there.nodes, there.fleet))


def bringer(site: Site, plan: Plan, there: Machines, sink: RegionSink | None, handling: Handling) -> Bring:
    """What does the machines' steps; what is to be told of them is put to the site's notes."""
    from infra.node.bring.bring import Options as How
    from infra.node.plan.applying import bringer as made
    from infra.node.pull.publishing import publishing

    how = How(allow_os=True, drain=handling.drain) if handling.allow_os else How(drain=handling.drain)
    return publishing(site, made(site.loaded, plan.nodes, there.nodes, there.fleet, how, sink, site.notes.append))


def into(plan: Plan, found: Found) -> Plan:
    """The plan with what was found."""
    return replace(plan, nodes=found.steps, settled=found.settled, silent=found.silent)
