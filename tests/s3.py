"""A small S3 for what runs on a machine: it checks every signature with botocore's own, and can be told to fail."""

from __future__ import annotations

import contextlib
import hashlib
import http.server
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from urllib.parse import urlsplit

from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

ROLE = "infra-node"


@dataclass
class S3:
    """``objects`` is ``bucket/key`` -> bytes. ``fault`` is path -> (status, error code), ``torn`` cuts bodies short."""

    key: str = "AKIDEXAMPLE"
    secret: str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
    token: str = ""
    objects: dict[str, bytes] = field(default_factory=dict)
    fault: dict[str, tuple[int, str]] = field(default_factory=dict)
    torn: set[str] = field(default_factory=set)
    asked: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    url: str = ""

    def signed(self, handler: http.server.BaseHTTPRequestHandler, body: bytes) -> bool:
        """Whether the request carries the signature that botocore would give it."""
        said = handler.headers.get("Authorization", "")
        names = said.partition("SignedHeaders=")[2].partition(",")[0].split(";")
        region = said.partition("Credential=")[2].split("/")[2] if said.count("/") > 3 else ""
        if handler.headers.get("x-amz-content-sha256") != hashlib.sha256(body).hexdigest():
            return False
        if any(name.lower().startswith("x-amz-") and name.lower() not in names for name in handler.headers):
            return False  # as S3: what is there and not signed is refused
        signer = S3SigV4Auth(Credentials(self.key, self.secret, self.token or None), "s3", region)
        request = AWSRequest(handler.command, f"http://{handler.headers['Host']}{handler.path}", data=body)
        for name in names:
            request.headers[name] = handler.headers[name]
        request.context["timestamp"] = handler.headers["x-amz-date"]
        request.context["signing"] = {}
        wanted = signer.signature(signer.string_to_sign(request, signer.canonical_request(request)), request)
        return said.endswith(f"Signature={wanted}") and f"Credential={self.key}/" in said


@contextlib.contextmanager
def serve(s3: S3, address: str = "127.0.0.1") -> Iterator[S3]:
    """While inside, ``s3.url`` answers: S3 with paths of the form /bucket/key, and /latest as instance metadata."""

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, format: str, *args: object) -> None:
            return None

        def do_GET(self) -> None:
            self._handle()

        def do_PUT(self) -> None:
            self._handle()

        def _handle(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            path = urlsplit(self.path).path.lstrip("/")
            s3.asked.append(f"{self.command} {path}")
            if path.startswith("latest/"):
                return self._metadata(path.removeprefix("latest/"))
            fault = next((said for part, said in s3.fault.items() if part in path), None)
            if fault:
                return self._error(*fault)
            if not s3.signed(self, body):
                s3.wrong.append(f"{self.command} {path}")
                return self._error(403, "SignatureDoesNotMatch")
            if self.command == "PUT":
                s3.objects[path] = body
                return self._answer(200, b"")
            found = s3.objects.get(path)
            if found is None:
                return self._error(404, "NoSuchKey")
            tag = f'"{hashlib.md5(found, usedforsecurity=False).hexdigest()}"'
            if self.headers.get("If-None-Match") == tag:
                return self._answer(304, b"", tag)
            return self._answer(200, found, tag, cut=any(part in path for part in s3.torn))

        def _metadata(self, path: str) -> None:
            if (
                path == "api/token"
                and self.command == "PUT"
                and self.headers.get("X-aws-ec2-metadata-token-ttl-seconds")
            ):
                return self._answer(200, b"tok")
            if self.headers.get("X-aws-ec2-metadata-token") != "tok":
                return self._error(401, "Unauthorized")
            keys = (
                f'{{\n  "AccessKeyId" : "{s3.key}",\n  "SecretAccessKey" : "{s3.secret}",\n  "Token" : "{s3.token}"\n}}'
            )
            there = {
                "meta-data/instance-id": "i-0123456789abcdef0",
                "meta-data/iam/security-credentials/": ROLE if s3.token else "",
                f"meta-data/iam/security-credentials/{ROLE}": keys,
            }
            text = there.get(path, "")
            return self._answer(200, text.encode()) if text else self._error(404, "NotFound")

        def _error(self, status: int, code: str) -> None:
            self._answer(status, f"<Error><Code>{code}</Code><Message>because</Message></Error>".encode())

        def _answer(self, status: int, body: bytes, tag: str = "", *, cut: bool = False) -> None:
            self.send_response(status)
            if tag:
                self.send_header("ETag", tag)
            if status != 304:
                self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body[: len(body) // 2] if cut else body)
            if cut:
                self.close_connection = True

        def date_time_string(self, timestamp: float | None = None) -> str:
            return f"{datetime.now(UTC):%a, %d %b %Y %H:%M:%S} GMT"

    server = http.server.ThreadingHTTPServer((address, 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    s3.url = f"http://{address}:{server.server_address[1]}"
    try:
        yield s3
    finally:
        server.shutdown()
        server.server_close()
        thread.join(timeout=5)
