"""What work was promised: remembered from loop to loop, and told to the scheduler as nominations of pods."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping
from dataclasses import replace

from infra.autoscale.controller.decisions import Decision
from infra.autoscale.controller.hands import Hands
from infra.autoscale.nominations import Nominations
from infra.autoscale.plan import Plan, Purchase
from infra.autoscale.ports import Kube, Raw
from infra.autoscale.seating import Seating
from infra.autoscale.snapshot import Snapshot
from infra.errors import KubeConflict, KubeError, KubeGone

EXPECTATION = (1, 35)
"""The Kubernetes version from which a nomination for a machine that is not there yet stays."""


class Promises:
    """Nobody misses it after a restart: pods that were nominated are read as promised."""

    def __init__(self, kube: Kube) -> None:
        self._kube = kube
        self._seating, self._nominations = Seating(), Nominations()
        self._asked = False

    def seated(self, snapshot: Snapshot) -> Snapshot:
        return replace(snapshot, seats=self._seating.seats(snapshot))

    def keep(
        self, snapshot: Snapshot, found: Plan, bought: Iterable[Purchase], pods: Iterable[Raw], hands: Hands
    ) -> None:
        """Remember the plan of a loop, with the purchases that were carried out, and tell the scheduler of it."""
        seating, nominations = self._seating, self._nominations
        if hands.dry:
            seating, nominations = copy.deepcopy((seating, nominations))
        seating.keep(snapshot, found, bought)
        if not seating.of and not any(pod.nominated for pod in snapshot.pods):
            return
        self._ask_version()
        nominations.early = self._nominations.early
        changes = nominations.changes(snapshot, seating.of)
        if changes:
            _write(changes, pods, nominations, hands)

    def _ask_version(self) -> None:
        """Once, when it begins to matter; a server that does not say is taken to be a recent one."""
        if self._asked:
            return
        self._asked = True
        try:
            self._nominations.early = keeps_nominations(self._kube.get("/version") or {})
        except KubeError:
            self._asked = False


def keeps_nominations(version: Mapping[str, object]) -> bool:
    """Whether a server of this ``/version`` has a scheduler that keeps nominations for machines that are to come."""
    numbers = []
    for part in ("major", "minor"):
        digits = "".join(one for one in str(version.get(part, "")) if one.isdigit())
        if not digits:
            return True
        numbers.append(int(digits))
    return tuple(numbers) >= EXPECTATION


def _write(changes: Mapping[str, str], pods: Iterable[Raw], nominations: Nominations, hands: Hands) -> None:
    """One patch for each pod, of the very version that was seen: what the scheduler has changed since is its own."""
    bodies: dict[str, tuple[str, Raw]] = {}
    for raw in pods:
        meta = raw.get("metadata") or {}
        key = f"{meta.get('namespace') or 'default'}/{meta.get('name')}"
        if key in changes:
            path = f"/api/v1/namespaces/{meta.get('namespace') or 'default'}/pods/{meta.get('name')}/status"
            same = {name: meta[name] for name in ("uid", "resourceVersion") if name in meta}
            bodies[key] = path, {"metadata": same, "status": {"nominatedNodeName": changes[key] or None}}
    machines = {name for name in changes.values() if name}
    back = sum(not changes[key] for key in bodies)
    told = f"{len(bodies) - back} are expected on {len(machines)} machines" if machines else ""
    why = ", ".join(filter(None, (told, f"{back} no longer where it was said" if back else "")))
    failed: list[KubeError] = []

    def act() -> None:
        for key, error in zip(bodies, hands.kube.patch_all(list(bodies.values())), strict=True):
            if error is None:
                nominations.said({key: changes[key]})
            elif not isinstance(error, KubeConflict | KubeGone):
                failed.append(error)
        if failed:
            raise failed[0]

    hands.do(Decision("nominate", "waiting pods", why, len(bodies), pods=tuple(sorted(bodies))), act)
