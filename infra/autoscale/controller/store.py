"""The ConfigMap that the state is kept in: one key, written only when it says something new."""

from __future__ import annotations

from typing import Any

from infra.autoscale.controller.settings import Settings
from infra.autoscale.controller.state import State, loads
from infra.autoscale.ports import Kube
from infra.errors import KubeConflict, KubeGone

KEY = "state"
TRIES = 4


class Store:
    """Raises KubeError where the API server does."""

    def __init__(self, kube: Kube, settings: Settings) -> None:
        self._kube = kube
        self._all = f"/api/v1/namespaces/{settings.namespace}/configmaps"
        self._path = f"{self._all}/{settings.name}"
        self._meta = {"name": settings.name, "namespace": settings.namespace}
        self._raw: dict[str, Any] | None = None
        self._text = ""

    def load(self) -> tuple[State, str]:
        """What was kept, and a warning ("" for none) when it could not be read: then it begins empty."""
        self._raw = self._kube.get(self._path)
        data = (self._raw or {}).get("data")
        text = data.get(KEY) if isinstance(data, dict) else None
        self._text = text if isinstance(text, str) else ""
        state, why = loads(self._text)
        return state, f"the state in the ConfigMap {self._meta['name']} is begun anew: {why}" if why else ""

    def news(self, state: State) -> str:
        """The text to be written; "" when it is there already."""
        text = state.dumps()
        return "" if text == self._text else text

    def save(self, text: str) -> None:
        """Write it. Only the leader does, so whoever was faster by a conflict is overwritten."""
        for rest in range(TRIES, 0, -1):
            try:
                self._raw = self._write(text)
                self._text = text
                return
            except (KubeConflict, KubeGone):
                if rest == 1:
                    raise
                self._raw = self._kube.get(self._path)

    def _write(self, text: str) -> dict[str, Any]:
        if self._raw is None:
            body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": self._meta, "data": {KEY: text}}
            return self._kube.create(self._all, body)
        data = self._raw.get("data")
        return self._kube.replace(self._path, {**self._raw, "data": {**(data if data else {}), KEY: text}})
