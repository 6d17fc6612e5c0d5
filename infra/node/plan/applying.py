"""The machines' steps of a plan, as an apply does them."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from typing import Any

from infra.node.bring.bring import Options, Sink, Wants, bring, silent
from infra.node.model import Node
from infra.node.plan import planning
from infra.node.plan.due import drifted
from infra.node.ssh.fleet import Fleet
from infra.plan.model import NodeStep
from infra.spec.load import Loaded


def bringer(
    loaded: Loaded,
    steps: Sequence[NodeStep],
    nodes: Sequence[Node],
    fleet: Fleet,
    options: Options,
    sink: Sink | None = None,
    note: Callable[[str], None] = lambda _: None,
) -> Callable[[NodeStep], dict[str, object]]:
    """What brings a machine of the plan to its policy; its facts are for the record.

    ``note`` gets a sentence where something was left that no converge mends. Raises Refused when a machine of the plan
    is not in the file any more.
    """
    planning.refuse_unknown([step.node for step in steps], nodes)
    named = {node.name: node for node in nodes}
    wants = Wants(loaded)

    def one(step: NodeStep) -> dict[str, object]:
        node = named[step.node]
        with contextlib.closing(fleet.connect(node)) as connection:
            done = bring(connection, wants.of(node), options, sink or silent)
        if done.drift_left:
            note(
                f"{step.node}: converged, and still not as it was: {'; '.join(drifted(done.drift_left))} "
                f"(no cookbook mends that: do it by hand, or take it as right: infra node verify --accept {step.node})"
            )
        if done.kubernetes == "left":
            for warning in (item for item in done.warnings if item.rule == "join"):
                note(f"{step.node}: {warning.what} ({warning.fix})")
        facts: dict[str, Any] = {"digest": done.digest, "updated": done.updated, "seconds": round(done.seconds, 1)}
        more = {"rebooted": True} if done.rebooted else {}
        return {**facts, **more, **({"kubernetes": done.kubernetes} if done.kubernetes else {})}

    return one
