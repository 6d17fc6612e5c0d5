"""What a machine said of itself in preflight.sh, as data. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Gpu:
    """``slot`` on the PCI bus (``0000:01:00.0``) and ``device``, the id of NVIDIA's chip (``1b00``)."""

    slot: str
    device: str


@dataclass(frozen=True)
class Facts:
    """What preflight.sh said. ``skew`` is by how many seconds the machine's clock is ahead of ours.

    With ``same`` (nothing to do) or a converge at work only what comes first was looked at: the rest has its default.
    Sizes are in KB, -1 where the machine could not say.
    """

    boot: str = ""
    hostname: str = ""
    skew: float = 0.0
    same: bool = False
    drift: tuple[str, ...] = ()
    node: dict[str, Any] = field(default_factory=dict)
    report: tuple[str, str, str] = ("none", "", "")
    job: dict[str, str] = field(default_factory=dict)
    converging: str = ""
    drained: bool = False
    kubelet: bool = False
    plane: bool = False
    reboot: bool = False
    os_id: str = ""
    os_version: str = ""
    os_name: str = ""
    arch: str = ""
    kernel: str = ""
    memory: int = -1
    free: dict[str, int] = field(default_factory=dict)
    inodes: dict[str, int] = field(default_factory=dict)
    unwritable: dict[str, str] = field(default_factory=dict)
    systemd: bool = False
    missing: tuple[str, ...] = ()
    clients: dict[str, str] = field(default_factory=dict)
    program: str = ""
    client_sha256: str = ""
    policy: bool = False
    gpus: tuple[Gpu, ...] = ()
    nouveau: bool = False
    driver: str = ""
    runfiles: tuple[str, ...] = ()
    secure_boot: bool = False
    key_enrolled: bool = False
    managers: tuple[str, ...] = ()
    unresolved: tuple[str, ...] = ()
    unresolved_policy: tuple[str, ...] = ()
    locked: str = ""
    interrupted: str | None = None

    @property
    def digest(self) -> str:
        """Of the policy that the machine was last brought to, "" for none."""
        return str(self.node.get("digest", ""))

    @property
    def job_running(self) -> bool:
        return self.job.get("running") == "true"


class Incomplete(ValueError):
    """The script's output has no end."""


def parse(lines: Iterable[str], heard: float) -> Facts:
    """The facts in what preflight.sh printed; ``heard`` is our clock when it told its own. Pure."""
    many: dict[str, list[str]] = {}
    for line in lines:
        key, tab, value = line.partition("\t")
        if tab:
            many.setdefault(key, []).append(value.strip())
    if "end" not in many:
        raise Incomplete("it ended before it was through")

    def one(key: str, default: str = "") -> str:
        return many.get(key, [default])[0]

    def number(key: str) -> int:
        text = one(key)
        return int(text) if text.isdigit() else -1

    def under(prefix: str) -> dict[str, str]:
        return {key.removeprefix(prefix): values[0] for key, values in many.items() if key.startswith(prefix)}

    status, code, digest = (*one("report", "none  ").split(" "), "", "")[:3]
    gpus = tuple(Gpu(*value.split()[:2]) for value in many.get("gpu", ()) if len(value.split()) >= 2)
    clients = {name: version for name, version in under("client.").items() if name in ("cinc", "chef")}
    return Facts(
        boot=one("boot"),
        hostname=one("hostname"),
        skew=float(one("clock")) - heard if one("clock") else 0.0,
        same="same" in many,
        drift=tuple(many.get("drift", ())),
        node=_object(one("node")),
        report=(status, code, digest),
        job=under("job."),
        converging=one("converging"),
        drained=one("drained") == "true",
        kubelet="kubelet" in many,
        plane="plane" in many,
        reboot=one("reboot") == "yes",
        os_id=one("os.ID"),
        os_version=one("os.VERSION_ID"),
        os_name=one("os.PRETTY_NAME"),
        arch=one("arch"),
        kernel=one("kernel"),
        memory=number("memory"),
        free={place: number(f"free{place}") for place in under("free")},
        inodes={place: number(f"inodes{place}") for place in under("inodes")},
        unwritable={place: said for place, said in under("writable").items() if said != "yes"},
        systemd="systemd" in many,
        missing=tuple(one("missing").split()),
        clients=clients,
        program=one("client.program"),
        client_sha256=one("client.sha256").partition(" ")[0],
        policy="policy" in many,
        gpus=gpus,
        nouveau="nouveau" in many,
        driver=one("driver"),
        runfiles=tuple(many.get("runfile", ())),
        secure_boot="secureboot" in many,
        key_enrolled="secureboot.key" in many,
        managers=tuple(many.get("manager", ())),
        unresolved=tuple(dict.fromkeys(many.get("unresolved", ()))),
        unresolved_policy=tuple(dict.fromkeys(many.get("unresolved.policy", ()))),
        locked=one("locked"),
        interrupted=one("interrupted") if "interrupted" in many else None,
    )


def _object(text: str) -> dict[str, Any]:
    try:
        value = json.loads(text) if text else {}
    except ValueError:
        return {}  # half a file is no record: the machine is brought anew
    return value if isinstance(value, dict) else {}
