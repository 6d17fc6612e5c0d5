"""A test double of AWS's refusals: a small HTTP server that says no as AWS does, and passes the rest on.

The embedded AWS never refuses anybody, throttles or hangs; this does, in the words and formats of the real services
(EC2 query, query, S3 and JSON errors). What it does not refuse it hands to ``upstream`` when there is one.
"""

from __future__ import annotations

import contextlib
import http.client
import re
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

REQUEST_ID = "11111111-2222-3333-4444-555555555555"


@dataclass(frozen=True)
class Call:
    """One request: ``service`` and ``region`` as in the signature (ec2, us-west-2) and the API's ``action`` ('' for
    S3)."""

    service: str
    action: str
    method: str
    path: str
    region: str = ""


@dataclass(frozen=True)
class Refusal:
    """An answer of AWS: ``code`` and ``message``; ``times`` says how often (None: always); ``hang`` in seconds."""

    code: str
    message: str = ""
    status: int = 400
    times: int | None = None
    hang: float = 0
    when: Callable[[Call], bool] = lambda call: True


@dataclass
class FaultyAws:
    refusals: list[Refusal]
    upstream: str | None = None
    calls: list[Call] = field(default_factory=list)
    refused: dict[int, int] = field(default_factory=dict)
    url: str = ""
    answered: Callable[[Call], object] = lambda call: None
    """Told of each call that was done, before its answer goes out; when it returns True, the answer is lost."""
    stopping: threading.Event = field(default_factory=threading.Event)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def choose(self, call: Call) -> Refusal | None:
        with self._lock:
            self.calls.append(call)
            for index, refusal in enumerate(self.refusals):
                done = self.refused.get(index, 0)
                if refusal.when(call) and (refusal.times is None or done < refusal.times):
                    self.refused[index] = done + 1
                    return refusal
        return None


@contextlib.contextmanager
def serve(refusals: list[Refusal], upstream: str | None = None) -> Iterator[FaultyAws]:
    """The server on a free port of loopback, for as long as the context lasts."""
    faulty = FaultyAws(refusals, upstream)
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(faulty))
    server.daemon_threads = True
    faulty.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield faulty
    finally:
        faulty.stopping.set()
        server.shutdown()
        server.server_close()
        thread.join(timeout=5)


def _handler(faulty: FaultyAws) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: Any) -> None:
            pass

        def _any(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            call = _call(self, body)
            # The server's own requests (is it there?) are not AWS's to refuse.
            refusal = None if call.path.startswith("/_infra") else faulty.choose(call)
            if refusal is not None and refusal.hang:
                faulty.stopping.wait(refusal.hang)
                self.close_connection = True
                return
            if refusal is not None:
                kind, text = _body(call, refusal)
                self._answer(refusal.status, {"Content-Type": kind, "x-amzn-RequestId": REQUEST_ID}, text)
            elif faulty.upstream:
                answer = _forward(faulty.upstream, self, body)
                if faulty.answered(call) is True:
                    self.close_connection = True
                else:
                    self._answer(*answer)
            else:
                self._answer(500, {"Content-Type": "text/plain"}, b"no upstream")

        def _answer(self, status: int, headers: dict[str, str], body: bytes) -> None:
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            # A HEAD answer says how long the body would be, as the server behind us said.
            if "Content-Length" not in headers:
                self.send_header("Content-Length", str(len(body)))
            with contextlib.suppress(ConnectionError):  # whoever asked was killed
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(body)

        do_GET = do_POST = do_PUT = do_DELETE = do_HEAD = _any

    return Handler


def _call(request: BaseHTTPRequestHandler, body: bytes) -> Call:
    scope = re.search(r"Credential=[^/]+/\d+/([^/]+)/([^/]+)/", request.headers.get("Authorization", ""))
    target = request.headers.get("X-Amz-Target", "")
    form = parse_qs(body.decode("latin-1")) if b"Action=" in body else {}
    action = form.get("Action", [target.rpartition(".")[2]])[0]
    region, service = scope.groups() if scope else ("", "")
    return Call(service, action, request.command, urlsplit(request.path).path, region)


def _body(call: Call, refusal: Refusal) -> tuple[str, bytes]:
    code, message = refusal.code, refusal.message
    if call.service == "ec2":
        error = f"<Errors><Error><Code>{code}</Code><Message>{message}</Message></Error></Errors>"
        text = f'<?xml version="1.0"?><Response>{error}<RequestID>{REQUEST_ID}</RequestID></Response>'
    elif call.service == "s3":
        error = f"<Code>{code}</Code><Message>{message}</Message><RequestId>{REQUEST_ID}</RequestId>"
        text = f'<?xml version="1.0"?><Error>{error}</Error>'
    elif call.service in ("elasticfilesystem", "servicequotas", "pricing", "logs", "ssm"):
        return "application/x-amz-json-1.1", f'{{"__type":"{code}","message":"{message}"}}'.encode()
    else:
        error = f"<Error><Type>Sender</Type><Code>{code}</Code><Message>{message}</Message></Error>"
        text = f"<ErrorResponse>{error}<RequestId>{REQUEST_ID}</RequestId></ErrorResponse>"
    return "text/xml", text.encode()


def _forward(upstream: str, request: BaseHTTPRequestHandler, body: bytes) -> tuple[int, dict[str, str], bytes]:
    split = urlsplit(upstream)
    connection = http.client.HTTPConnection(split.hostname or "", split.port, timeout=30)
    dropped = {"host", "connection", "transfer-encoding", "expect"}
    headers = {name: value for name, value in request.headers.items() if name.lower() not in dropped}
    headers["Host"] = split.netloc
    try:
        connection.request(request.command, request.path, body=body, headers=headers)
        answer = connection.getresponse()
        kept = {n: v for n, v in answer.getheaders() if n.lower() not in ("connection", "transfer-encoding")}
        raw = answer.read()
        if request.command != "HEAD":
            kept.pop("Content-Length", None)
        return answer.status, kept, raw
    finally:
        connection.close()


def wait_until(done: Callable[[], bool], seconds: float) -> bool:
    """True as soon as ``done()`` is; False after ``seconds``."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if done():
            return True
        time.sleep(0.05)
    return done()
