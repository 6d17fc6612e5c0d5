"""Every write of the controller, and the note of it: asks for the lead first, tells what failed, retries conflicts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from infra.autoscale.controller.decisions import Decision
from infra.autoscale.controller.lease import Leadership
from infra.autoscale.ports import Cloud, FleetId, Kube, Raw
from infra.errors import CloudError, InfraError, KubeConflict, KubeError, KubeGone, KubeUnreachable

TRIES = 4
Change = Callable[[Raw], "Raw | None"]
"""From a node as it is to a merge patch; None when there is nothing to change (any more)."""


@dataclass
class Hands:
    """``decisions`` grow in the order of what was done. In a dry run nothing is done and everything is noted."""

    kube: Kube
    cloud: Cloud
    lead: Leadership
    dry: bool
    decisions: list[Decision] = field(default_factory=list)

    def note(self, decision: Decision) -> None:
        self.decisions.append(decision)

    def do(self, decision: Decision | None, act: Callable[[], object]) -> bool:
        """Do it and note it. False when it failed, which is noted. Raises LostLease, and KubeUnreachable as it is."""
        if self.dry:
            if decision is not None:
                self.note(replace(decision, done=False))
            return True
        self.lead.check()
        try:
            act()
        except (KubeError, CloudError) as error:
            if decision is not None:
                self.note(replace(decision, done=False))
            self.note(could_not(decision.subject if decision else "a note", error))
            if isinstance(error, KubeUnreachable):
                raise
            return False
        if decision is not None:
            self.note(decision)
        return True

    def resize(self, decision: Decision, fleet: FleetId, desired: int) -> bool:
        return self.do(decision, lambda: self.cloud.resize(fleet, desired))

    def terminate(self, decision: Decision, fleet: FleetId, machine: str) -> bool:
        return self.do(decision, lambda: self.cloud.terminate(fleet, machine))

    def replace(self, decision: Decision, fleet: FleetId, machine: str) -> bool:
        return self.do(decision, lambda: self.cloud.replace(fleet, machine))

    def forget(self, decision: Decision, node: str) -> bool:
        return self.do(decision, lambda: self.kube.delete(node_path(node)))

    def change(self, decision: Decision | None, raw: Raw, change: Change) -> bool:
        """Patch a node by what it is now: a conflict is answered with a fresh read, and the change asked again."""
        return self.do(decision, lambda: self._patch(raw, change))

    def _patch(self, raw: Raw, change: Change) -> None:
        path = node_path(str(raw["metadata"]["name"]))
        for rest in range(TRIES, 0, -1):
            body = change(raw)
            if body is None:
                return
            meta = {**body.get("metadata", {}), "resourceVersion": raw["metadata"].get("resourceVersion")}
            try:
                self.kube.patch(path, {**body, "metadata": meta})
                return
            except KubeGone:
                return
            except KubeConflict:
                if rest == 1:
                    raise
                fresh = self.kube.get(path)
                if fresh is None:
                    return
                raw = fresh
                self.lead.check()

    def evict(self, decision: Decision, namespace: str, name: str) -> bool:
        """Ask for a pod's eviction; a budget's no is noted as "hold"."""
        if self.dry:
            return self.do(decision, lambda: None)
        said: list[str] = []
        asked = self.do(None, lambda: said.append(self.kube.evict(namespace, name)))
        if not asked:
            return False
        why = said[0]
        self.note(decision if not why else replace(decision, kind="hold", reason=why, done=False))
        return not why


def node_path(name: str) -> str:
    return f"/api/v1/nodes/{name}"


def annotated(notes: dict[str, str | None], **spec: Any) -> Raw:
    """A merge patch of annotations (None takes one away) and fields of the spec."""
    body: Raw = {"metadata": {"annotations": notes}}
    return {**body, "spec": spec} if spec else body


def could_not(subject: str, error: InfraError) -> Decision:
    return Decision("could-not", subject, words(error), done=False)


def words(error: InfraError) -> str:
    problem = error.problems[0]
    return f"{problem.what}: {problem.why}" if problem.why else problem.what
