"""What an API server's refusals mean, and whether to ask again. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from infra.errors import KubeConflict, KubeError, KubeGone, KubeRefused, KubeUnreachable

BUSY, UNWELL = 429, (500, 502, 503, 504)
TEXT_SHOWN = 400


@dataclass(frozen=True, slots=True)
class Answer:
    """``body`` as it came; ``retry_after`` in seconds, None when the server did not say."""

    code: int
    body: bytes = b""
    retry_after: float | None = None

    @property
    def well(self) -> bool:
        return 200 <= self.code < 300

    @property
    def status(self) -> Mapping[str, Any]:
        """The Status object of a refusal; {} when it is something else, such as a proxy's page."""
        try:
            found = json.loads(self.body)
        except ValueError:
            return {}
        return found if isinstance(found, dict) and found.get("kind") == "Status" else {}

    @property
    def message(self) -> str:
        text = str(self.status.get("message") or self.body.decode("utf-8", "replace"))
        return " ".join(text.split())[:TEXT_SHOWN]

    @property
    def budget(self) -> str:
        """Why a disruption budget forbids an eviction; "" when it is none of that."""
        details = self.status.get("details") or {}
        causes = [one for one in details.get("causes") or () if one.get("reason") == "DisruptionBudget"]
        if self.code == BUSY and causes:
            return str(causes[0].get("message") or self.message)
        return self.message if self.code == 500 and "more than one PodDisruptionBudget" in self.message else ""


def again(answer: Answer, safe: bool) -> bool:
    """Whether the same request may be sent once more: ``safe`` if twice is as good as once.

    Who is told 429 was not served at all; after a 500 nobody knows.
    """
    return answer.code == BUSY or (safe and answer.code in UNWELL)


def refusal(answer: Answer, action: str, where: str, read: bool) -> KubeError:
    """The error for an answer that is none. ``action`` is as a user may write it: ``PATCH /api/v1/nodes/one``."""
    code, why = answer.code, answer.message or f"HTTP status {answer.code}"
    if code == 401:
        fix = "renew the credentials of the kubeconfig; a token of a service account ends with its pod"
        return KubeRefused("the API server does not know who we are (401)", where=where, why=why, fix=fix)
    if code == 403:
        fix = "give the account a role that may do it; see what it may: kubectl auth can-i --list"
        return KubeRefused(f"we may not {action} (403)", where=where, why=why, fix=fix)
    if code == 404:
        return KubeGone(f"it is not there: {action}", where=where, why=why, fix="nothing, if it was meant to go")
    if code == 409:
        fix = "look at it again and decide anew"
        return KubeConflict(f"somebody else was faster: {action}", where=where, why=why, fix=fix)
    if code == BUSY:
        fix = "try again later; look at: kubectl get --raw /metrics | grep apiserver_flowcontrol"
        return KubeUnreachable("the API server is too busy (429)", where=where, why=why, fix=fix)
    if code in UNWELL and (read or code != 500):
        fix = "see how it is: kubectl get --raw '/readyz?verbose'"
        return KubeUnreachable(f"the API server is not well ({code})", where=where, why=why, fix=fix)
    fix = "look at what it says; a webhook of the cluster may have a part in it"
    return KubeRefused(f"the API server refused {action} ({code})", where=where, why=why, fix=fix)
