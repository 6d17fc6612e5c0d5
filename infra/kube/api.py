"""The driver of an API server: ``infra.autoscale.ports.Kube`` in raw JSON over the official client's connections.

The client's models would cost a second for ten thousand pods and drop what they do not know, so they are not used.
Every call has a deadline in all, and one for each silence. What may be sent twice (reads, deletions, evictions, merges
of a patch that names no version) is sent again when the server is unwell; all else only when it was surely not heard.
"""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal
from urllib.parse import quote, urlencode

from infra.errors import KubeError, KubeGone, KubeRefused, KubeUnreachable
from infra.kube.access import Access, access
from infra.kube.answers import Answer, again, refusal

Raw = dict[str, Any]
Raws = list[Raw]
PATCHES = {
    "merge": "application/merge-patch+json",
    "strategic": "application/strategic-merge-patch+json",
    "json": "application/json-patch+json",
}
PIECE = 1 << 18
AT_ONCE = 8
"""Patches under way at a time: a tenth of what the API server lets everybody have."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Seconds to connect, of silence, and in all for one call with its repetitions; attempts in all; the first pause
    between two, which doubles."""

    connect: float = 5.0
    silence: float = 20.0
    deadline: float = 60.0
    attempts: int = 4
    pause: float = 0.25


class Api:
    """See ``ports.Kube`` for what each call does. Safe to use from many threads."""

    def __init__(
        self,
        reached: Access,
        limits: Limits | None = None,
        sleep: Callable[[float], object] = time.sleep,
    ) -> None:
        self.access = reached
        self.limits = limits or Limits()
        self._sleep = sleep

    def close(self) -> None:
        self.access.close()

    def list(self, path: str) -> Raws:
        try:
            return self._pages(path)
        except KubeGone:
            return []

    def get(self, path: str) -> Raw | None:
        try:
            return self._object("GET", path, safe=True)
        except KubeGone:
            return None

    def create(self, path: str, body: Raw) -> Raw:
        return self._object("POST", path, body)

    def replace(self, path: str, body: Raw) -> Raw:
        return self._object("PUT", path, body)

    def patch(self, path: str, body: Raw | Sequence[Raw], kind: Literal["merge", "strategic", "json"] = "merge") -> Raw:
        versioned = not isinstance(body, dict) or bool((body.get("metadata") or {}).get("resourceVersion"))
        return self._object("PATCH", path, body, content=PATCHES[kind], safe=kind == "merge" and not versioned)

    def patch_all(self, many: Sequence[tuple[str, Raw]]) -> Sequence[KubeError | None]:
        def one(item: tuple[str, Raw]) -> KubeError | None:
            try:
                self.patch(*item)
            except KubeError as error:
                return error
            return None

        with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="kube") as pool:
            return list(pool.map(one, many))

    def apply(self, path: str, body: Raw, manager: str, *, dry: bool = False) -> Raw:
        """Server-side apply: what ``body`` names is as it says and is ``manager``'s, whoever had it before; the rest
        stays. With ``dry`` only what would come of it."""
        asked = {"fieldManager": manager, "force": "true", "fieldValidation": "Strict"}
        asked |= {"dryRun": "All"} if dry else {}
        content = "application/apply-patch+yaml"  # of which JSON is a part
        return self._object("PATCH", f"{path}?{urlencode(asked)}", body, content=content, safe=True)

    def delete(self, path: str) -> None:
        answer = self._send("DELETE", path, safe=True)
        if not answer.well and answer.code != 404:
            raise self._refusal(answer, "DELETE", path)

    def evict(self, namespace: str, name: str) -> str:
        path = f"/api/v1/namespaces/{quote(namespace)}/pods/{quote(name)}/eviction"
        meta = {"name": name, "namespace": namespace}
        body = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": meta}
        answer = self._send("POST", path, body, safe=True)
        if answer.well or answer.code == 404:
            return ""
        if answer.budget or answer.code == 409:
            return answer.budget or answer.message
        raise self._refusal(answer, "POST", path)

    def _pages(self, path: str) -> Raws:
        """Version 0 is the watch cache's state, which comes whole: no limit is asked for. A server that gives pages
        all the same has its token followed, which goes without a version; one that is too old means: from the start."""
        found: Raws = []
        token, limit = "", time.monotonic() + self.limits.deadline
        while True:
            asked = {"continue": token} if token else {"resourceVersion": "0"}
            answer = self._send("GET", f"{path}{'&' if '?' in path else '?'}{urlencode(asked)}", safe=True)
            if answer.code == 410 and token and time.monotonic() < limit:
                found, token = [], ""
                continue
            page = self._parsed(answer, "GET", path)
            found += page.get("items") or ()
            token = str((page.get("metadata") or {}).get("continue") or "")
            if not token:
                return found

    def _object(
        self,
        method: str,
        path: str,
        body: Raw | Sequence[Raw] | None = None,
        content: str = "application/json",
        safe: bool = False,
    ) -> Raw:
        return self._parsed(self._send(method, path, body, content, safe), method, path)

    def _parsed(self, answer: Answer, method: str, path: str) -> Raw:
        if not answer.well:
            raise self._refusal(answer, method, path)
        try:
            found = json.loads(answer.body)
        except ValueError as error:
            found, why = None, str(error)
        else:
            why = "the answer is no JSON object"
        if not isinstance(found, dict):
            fix = "see that the kubeconfig names an API server and no web page"
            raise KubeRefused("what answers is no API server", where=f"{self.access.url}{path}", why=why, fix=fix)
        return found

    def _refusal(self, answer: Answer, method: str, path: str) -> KubeError:
        return refusal(answer, f"{method} {path}", self.access.where, read=method == "GET")

    def _send(
        self,
        method: str,
        path: str,
        body: Raw | Sequence[Raw] | None = None,
        content: str = "application/json",
        safe: bool = False,
    ) -> Answer:
        """The answer, whatever it is; KubeUnreachable when there is none."""
        limit = time.monotonic() + self.limits.deadline
        data = None if body is None else json.dumps(body).encode()
        pause = self.limits.pause
        for attempt in range(1, self.limits.attempts + 1):
            last = attempt == self.limits.attempts
            wait = pause * random.uniform(0.75, 1.25)  # so that many do not come back at once
            pause *= 2
            try:
                answer = self._once(method, path, data, content, limit)
            except _Unheard as lost:
                if last or lost.stranger or not (safe or lost.unsent) or time.monotonic() + wait >= limit:
                    raise self._unreachable(lost, method, path, safe) from lost.cause
            else:
                wait = wait if answer.retry_after is None else max(wait, answer.retry_after)
                if last or answer.budget or not again(answer, safe) or time.monotonic() + wait >= limit:
                    return answer
            self._sleep(wait)
        raise AssertionError

    def _once(self, method: str, path: str, data: bytes | None, content: str, limit: float) -> Answer:
        """Raises _Unheard. The body is read in pieces, so that a drip cannot outlast the deadline."""
        from urllib3 import Timeout, exceptions

        headers = self.access.headers()
        if data is not None:
            headers["Content-Type"] = content
        left = max(limit - time.monotonic(), 0.1)
        timeout = Timeout(connect=min(self.limits.connect, left), read=min(self.limits.silence, left))
        unsent = (exceptions.NewConnectionError, exceptions.ConnectTimeoutError, exceptions.SSLError)
        try:
            answer = self.access.pool.request(
                method,
                f"{self.access.url}{path}",
                body=data,
                headers=headers,
                timeout=timeout,
                retries=False,
                preload_content=False,
            )
            try:
                pieces = []
                while piece := answer.read(PIECE, decode_content=True):
                    pieces.append(piece)
                    if time.monotonic() > limit:
                        raise exceptions.ReadTimeoutError(answer._pool, path, "the answer did not end in time")
            except BaseException:
                answer.close()
                raise
            answer.release_conn()
        except (exceptions.HTTPError, OSError) as error:
            raise _Unheard(error, isinstance(error, unsent), isinstance(error, exceptions.SSLError)) from error
        return Answer(int(answer.status), b"".join(pieces), _seconds(answer.headers))

    def _unreachable(self, lost: _Unheard, method: str, path: str, safe: bool) -> KubeUnreachable:
        from urllib3.exceptions import NewConnectionError, TimeoutError

        told = " ".join(str(lost.cause).split())
        fix = "see that it runs and that this network reaches it: kubectl get --raw /readyz"
        what = f"the API server does not answer at {self.access.url}"
        if lost.stranger:
            what = f"the API server at {self.access.url} is not the one that the kubeconfig knows"
            fix = "take its certificate-authority-data from the cluster's own kubeconfig"
        elif isinstance(lost.cause, TimeoutError) and not isinstance(lost.cause, NewConnectionError):
            what = f"the API server at {self.access.url} hangs"
        if not (safe or lost.unsent):
            told += f"; nobody knows whether {method} {path} was done"
        return KubeUnreachable(what, where=self.access.where, why=told, fix=fix)


class _Unheard(Exception):
    """No answer. ``unsent``: the request surely never left; ``stranger``: it is not whom we trust."""

    def __init__(self, cause: BaseException, unsent: bool, stranger: bool) -> None:
        super().__init__(str(cause))
        self.cause = cause
        self.unsent = unsent
        self.stranger = stranger


def _seconds(headers: Mapping[str, str]) -> float | None:
    """Retry-After in seconds; a date, which API servers do not send, counts as nothing said."""
    said = headers.get("Retry-After", "")
    return float(said) if said.isdigit() else None


def connect(kubeconfig: Path | None = None, context: str = "", limits: Limits | None = None) -> Api:
    """The cluster of a kubeconfig's context, or the one that we run in. Raises UsageError when none is named."""
    return Api(access(kubeconfig, context), limits)
