"""Carrying out a plan: every step of its graph as soon as it may, and one record of what came of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from infra.cloud import links
from infra.cloud.applying import Applying
from infra.cloud.journal.records import Record
from infra.cloud.planning import RegionSink
from infra.cloud.site import Site
from infra.errors import InfraError, Interrupted, Problem, Refused
from infra.image.staged_apply import Bake, Images
from infra.plan import execute, steps
from infra.plan.execute import Outcome
from infra.plan.model import LINKS, NodeStep, Plan
from infra.plan.steps import Step

Bring = Callable[[NodeStep], dict[str, object]]
"""Brings a machine to its policy; what the record is to say of it. Raises NodeError."""


def carry_out(
    site: Site,
    plan: Plan,
    sink: RegionSink | None = None,
    command: str = "apply",
    *,
    bake: Bake | None = None,
    bring: Bring | None = None,
) -> Record:
    """Do what the plan says. The caller holds the work folder's lock.

    A step that fails stops only what waits for it; all problems are raised together when nothing runs any more.
    """
    going = Applying(site, plan, sink, command)
    going.begin()
    images = Images(site, plan, bake, sink) if bake else None
    staged = {f"{step.action}:{step.profile}": step for step in plan.images}
    regions = {region.region: region for region in plan.regions}
    nodes = {step.node: step for step in plan.nodes}

    def work(step: Step) -> None:
        if step.kind == "terraform":
            region = regions[step.name]
            if region.region == LINKS:
                region = links.again(site, region, sink)
            going.region(images.region(region) if images else region)
        elif step.id in staged:
            assert images is not None
            images.step(staged[step.id])
        else:
            assert bring is not None
            _node(going, nodes[step.name], bring)

    graph = steps.of(plan)
    outcome = execute.run(graph, work, stopped=lambda: bool(site.cancel.asked))
    return going.end(errors(outcome, graph))


def _node(going: Applying, step: NodeStep, bring: Bring) -> None:
    going.touch()
    going.note_node(step.node, status="running")
    try:
        facts = bring(step)
    except InfraError as error:
        status = "interrupted" if isinstance(error, Interrupted) else "failed"
        going.note_node(step.node, status=status, problems=[problem.data() for problem in error.problems])
        raise
    going.note_node(step.node, status="done", **facts)


def errors(outcome: Outcome, graph: Sequence[Step]) -> list[InfraError]:
    """What went wrong, and what was not begun because of it, as one list."""
    found = list(outcome.failed.values())
    if outcome.skipped:
        named = {step.id: step for step in graph}
        problems = [
            Problem(f"{_words(name)} was not begun", why=_why(named, name, because))
            for name, because in outcome.skipped.items()
        ]
        found.append(Refused(problems[0].what, problems=problems))
    if outcome.left:
        names = ", ".join(_words(name) for name in outcome.left[:5]) + (", …" if len(outcome.left) > 5 else "")
        found.append(Interrupted(f"not begun: {names}", why="Ctrl-C", fix="infra apply goes on with what is left"))
    return found


def _why(named: Mapping[str, Step], name: str, because: str) -> str:
    """It waits for the failed one, or has no place left beside it."""
    before = {*named[name].after}
    while more := {one for known in before for one in named[known].after} - before:
        before |= more
    if because in before:
        return f"it waits for {_words(because)}, which failed"
    return f"{_words(because)} failed, and no more of {named[name].group} may be away at once"


def _words(name: str) -> str:
    return name.replace(":", " ", 1)
