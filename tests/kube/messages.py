"""A request and an answer, apart from the wire."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.kube import errors, wire
from tests.kube.resources import Resource
from tests.kube.store import Item, Object

JSON = "application/json"


@dataclass
class Request:
    """``query`` holds the last value of each parameter; header names are in lower case."""

    method: str
    path: str
    query: dict[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""

    @property
    def accept(self) -> str:
        return self.headers.get("accept", "")

    @property
    def content(self) -> str:
        return self.headers.get("content-type", JSON).partition(";")[0].strip()

    @property
    def dry(self) -> bool:
        return self.query.get("dryRun") == "All"

    @property
    def manager(self) -> str:
        """Who says that it writes: the field manager, or the first word of the program's name."""
        agent = self.headers.get("user-agent", "unknown")
        return self.query.get("fieldManager") or agent.partition("/")[0].partition(" ")[0]

    def flag(self, name: str) -> bool:
        return self.query.get(name, "").lower() in ("true", "1")

    def number(self, name: str) -> int:
        """A parameter as a number, 0 without it, 400 for anything else."""
        text = self.query.get(name, "")
        if text and not text.isdigit():
            raise errors.bad_request(f"{name}: Invalid value: {text!r}: strconv.ParseUint: invalid syntax")
        return int(text or 0)

    def json(self) -> Any:
        """The body; also what Go's clients send in protobuf, where they do."""
        if self.content == wire.PROTOBUF:
            return wire.decode(self.body)
        try:
            return json.loads(self.body) if self.body else {}
        except ValueError as error:
            raise errors.bad_request(f"error decoding request body: {error}") from None

    def object(self) -> Object:
        found = self.json()
        if not isinstance(found, dict):
            raise errors.bad_request("couldn't get version/kind; json parse error: not an object")
        return found


@dataclass
class Answer:
    """``body``: bytes, or anything that becomes JSON; ``stream``: pieces as they come, each with its newline."""

    body: Any = b""
    code: int = 200
    content: str = JSON
    headers: dict[str, str] = field(default_factory=dict)
    stream: Iterator[bytes] | None = None

    @property
    def payload(self) -> bytes:
        if isinstance(self.body, bytes):
            return self.body
        return json.dumps(self.body, separators=(",", ":")).encode() + b"\n"


def head(resource: Resource, version: str) -> bytes:
    """How the JSON of an object begins."""
    return b'{"kind":"%s","apiVersion":"%s",' % (resource.kind.encode(), resource.api_version(version).encode())


def whole(resource: Resource, version: str, item: Item) -> bytes:
    """An object as it is read alone: with its kind and version."""
    return head(resource, version) + item.blob[1:]


def wants(accept: str) -> str:
    """``Table``, ``PartialObjectMetadata``, ``PartialObjectMetadataList`` or "": the first form that we can give."""
    for clause in accept.split(","):
        words = [word.strip() for word in clause.split(";")]
        form = next((word[3:] for word in words if word.startswith("as=")), "")
        if words[0] == JSON and (not form or (form.startswith(("Table", "PartialObject")) and "v=v1" in words)):
            return form
    return ""


def partial(item: Item) -> Object:
    return {"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": item.obj["metadata"]}
