"""A plan as one graph: what is done, in which order, and what need not wait for what. Pure.

A bake goes before everything that is made of its image: Terraform where machines start from it, and the machines on
the floor that get the same policy, because the bake is its first trial. Of the machines of one profile one goes
first; the others follow when it is well, as many at a time as may be away. The links between the regions wait for the
regions that make what they join; when all is destroyed they go first. Nothing else waits for anything.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from infra.plan.model import ACTIONS, LINKS, NodeStep, Plan, RegionPlan

Kind = Literal["bake", "promote", "terraform", "bootstrap", "converge", "join"]
KUBERNETES = "module.control_plane"


@dataclass(frozen=True, slots=True)
class Step:
    """One step. ``id`` is ``kind:name``; ``after`` are the ids of those that must have gone well before.

    Of the steps of one ``group`` no more than ``at_once`` run at a time; 0 is no limit.
    """

    id: str
    kind: Kind
    name: str
    after: tuple[str, ...] = ()
    reasons: tuple[str, ...] = ()
    group: str = ""
    at_once: int = 0


def of(plan: Plan) -> tuple[Step, ...]:
    """The steps in an order in which they could be done one by one."""
    images = [
        Step(f"{step.action}:{step.profile}", step.action, step.profile, (), step.reasons) for step in plan.images
    ]
    regions = _order(plan, [_region(plan, region) for region in plan.regions if not region.empty or region.awaits])
    return (*images, *regions, *_nodes(plan, plan.nodes))


def _region(plan: Plan, region: RegionPlan) -> Step:
    """A region waits for the images that its machines are to start from."""
    wanted = set(region.awaits.values())
    after = [
        f"{step.action}:{step.profile}"
        for step in plan.images
        if step.profile in wanted or (step.action == "promote" and region.region in step.regions)
    ]
    counts = [f"{region.count(action)} to {action}" for action in ACTIONS if region.count(action) and action != "read"]
    reasons = tuple(counts) or ("its machines are to start from a new image",)
    return Step(f"terraform:{region.region}", "terraform", region.region, tuple(dict.fromkeys(after)), reasons)


def _order(plan: Plan, regions: Sequence[Step]) -> list[Step]:
    """The links wait for what they join, and a destroy begins with them: no region then ends in another's route."""
    between = next((step for step in regions if step.name == LINKS), None)
    rest = [step for step in regions if step is not between]
    if between is None:
        return rest
    if plan.destroy:
        return [between, *(replace(step, after=(*step.after, between.id)) for step in rest)]
    wanted = next(region.waits for region in plan.regions if region.region == LINKS)
    return [*rest, replace(between, after=tuple(step.id for step in rest if step.name in wanted))]


def _nodes(plan: Plan, nodes: Sequence[NodeStep]) -> Iterable[Step]:
    """Machines wait for the bake of their policy, for a control plane that is made, and for the first of them.

    Physical machines become a control plane one after the other, and what joins it comes after them.
    """
    bakes = {step.profile for step in plan.images if step.action == "bake"}
    planes = [
        f"terraform:{region.region}"
        for region in plan.regions
        if any(change.address.startswith(KUBERNETES) for change in region.changes)
    ]
    first: dict[str, str] = {}
    made = ""
    for step in sorted(nodes, key=lambda one: one.joins != "control-plane"):
        ident = f"{step.action}:{step.node}"
        before = [f"bake:{step.profile}"] if step.profile in bakes else []
        canary = first.setdefault(f"{step.profile} {step.digest}", ident)
        after = [canary] if canary != ident else [*before, *planes]
        after += [made] if made and step.joins else []
        made = ident if step.joins == "control-plane" else made
        reasons = (*step.reasons, "reboot") if step.reboot else step.reasons
        yield Step(ident, step.action, step.node, tuple(dict.fromkeys(after)), reasons, step.group, step.at_once)


def levels(steps: Sequence[Step]) -> dict[str, int]:
    """How many steps deep each one is, 1 for those that wait for nothing: equal numbers may run side by side."""
    found: dict[str, int] = {}
    for step in steps:
        found[step.id] = 1 + max((found[name] for name in step.after), default=0)
    return found
