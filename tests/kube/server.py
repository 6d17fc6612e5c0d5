"""The API on a port: HTTP/1.1, or TLS; with a token or without; faults; and the kubeconfig for it."""

from __future__ import annotations

import base64
import contextlib
import hmac
import json
import socket
import socketserver
import ssl
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from tests.kube import budgets, errors, resources
from tests.kube.faults import Fault, Faults
from tests.kube.messages import Answer, Request
from tests.kube.rest import Api
from tests.kube.store import Object, Store

_NAMESPACES = ("default", "kube-node-lease", "kube-public", "kube-system")


@dataclass(frozen=True)
class Seen:
    """One request that came, and the code of its answer (0: none)."""

    method: str
    path: str
    query: Mapping[str, str]
    agent: str
    code: int


class KubeServer:
    """One API server on 127.0.0.1, running while inside ``with``.

    ``certificate`` is a file with a certificate and its key in PEM: then the server speaks TLS. ``token``: the bearer
    token that every request must carry (clients send it on TLS only).
    """

    def __init__(self, certificate: Path | None = None, token: str = "") -> None:
        self.store = Store()
        self.budgets = budgets.Follower(self.store)
        self.api = Api(self.store)
        self.faults = Faults()
        self.seen: list[Seen] = []
        self.token = token
        self.certificate = certificate
        self.port = 0
        self._http: _Listener | None = None
        for name in _NAMESPACES:
            self.put({"kind": "Namespace", "apiVersion": "v1", "metadata": {"name": name}})

    def __enter__(self) -> KubeServer:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def url(self) -> str:
        return f"{'https' if self.certificate else 'http'}://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Listen; after a stop on the same port again, with everything that was there."""
        self.api.watching.closing = False
        self._http = _Listener(self)
        self.port = self._http.server_address[1]
        self.api.address = f"127.0.0.1:{self.port}"
        threading.Thread(target=self._http.serve_forever, args=(0.02,), daemon=True).start()

    def stop(self) -> None:
        """Refuse connections and break those that are there. The objects stay."""
        if self._http is None:
            return
        self._http.shutdown()
        self._http.server_close()
        # First the connections: nobody is told that this is the end, as with a machine that is gone.
        self._http.break_all()
        self.api.watching.closing = True
        with self.store.changed:
            self.store.changed.notify_all()
        self._http = None

    @contextlib.contextmanager
    def away(self) -> Iterator[None]:
        """While inside, nobody reaches the server."""
        self.stop()
        try:
            yield
        finally:
            self.start()

    def cut_watches(self) -> None:
        """End every watch that is open, as a server that is shutting down does."""
        with self.store.changed:
            self.api.watching.cuts += 1
            self.store.changed.notify_all()

    def fault(self, **what: Any) -> Fault:
        """``fault(method="PATCH", path="/nodes/", code=500, times=2)``: see ``Fault``."""
        return self.faults.add(Fault(**what))

    def put(self, obj: Object) -> Object:
        """Create an object from within, its status included; the namespace is "default" if it says none."""
        resource = resources.of_kind(obj["apiVersion"], obj["kind"])
        assert resource is not None, obj
        meta = dict(obj["metadata"])
        if resource.namespaced:
            meta.setdefault("namespace", "default")
        place = f"/api{'s' if resource.group else ''}/{obj['apiVersion']}/"
        place += f"namespaces/{meta['namespace']}/{resource.plural}" if resource.namespaced else resource.plural
        body = json.dumps({**obj, "metadata": meta}).encode()
        answer = self.api.handle(Request("POST", place, body=body))
        found: Object = json.loads(answer.payload)
        assert answer.code == 201, found
        if "status" in obj and resource.has_status:
            name = found["metadata"]["name"]
            patch = {"content-type": "application/merge-patch+json"}
            body = json.dumps({"status": obj["status"]}).encode()
            answer = self.api.handle(Request("PATCH", f"{place}/{name}/status", headers=patch, body=body))
            found = json.loads(answer.payload)
            assert answer.code == 200, found
        return found

    def delete(self, path: str) -> None:
        """Delete the object at a path from within, as a client would; what is not there is no mistake."""
        answer = self.api.handle(Request("DELETE", path))
        assert answer.code in (200, 404), answer.payload

    def kubeconfig(self, path: Path) -> Path:
        """Write a kubeconfig for this server (JSON, which is YAML as well)."""
        cluster: dict[str, Any] = {"server": self.url}
        if self.certificate:
            cluster["certificate-authority-data"] = base64.b64encode(_public(self.certificate)).decode()
        user = {"token": self.token} if self.token else {}
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "test", "cluster": cluster}],
            "users": [{"name": "test", "user": user}],
            "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test", "namespace": "default"}}],
            "current-context": "test",
        }
        path.touch(0o600)
        path.write_text(json.dumps(config, indent=1), encoding="utf-8")
        return path


def _public(pem: Path) -> bytes:
    """The certificate alone, without the key that lies in the same file."""
    text = pem.read_text()
    start, end = "-----BEGIN CERTIFICATE-----", "-----END CERTIFICATE-----"
    return (text[text.index(start) : text.index(end)] + end + "\n").encode()


class _Listener(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128
    allow_reuse_address = True

    def __init__(self, server: KubeServer) -> None:
        self.kube = server
        self.connections: set[socket.socket] = set()
        super().__init__(("127.0.0.1", server.port), _Handler)
        self.context: ssl.SSLContext | None = None
        if server.certificate:
            self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self.context.load_cert_chain(server.certificate)

    def server_bind(self) -> None:
        """Without asking for the host's name, which may take seconds where no name server answers."""
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = self.server_address[:2]  # type: ignore[assignment]

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """In the connection's own thread: a slow handshake holds up nobody else."""
        try:
            if self.context:
                request = self.context.wrap_socket(request, server_side=True)
        except OSError:
            self.shutdown_request(request)
            return
        self.connections.add(request)
        try:
            super().process_request_thread(request, client_address)
        finally:
            self.connections.discard(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is nothing to tell; a mistake of ours is."""
        error = sys.exc_info()[1]
        if not isinstance(error, OSError) and "closed file" not in str(error):
            super().handle_error(request, client_address)

    def break_all(self) -> None:
        for connection in list(self.connections):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)


class _Cut(OSError):
    """The connection is to be closed as it is."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = 65536
    server: _Listener

    def log_message(self, format: str, *args: object) -> None:
        pass

    def _serve(self) -> None:
        kube = self.server.kube
        request = self._request()
        fault = kube.faults.meet(request)
        answer: Answer | None = None
        try:
            if fault:
                answer = self._suffer(fault)
            if answer is None:
                answer = self._allowed(kube, request) or kube.api.handle(request)
            if fault and fault.cut == "after":
                raise _Cut
        except _Cut:
            if fault:
                fault.then()
            kube.seen.append(self._seen(request, 0))
            self.close_connection = True
            return
        kube.seen.append(self._seen(request, answer.code))
        if answer.stream is not None:
            self._stream(answer, fault.watch_events if fault else None)
        else:
            self._whole(answer)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _serve

    def _request(self) -> Request:
        parts = urlsplit(self.path)
        query = dict(parse_qsl(parts.query, keep_blank_values=True))
        headers = {name.lower(): value for name, value in self.headers.items()}
        if headers.get("transfer-encoding", "").lower() == "chunked":
            body = self._chunks()
        else:
            body = self.rfile.read(int(headers.get("content-length") or 0))
        return Request(self.command, unquote(parts.path), query, headers, body)

    def _chunks(self) -> bytes:
        pieces = []
        while size := int(self.rfile.readline().partition(b";")[0], 16):
            pieces.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(pieces)

    def _seen(self, request: Request, code: int) -> Seen:
        return Seen(request.method, request.path, request.query, request.headers.get("user-agent", ""), code)

    @staticmethod
    def _suffer(fault: Fault) -> Answer | None:
        """What the fault answers in our place; None when the request goes on."""
        time.sleep(fault.slow)
        if fault.cut == "before":
            raise _Cut
        if not fault.code:
            return None
        reasons = {429: "TooManyRequests", 500: "InternalError", 503: "ServiceUnavailable", 504: "Timeout"}
        message = "the server is asked to fail"
        error = errors.ApiError(fault.code, reasons.get(fault.code, "Unknown"), message, None, fault.retry_after)
        headers = {"Retry-After": str(fault.retry_after)} if fault.retry_after else {}
        return Answer(error.status, fault.code, headers=headers)

    @staticmethod
    def _allowed(kube: KubeServer, request: Request) -> Answer | None:
        if not kube.token:
            return None
        given = request.headers.get("authorization", "")
        if hmac.compare_digest(given.encode(), f"Bearer {kube.token}".encode()):
            return None
        error = errors.unauthorized()
        return Answer(error.status, error.code)

    def _head(self, answer: Answer, **headers: str) -> None:
        self.send_response(answer.code)
        self.send_header("Content-Type", answer.content)
        self.send_header("Cache-Control", "no-cache, private")
        for name, value in {**answer.headers, **headers}.items():
            self.send_header(name, value)
        self.end_headers()

    def _whole(self, answer: Answer) -> None:
        payload = answer.payload
        self._head(answer, **{"Content-Length": str(len(payload))})
        self.wfile.write(payload)
        self.wfile.flush()

    def _stream(self, answer: Answer, events: int | None) -> None:
        assert answer.stream is not None
        self._head(answer, **{"Transfer-Encoding": "chunked"})
        self.wfile.flush()
        for count, line in enumerate(answer.stream):
            if events is not None and count >= events:
                self._piece(line[: len(line) // 2])
                self.close_connection = True
                return
            self._piece(line)
        self.wfile.write(b"0\r\n\r\n")
        self.wfile.flush()

    def _piece(self, data: bytes) -> None:
        self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
        self.wfile.flush()
