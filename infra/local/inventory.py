"""What exists in the running embedded AWS, for tests and for ``infra local status``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from infra.errors import LocalError
from infra.local import record as records
from infra.local.record import Record


@dataclass(frozen=True, slots=True)
class Resource:
    """``type`` and ``id`` are Terraform's; ``region`` is "" for global services.

    ``owner`` is the id of the resource that AWS made this one for ("" for what somebody asked for): a group's
    instances, an instance's volumes and network interfaces.
    """

    type: str
    id: str
    region: str
    tags: dict[str, str]
    owner: str = ""


def resources() -> list[Resource]:
    """Everything in the server but what AWS itself puts there, in stable order. LocalError when it does not run."""
    found: Any = ask("GET", "/inventory")["resources"]
    return [Resource(**entry) for entry in found]


def reset() -> None:
    """Empty the server: every resource, in every region. LocalError when it does not run."""
    ask("POST", "/reset")


def ask(method: str, path: str, body: object = None) -> dict[str, object]:
    """One of our own requests to the running server. LocalError when it does not run, or refuses it."""
    running: Record | None = records.read(records.file())
    answer = records.request(running, method, path, timeout=60, body=body) if running is not None else None
    if answer is None:
        raise LocalError(
            "the embedded AWS is not running", where=str(records.file()), fix="start it with: infra local up"
        )
    return answer
