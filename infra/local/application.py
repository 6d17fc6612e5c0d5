"""The WSGI application: AWS by moto with our extensions, and our own few requests under ``/_infra``.

One request is worked on at a time: moto's models are plain dictionaries that threads would tear, and under one
interpreter lock taking turns is also the fastest way. Only ``/_infra/health`` does not wait for its turn.
"""

from __future__ import annotations

import gc
import io
import json
import logging
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterable
from typing import Any

from flask import Flask
from moto.moto_server.werkzeug_app import (
    DomainDispatcherApplication,
    MotoRequestHandler,
    create_backend_app,
)
from werkzeug.serving import make_server

from infra.errors import UsageError
from infra.local import capacity, extensions, failure, supply
from infra.local.record import PREFIX, TOKEN_HEADER, Record

Environ = dict[str, Any]
StartResponse = Callable[..., Any]

log = logging.getLogger("infra.local")

PRELOADED = ("sts", "iam", "ec2", "s3", "autoscaling", "elbv2", "efs", "ssm", "logs")
"""What nearly every cluster talks to; loaded in the background while Terraform is still starting."""


class Dispatcher(DomainDispatcherApplication):
    """moto's dispatcher, remembering what it looks up for every request (each look-up lists a directory)."""

    def __init__(self) -> None:
        super().__init__(create_app)
        self._known: dict[str | None, Any] = {}

    def get_backend_for_host(self, host: str | None) -> Any:
        if host not in self._known:
            self._known[host] = super().get_backend_for_host(host)
        return self._known[host]


def create_app(service: Any) -> Any:
    """The Flask application of one AWS service, with our extensions in it and no way to answer with a traceback."""
    if service is None:
        return failure.unknown_service
    extensions.install(service)
    app: Flask = create_backend_app(service)
    app.debug = False
    app.register_error_handler(Exception, failure.answer)
    return app


class Application:
    """See the module. All of ``/_infra/`` but ``health`` wants the token of the server's record."""

    def __init__(self, record: Record) -> None:
        self._record = record
        self._moto = Dispatcher()
        self._turn = threading.RLock()

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        path = str(environ.get("PATH_INFO", ""))
        if path.startswith(PREFIX):
            return self._own(path[len(PREFIX) :], environ, start_response)
        if path.startswith("/moto-api"):
            return _json(start_response, 404, {"error": f"use {PREFIX}"})
        _read_body(environ)
        began = time.perf_counter()
        with self._turn:
            supply.pass_time()
            answer = list(self._moto(environ, start_response))
        log.debug("%s %s %.1f ms", environ.get("REQUEST_METHOD"), path, 1000 * (time.perf_counter() - began))
        return answer

    def preload(self) -> None:
        """Load the usual services, one turn each, so that an early request waits for one of them at most."""
        for service in PRELOADED:
            with self._turn, self._moto.lock:
                if service not in self._moto.app_instances:
                    self._moto.app_instances[service] = create_app(service)
        gc.collect()
        gc.freeze()  # the lists of instance types stay for good; walking them again at each collection takes 0.1 s

    def _own(self, path: str, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        if path == "/health":
            return _json(start_response, 200, {"token": self._record.token, "version": self._record.version})
        if environ.get("HTTP_" + TOKEN_HEADER.upper().replace("-", "_")) != self._record.token:
            return _json(start_response, 403, {"error": "wrong token"})
        with self._turn:
            if path == "/inventory":
                from infra.local import moto_inventory

                return _json(start_response, 200, {"resources": moto_inventory.resources()})
            if path == "/reset" and environ.get("REQUEST_METHOD") == "POST":
                extensions.reset()
                return _json(start_response, 200, {"reset": True})
            if path in ("/capacity", "/interruptions"):
                return _json(start_response, *_supplied(path, environ))
        return _json(start_response, 404, {"error": "no such request"})


class Handler(MotoRequestHandler):
    """Answers leave at once (no Nagle), and a request is no line in the log."""

    disable_nagle_algorithm = True

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        return None


def serve(listener: socket.socket, record: Record) -> None:
    """Answer until interrupted. Takes over the listening socket."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(message)s", stream=sys.stderr)
    logging.getLogger("werkzeug").setLevel(logging.WARNING)
    application = Application(record)
    host, port = listener.getsockname()
    server: Any = make_server(host, port, application, threaded=True, request_handler=Handler, fd=listener.fileno())
    server.daemon_threads = True
    log.info("serving %s, process %d", record.url, record.pid)
    threading.Thread(target=application.preload, name="preload", daemon=True).start()
    server.serve_forever()


def _read_body(environ: Environ) -> None:
    """Take the body off the wire before the turn begins, so that a slow sender holds up nobody else."""
    stream = environ["wsgi.input"]
    if environ.get("wsgi.input_terminated"):
        body = stream.read()
    else:
        body = stream.read(int(environ.get("CONTENT_LENGTH") or 0))
    environ["CONTENT_LENGTH"] = str(len(body))
    environ[failure.BODY] = body
    environ["wsgi.input"] = io.BytesIO(body)


def _supplied(path: str, environ: Environ) -> tuple[int, object]:
    """What there is to have: read it, set it, or give spot machines their notice."""
    if environ.get("REQUEST_METHOD") != "POST":
        return (200, supply.rules().data()) if path == "/capacity" else (404, {"error": "no such request"})
    _read_body(environ)
    try:
        asked = json.loads(environ[failure.BODY])
        if path == "/interruptions":
            return 200, {"interrupted": supply.interrupt(str(name) for name in asked["instances"])}
        supply.use(capacity.parse(asked, path))
    except UsageError as error:
        return 400, {"error": error.text()}
    except (ValueError, KeyError, TypeError):
        return 400, {"error": "the body is not of that form"}
    return 200, supply.rules().data()


def _json(start_response: StartResponse, status: int, data: object) -> Iterable[bytes]:
    body = json.dumps(data).encode()
    reason = {200: "OK", 400: "Bad Request", 403: "Forbidden", 404: "Not Found"}[status]
    start_response(f"{status} {reason}", [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
    return [body]
