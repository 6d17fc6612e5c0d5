"""EC2: instances that a real machine stands in for (``infra local nodes``) say its address and its host key."""

from __future__ import annotations

from typing import Any

from infra.local import nodes
from infra.local.extensions import put, wrap
from infra.local.nodes import Seat, Seats

CONSOLE = """\
[   10.000000] cloud-init: Cloud-init v. 24.1 running 'modules:final'
-----BEGIN SSH HOST KEY KEYS-----
{key} root@{name}
-----END SSH HOST KEY KEYS-----
"""
LIVING = ("pending", "running")


class _Kept:
    """The file as it was last read (it is looked at again when it is another one), and who has which machine of a list:
    group -> instance id -> its number there and the instance's own backend, which forgets it on a reset.
    """

    stamp: tuple[int, int] | None = None
    seats: Seats = {}
    taken: dict[str, dict[str, tuple[int, Any]]] = {}


def seats() -> Seats:
    try:
        state = nodes.file().stat()
    except OSError:
        return {}
    stamp = (state.st_mtime_ns, state.st_ino)
    if stamp != _Kept.stamp:
        _Kept.seats, _Kept.stamp = nodes.read(), stamp
    return _Kept.seats


def seat(instance: Any) -> Seat | None:
    """The machine that stands in for an instance: by its id, its name, or its turn among its pool's or host's."""
    known = seats()
    if not known or instance._state.name not in LIVING:
        return None
    tags = {tag["key"]: tag["value"] for tag in instance.get_tags()}
    name = tags.get("Name", "").removeprefix(tags.get("infra:cluster", "") + "-")
    for key in (instance.id, name):
        if known.get(key) and key != tags.get("infra:pool"):
            return known[key][0]
    group = tags.get("infra:pool") or tags.get("infra:host") or ""
    return _turn(instance, group, known[group]) if known.get(group) else None


def _turn(instance: Any, group: str, machines: tuple[Seat, ...]) -> Seat | None:
    """Who has one keeps it for as long as it lives; a new instance gets the first that is free."""
    mine = _Kept.taken.setdefault(group, {})
    for ident in [ident for ident, (_, backend) in mine.items() if _gone(backend, ident)]:
        del mine[ident]
    if instance.id not in mine:
        free = set(range(len(machines))) - {number for number, _ in mine.values()}
        if not free:
            return None
        mine[instance.id] = (min(free), instance.ec2_backend)
    number = mine[instance.id][0]
    return machines[number] if number < len(machines) else None


def _gone(backend: Any, ident: str) -> bool:
    found = backend.get_instance_by_id(ident)
    return found is None or found._state.name not in LIVING


def real_addresses() -> None:
    """An instance with a public address has the machine's as its public one, another as its private one."""
    from moto.ec2.models.instances import Instance

    public: Any = vars(Instance)["public_ip_address"]
    private: Any = vars(Instance)["private_ip_address"]

    def public_address(self: Any) -> str | None:
        own: str | None = public.fget(self)
        found = seat(self) if own else None
        return found.address if found else own

    def private_address(self: Any) -> str | None:
        own: str | None = private.fget(self)
        found = seat(self) if not public.fget(self) else None
        return found.address if found else own

    put(Instance, "public_ip_address", property(public_address))
    put(Instance, "private_ip_address", property(private_address))


def real_console() -> None:
    """GetConsoleOutput of such an instance has the block that cloud-init writes at the first start."""
    from moto.core.types import Base64EncodedString
    from moto.ec2.responses.general import General

    @wrap(General, "get_console_output")
    def _(original: Any, self: Any) -> Any:
        answer = original(self)
        instance = self.ec2_backend.get_instance(self._get_param("InstanceId"))
        found = seat(instance)
        if found and found.host_key:
            text = CONSOLE.format(key=found.host_key, name=instance.id)
            answer.result["Output"] = Base64EncodedString.from_raw_string(text)
        return answer


PATCHES = (real_addresses, real_console)
