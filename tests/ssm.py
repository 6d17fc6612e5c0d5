"""A small SSM and instance metadata for what runs on a machine: it checks every signature with botocore's own."""

from __future__ import annotations

import contextlib
import http.server
import json
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

ROLE = "infra-node"


@dataclass
class Parameter:
    value: str
    kind: str
    modified: float


@dataclass
class Ssm:
    """``parameters`` by name. ``refuse`` is a pattern of a request (``Put /infra``) -> error type, with status 400.

    Unless ``strict``, requests may be unsigned: a shell takes most of its time for signatures.
    ``before`` and ``after`` are called with each action and name, before it is done and before it is answered. Machines
    ask their metadata below /imds/NAME, which is how they are told apart.
    """

    key: str = "AKIDEXAMPLE"
    secret: str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
    token: str = "of the role"
    strict: bool = False
    parameters: dict[str, Parameter] = field(default_factory=dict)
    refuse: dict[str, str] = field(default_factory=dict)
    before: Callable[[str, str], None] = lambda action, name: None
    after: Callable[[str, str], None] = lambda action, name: None
    ahead: float = 0.0
    asked: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    url: str = ""
    lock: threading.Lock = field(default_factory=threading.Lock)

    def now(self) -> float:
        return time.time() + self.ahead

    def put(self, name: str, value: str, *, age: float = 0, kind: str = "String") -> None:
        self.parameters[name] = Parameter(value, kind, self.now() - age)

    def do(self, action: str, asked: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        name = asked["Name"]
        with self.lock:
            found = self.parameters.get(name)
            if action == "GetParameter":
                if found is None:
                    return 400, {"__type": "ParameterNotFound"}
                body = {"Name": name, "Type": found.kind, "Value": found.value, "LastModifiedDate": found.modified}
                return 200, {"Parameter": body}
            if action == "PutParameter":
                if found is not None and not asked["Overwrite"]:
                    return 400, {"__type": "ParameterAlreadyExists", "message": "it is there"}
                self.put(name, asked["Value"], kind=asked["Type"])
                return 200, {"Version": 1}
        return 400, {"__type": "InvalidAction"}

    def signed(self, handler: http.server.BaseHTTPRequestHandler, body: bytes) -> bool:
        """Whether the request carries the signature that botocore would give it."""
        said = handler.headers.get("Authorization", "")
        if said.endswith("Signature=none") and not self.strict:
            return True
        names = said.partition("SignedHeaders=")[2].partition(",")[0].split(";")
        region = said.partition("Credential=")[2].split("/")[2] if said.count("/") > 3 else ""
        if any(name.lower().startswith("x-amz-") and name.lower() not in names for name in handler.headers):
            return False
        signer = SigV4Auth(Credentials(self.key, self.secret, self.token or None), "ssm", region)
        request = AWSRequest("POST", f"http://{handler.headers['Host']}{handler.path}", data=body)
        for name in names:
            request.headers[name] = handler.headers[name]
        request.context["timestamp"] = handler.headers["x-amz-date"]
        wanted = signer.signature(signer.string_to_sign(request, signer.canonical_request(request)), request)
        return said.endswith(f"Signature={wanted}") and f"Credential={self.key}/" in said


def metadata(ssm: Ssm, machine: str, path: str) -> str:
    number = int(machine[-1], 16) if machine[-1:].isalnum() else 0
    keys = {"AccessKeyId": ssm.key, "SecretAccessKey": ssm.secret, "Token": ssm.token}
    return {
        "meta-data/instance-id": f"i-{machine}",
        "meta-data/local-hostname": f"ip-10-40-1-{number}.us-west-2.compute.internal",
        "meta-data/local-ipv4": f"10.40.1.{number}",
        "meta-data/instance-type": "p3.8xlarge",
        "meta-data/placement/availability-zone": "us-west-2b",
        "meta-data/iam/security-credentials/": ROLE,
        f"meta-data/iam/security-credentials/{ROLE}": json.dumps(keys, indent=1),
    }.get(path, "")


@contextlib.contextmanager
def serve(ssm: Ssm, address: str = "127.0.0.1") -> Iterator[Ssm]:
    """While inside, ``ssm.url`` answers."""

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, format: str, *args: object) -> None:
            return None

        def do_GET(self) -> None:
            _, _, machine, _, path = self.path.split("/", 4)
            good = self.headers.get("X-aws-ec2-metadata-token") == "tok"
            text = metadata(ssm, machine, path) if good else ""
            self._answer(200 if text else 404, text.encode())

        def do_PUT(self) -> None:
            self._answer(200, b"tok")

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            action = self.headers.get("X-Amz-Target", "").removeprefix("AmazonSSM.")
            asked = json.loads(body)
            what = f"{action} {asked.get('Name')}"
            ssm.asked.append(what)
            if not ssm.signed(self, body):
                ssm.wrong.append(what)
                return self._say(400, {"__type": "InvalidSignatureException"})
            refused = next((said for part, said in ssm.refuse.items() if part in what), "")
            if refused:
                return self._say(400, {"__type": f"com.amazonaws.ssm#{refused}", "message": "because"})
            ssm.before(action, asked["Name"])
            status, found = ssm.do(action, asked)
            ssm.after(action, asked["Name"])
            return self._say(status, found)

        def _say(self, status: int, found: dict[str, Any]) -> None:
            self._answer(status, json.dumps(found).encode())

        def _answer(self, status: int, body: bytes) -> None:
            with contextlib.suppress(OSError):  # the other side was killed
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

        def date_time_string(self, timestamp: float | None = None) -> str:
            return f"{datetime.fromtimestamp(ssm.now(), UTC):%a, %d %b %Y %H:%M:%S} GMT"

    server = http.server.ThreadingHTTPServer((address, 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    ssm.url = f"http://{address}:{server.server_address[1]}"
    try:
        yield ssm
    finally:
        server.shutdown()
        server.server_close()
        thread.join(timeout=5)
