"""Which real machines stand in for instances of the embedded AWS, whose own are only records.

A file in its state folder: name of a machine -> where it really is. The embedded AWS then says that address in
DescribeInstances, and that host key on the instance's console; whoever asks it cannot tell the difference. There is no
such thing for AWS itself.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from infra import files
from infra.errors import UsageError
from infra.local import places

_KEY = re.compile(r"^(?:ssh|ecdsa)-[A-Za-z0-9@.-]+ [A-Za-z0-9+/]+={0,3}$")
FIX = 'write: {"dev-1": {"address": "192.0.2.7", "host_key": "ssh-ed25519 AAAA…"}, "gpu": [{"address": …}, …]}'


@dataclass(frozen=True, slots=True)
class Seat:
    """A real machine: its ``address`` (SSH on port 22), and its ``host_key`` as ``type base64``, or ""."""

    address: str
    host_key: str = ""


Seats = Mapping[str, tuple[Seat, ...]]
"""Name of a host's machine (``dev-1``), an instance id, or a pool's or host's name -> its machines, in order."""


def file() -> Path:
    return places.state() / "nodes.json"


def read() -> Seats:
    """What is set now; {} for nothing."""
    path = file()
    return parse(files.read_json(path), str(path)) if path.is_file() else {}


def write(seats: Seats) -> None:
    files.write_json(file(), data(seats), mode=0o600)


def clear() -> None:
    file().unlink(missing_ok=True)


def data(seats: Seats) -> dict[str, Any]:
    return {name: [asdict(seat) for seat in machines] for name, machines in seats.items()}


def parse(value: Any, where: str) -> Seats:
    """Raises UsageError for what is not of that form."""
    if not isinstance(value, dict):
        raise UsageError("it is no JSON object", where=where, fix=FIX)
    return {str(name): tuple(_seat(item, f"{where}: {name}") for item in _list(given)) for name, given in value.items()}


def _list(given: Any) -> list[Any]:
    return given if isinstance(given, list) else [given]


def _seat(item: Any, where: str) -> Seat:
    if not isinstance(item, dict) or not set(item) <= {"address", "host_key"}:
        raise UsageError("a machine is an address, and perhaps a host_key", where=where, fix=FIX)
    try:
        address = str(ipaddress.ip_address(str(item.get("address", ""))))
    except ValueError as error:
        raise UsageError("the address is no IP address", where=where, why=str(error), fix=FIX) from error
    key = " ".join(str(item.get("host_key") or "").split()[:2])
    if key and not _KEY.match(key):
        raise UsageError("the host_key is none", where=where, why=key[:60], fix=FIX)
    return Seat(address, key)
