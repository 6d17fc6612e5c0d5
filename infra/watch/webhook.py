"""Notices to a webhook, Slack's or anybody's, from a thread of its own: whoever tells something never waits for it.

A POST of JSON: ``{"text": …}``, and for others than Slack ``"decisions"`` with the fields of the log lines beside.
"""

from __future__ import annotations

import json
import logging
import queue
import threading
import urllib.error
import urllib.request
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit

from infra import __version__
from infra.errors import UsageError
from infra.proc import SECRETS

LOG = logging.getLogger(__name__)
SILENCE = 5.0  # seconds until a connection, or an answer's next bytes
KEPT = 100  # notices that may wait; the oldest are dropped
FLUSH = 10.0


class Webhook:
    """``send`` returns at once. A URL of a webhook is a secret: it is never shown. Raises UsageError for no URL."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise UsageError("the webhook is no URL", where="--webhook", fix="https://hooks.slack.com/services/…")
        SECRETS.add(url)
        self._url = url
        self._host = parts.hostname
        self.failures = 0
        self.sent = 0
        self._queue: queue.Queue[dict[str, Any] | None] = queue.Queue(KEPT)
        self._thread = threading.Thread(target=self._work, name="webhook", daemon=True)
        self._thread.start()

    def send(self, text: str, decisions: Sequence[dict[str, Any]] = ()) -> None:
        """Hand a notice over. When too many wait, the oldest is dropped: the newest says more."""
        body: dict[str, Any] = {"text": text}
        if not self._host.endswith("slack.com"):
            body["decisions"] = list(decisions)
        while True:
            try:
                self._queue.put_nowait(body)
            except queue.Full:
                self._drop()
            else:
                return

    def close(self, seconds: float = FLUSH) -> None:
        """Send what waits, for so many seconds at most."""
        try:
            self._queue.put(None, timeout=seconds)
        except queue.Full:
            return
        self._thread.join(seconds)

    def _drop(self) -> None:
        try:
            self._queue.get_nowait()
        except queue.Empty:
            return
        self.failures += 1

    def _work(self) -> None:
        while (body := self._queue.get()) is not None:
            try:
                self._post(json.dumps(body).encode())
                self.sent += 1
            except (OSError, ValueError) as error:  # URLError and HTTPException's sockets are OSErrors
                self.failures += 1
                LOG.warning("a notice to %s failed: %s", self._host, SECRETS.redact(str(error)))

    def _post(self, raw: bytes) -> None:
        headers = {"Content-Type": "application/json", "User-Agent": f"infra/{__version__}"}
        request = urllib.request.Request(self._url, raw, headers, method="POST")
        with _OPENER.open(request, timeout=SILENCE) as answer:
            answer.read(1024)


class _Stay(urllib.request.HTTPRedirectHandler):
    """A webhook does not redirect: what is posted there is for nobody else."""

    def redirect_request(self, *_args: Any, **_more: Any) -> None:
        return None


_OPENER = urllib.request.build_opener(_Stay)
