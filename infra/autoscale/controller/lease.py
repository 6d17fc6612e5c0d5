"""Who acts: a Lease of coordination.k8s.io, renewed by compare-and-swap. Clocks of other machines are never believed.

As client-go does it: another holder's lease is over when *we* have seen no renewal of it for as long as it lasts. Our
own is renewed before it is used after a while, so a loop that was held up stops before its next write.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from infra.autoscale.controller.settings import Settings
from infra.autoscale.ports import Clock, Kube
from infra.errors import KubeConflict, KubeError, KubeGone

LEASES = "/apis/coordination.k8s.io/v1/namespaces/{}/leases"


class LostLease(Exception):
    """Another one leads, or nobody knows who does: nothing may be written any more."""


@dataclass
class Leadership:
    """``leads`` as it was last known. Raises KubeError where it has to ask."""

    kube: Kube
    clock: Clock
    settings: Settings
    identity: str
    leads: bool = False
    holder: str = ""
    _renewed: float = 0.0
    _seen: str = ""
    _seen_at: float = 0.0
    _path: str = field(init=False)

    def __post_init__(self) -> None:
        self._path = f"{LEASES.format(self.settings.namespace)}/{self.settings.name}"

    def acquire(self) -> bool:
        """Take the lead, or keep it; whether it is ours."""
        now = self.clock.now()
        raw = self.kube.get(self._path)
        try:
            if raw is None:
                self.kube.create(LEASES.format(self.settings.namespace), self._lease(None, now))
            elif self._free(raw, now):
                self.kube.replace(self._path, self._lease(raw, now))
            else:
                self.leads = False
                return False
        except (KubeConflict, KubeGone):
            self.leads = False
            return False
        self.leads, self.holder, self._renewed = True, self.identity, now
        return True

    def check(self) -> None:
        """To be called before each write. Raises LostLease when we do not lead, or cannot know that we do."""
        if not self.leads:
            raise LostLease(self._who())
        age = self.clock.now() - self._renewed
        if 0 <= age < self.settings.lease / 3:
            return
        try:
            kept = self.acquire()
        except KubeError as error:
            if 0 <= age < self.settings.lease * 2 / 3:
                return
            self.leads = False
            raise LostLease(f"the lease could not be renewed in time: {error}") from error
        if not kept:
            raise LostLease(self._who())

    def release(self) -> None:
        """Let the next one lead at once. To be called when nothing will be written any more."""
        if not self.leads:
            return
        self.leads = False
        raw = self.kube.get(self._path)
        if raw is not None and _spec(raw).get("holderIdentity") == self.identity:
            free = self._lease(raw, self.clock.now())
            free["spec"]["holderIdentity"] = ""
            try:
                self.kube.replace(self._path, free)
            except (KubeConflict, KubeGone):
                return

    def _who(self) -> str:
        return f"{self.holder or 'another controller'} leads"

    def _free(self, raw: dict[str, Any], now: float) -> bool:
        spec = _spec(raw)
        self.holder = str(spec.get("holderIdentity") or "")
        if self.holder in ("", self.identity):
            return True
        said = json.dumps([self.holder, spec.get("renewTime"), spec.get("acquireTime"), spec.get("leaseTransitions")])
        # A clock that was set back counts as a new sight: rather wait too long than lead twice.
        if said != self._seen or now < self._seen_at:
            self._seen, self._seen_at = said, now
        lasts = spec.get("leaseDurationSeconds")
        return now - self._seen_at > (lasts if isinstance(lasts, int) and lasts > 0 else self.settings.lease)

    def _lease(self, raw: dict[str, Any] | None, now: float) -> dict[str, Any]:
        old = _spec(raw or {})
        same = old.get("holderIdentity") == self.identity
        moves = old.get("leaseTransitions")
        meta = (raw or {}).get("metadata") or {"name": self.settings.name, "namespace": self.settings.namespace}
        stamp = datetime.fromtimestamp(now, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        return {
            "apiVersion": "coordination.k8s.io/v1",
            "kind": "Lease",
            "metadata": meta,
            "spec": {
                "holderIdentity": self.identity,
                "leaseDurationSeconds": int(self.settings.lease),
                "acquireTime": (old.get("acquireTime") if same else None) or stamp,
                "renewTime": stamp,
                "leaseTransitions": (moves if isinstance(moves, int) else 0) + (raw is not None and not same),
            },
        }


def _spec(raw: dict[str, Any]) -> dict[str, Any]:
    spec = raw.get("spec")
    return spec if isinstance(spec, dict) else {}
