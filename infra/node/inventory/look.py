"""What a node says of itself in one exec: its policy, its last converge, its GPUs, its health."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from infra.node import scripts
from infra.node.model import Node

if TYPE_CHECKING:
    from infra.node.ssh.fleet import Connection

DEADLINE = 60.0
DRIFT_DEADLINE = 240.0
FULL = 90  # per cent of a disk
HIDDEN = "status\thidden\n"  # a converge of an older make left a report for root alone
BASELINE = "/var/lib/infra/manifest.tsv"
JOB = "/var/lib/infra/job/job"
POLICY = "/var/lib/infra/policy/current/policy.json"


@dataclass(frozen=True, slots=True)
class Report:
    """The last converge: ``status`` is ``converged``, ``reboot``, ``failed`` or ``running``; ``failed`` the resource
    that failed, with the last lines of its output in ``message``; ``started`` UTC ISO.
    """

    status: str
    exit: int = 0
    digest: str = ""
    started: str = ""
    total: int = 0
    updated: int = 0
    failed: str = ""
    message: str = ""


@dataclass(frozen=True, slots=True)
class Look:
    """One node at one moment.

    ``digest``, ``profile``, ``origin`` and ``converged`` are node.json's, "" on a machine that has none. ``current`` is
    the digest of the policy that is in place; ``gpus`` are PCI ids, ``driven`` the number that the driver has.
    ``busy`` says who converges it now. ``full`` is file system -> per cent, ``failed`` the units of systemd that
    failed. ``joined``: it is a node of Kubernetes; ``plane``: one of the control plane, which only root sees.
    ``drift`` is None when it was not looked for or there is no baseline, else the lines that differ: ``<`` or
    ``>``, section, key and value with tabs between.
    """

    digest: str = ""
    profile: str = ""
    origin: str = ""
    converged: str = ""
    current: str = ""
    report: Report | None = None
    baseline: bool = False
    reboot_pending: bool = False
    busy: str = ""
    boot_id: str = ""
    uptime: float = 0.0
    os: str = ""
    kernel: str = ""
    hostname: str = ""
    gpus: tuple[str, ...] = ()
    driver: str = ""
    driven: int = 0
    read_only: bool = False
    drained: bool = False
    joined: bool = False
    plane: bool = False
    full: Mapping[str, int] | None = None
    failed: tuple[str, ...] = ()
    drift: tuple[str, ...] | None = None
    versions: Mapping[str, str] = field(default_factory=dict)
    """Of the policy that is in place, with ``drift``."""
    job: Mapping[str, str] = field(default_factory=dict)
    """The job that was last begun there, with ``drift``: ``who``, ``since``, ``digest``, ``mode``."""

    @property
    def gpu_words(self) -> str:
        """``4 × 10de:1b00``."""
        return ", ".join(f"{count} × {ident}" for ident, count in Counter(self.gpus).items())

    def settled(self, digest: str) -> bool:
        """Whether the node is at that policy, wholly: nothing in hand, nothing failed, no reboot to come."""
        done = self.report is None or (self.report.status == "converged" and self.report.digest in ("", digest))
        at_it = self.digest == self.current == digest and bool(self.converged)
        return at_it and done and not self.reboot_pending and not self.busy


def look(connection: Connection, *, drift: bool = False, health: bool = True) -> Look:
    """Look at a node: one exec, one or two processes there; two more with ``health`` (disks, failed units).

    Nothing of that needs root. With ``drift`` its manifest is made as well and compared with its baseline, as root:
    that takes seconds.
    """
    script = scripts.text("look")
    if drift:
        script += _drift_script()
    words = ["health"] if health else []
    ran = connection.run(script, *words, root=drift, deadline=DRIFT_DEADLINE if drift else DEADLINE)
    if HIDDEN in ran.out:
        ran = connection.run(script, *words, deadline=DEADLINE)
    return parse(ran.out)


def _drift_script() -> str:
    """The manifest of this very installation: the node's own copy is not believed."""
    from infra import assets

    manifest = (assets.root("chef") / "bin" / "manifest").read_text(encoding="utf-8")
    more = f"lines policy {POLICY}\nlines job {JOB}"
    return f"\n{more}\nif [ -r {BASELINE} ]; then (\nset -- --against {BASELINE}\n{manifest}\n)\nsay drift $?\nfi\n"


def parse(text: str) -> Look:
    """The output of look.sh."""
    found: dict[str, list[str]] = {}
    differing: list[str] = []
    for line in text.splitlines():
        key, _, value = line.partition("\t")
        if key in ("<", ">"):
            differing.append(line)
        else:
            found.setdefault(key, []).append(value)

    def one(key: str) -> str:
        return found.get(key, [""])[0]

    node = _json(found.get("node", ()))
    return Look(
        digest=_text(node, "digest"),
        profile=_text(node, "profile"),
        origin=_text(node, "origin"),
        converged=_text(node, "converged"),
        current=one("current").rpartition("/")[2],
        report=_report(_json(found.get("report", ()))) or _brief(one("status")),
        baseline=one("baseline") == "yes",
        reboot_pending=one("reboot") == "yes",
        busy=one("busy"),
        boot_id=one("boot"),
        uptime=_number(one("uptime")),
        os="-".join(filter(None, [one("os.ID"), one("os.VERSION_ID")])),
        kernel=one("kernel"),
        hostname=one("hostname"),
        gpus=tuple(sorted(found.get("gpu", ()))),
        driver=_driver(one("driver")),
        driven=len(found.get("driven", ())),
        read_only=_read_only(found.get("var", ())),
        drained=one("drained") == "yes",
        joined=one("joined") == "yes",
        plane=one("plane") == "yes",
        full=_disks(found.get("disk", ())),
        failed=tuple(found.get("failed", ())),
        drift=tuple(differing) if one("drift") in ("0", "2") else None,
        versions=_versions(_json(found.get("policy", ()))),
        job=dict(line.split(" ", 1) for line in found.get("job", ()) if " " in line),
    )


def health(node: Node, seen: Look, wanted: str = "") -> tuple[str, ...]:
    """What is not well with a node, in words, worst first; () when all is. ``wanted`` is the digest it should be at."""
    words: list[str] = []
    report = seen.report
    if seen.read_only:
        words.append("/var is read-only")
    if report is not None and report.status == "failed":
        words.append(f"converge failed at {report.failed}" if report.failed else f"converge failed ({report.exit})")
    elif report is not None and report.status == "running" and not seen.busy:
        words.append("a converge was cut off")
    if seen.busy:
        words.append(f"converging ({seen.busy})")
    if seen.reboot_pending:
        words.append("reboot needed")
    if seen.drained:
        words.append("drained: Kubernetes gives it no work")
    expected = declared(node.gpus)
    if expected and len(seen.gpus) < expected:
        words.append(f"{len(seen.gpus)} of {expected} GPUs on the bus")
    if seen.driver and seen.driven < len(seen.gpus):
        words.append(f"the driver has {seen.driven} of {len(seen.gpus)} GPUs")
    for place, used in (seen.full or {}).items():
        if used >= FULL:
            words.append(f"{place} is {used}% full")
    if seen.failed:
        words.append(f"failed: {', '.join(seen.failed[:3])}" + (", …" if len(seen.failed) > 3 else ""))
    if not seen.digest:
        words.append("not bootstrapped")
    elif wanted and seen.digest != wanted:
        words.append("older policy")
    elif seen.current and seen.current != seen.digest:
        words.append(f"node.json and the policy in place differ ({seen.current[:12]})")
    return tuple(words)


def declared(words: str) -> int:
    """How many GPUs ``4 × titan-x-pascal`` are."""
    counts = (part.partition("×")[0].strip() for part in words.split(","))
    return sum(int(count) for count in counts if count.isdigit())


def _json(lines: Iterable[str]) -> dict[str, Any]:
    """What is damaged counts as not there: a converge writes it anew."""
    try:
        value = json.loads("\n".join(lines) or "{}")
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


def _text(value: Mapping[str, Any], key: str) -> str:
    found = value.get(key)
    return found if isinstance(found, str) else ""


def _report(value: Mapping[str, Any]) -> Report | None:
    if not value:
        return None
    failed = value.get("failed")
    failed = failed if isinstance(failed, dict) else {}
    return Report(
        status=_text(value, "status"),
        exit=_count(value, "exit"),
        digest=_text(value, "digest"),
        started=_text(value, "started"),
        total=_count(value, "total"),
        updated=_count(value, "updated_count"),
        failed=_text(failed, "resource"),
        message=_text(failed, "message"),
    )


def _brief(line: str) -> Report | None:
    """The report's one line for everybody: status, exit code, digest, start, what failed."""
    status, code, digest, started, failed = [*line.split("\t"), "", "", "", "", ""][:5]
    if not digest:
        return None
    return Report(status, int(code) if code.isdigit() else 0, digest, started, failed=failed)


def _read_only(lines: Iterable[str]) -> bool:
    """Of the file system that /var/lib is on: the deepest that is mounted on the way, the last of several there."""
    found = {place: state for state, _, place in (line.partition(" ") for line in lines)}
    return bool(found) and found[max(found, key=len)] == "read-only"


def _versions(policy: Mapping[str, Any]) -> dict[str, str]:
    found = policy.get("versions")
    return {str(name): str(value) for name, value in found.items()} if isinstance(found, dict) else {}


def _count(value: Mapping[str, Any], key: str) -> int:
    found = value.get(key)
    return found if isinstance(found, int) and not isinstance(found, bool) else 0


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return 0.0


def _driver(line: str) -> str:
    """580.65.06 of ``NVRM version: NVIDIA UNIX x86_64 Kernel Module  580.65.06  Sun Jul 27 …``."""
    return next((word for word in line.split() if word[:1].isdigit() and "." in word and word[-1].isdigit()), "")


def _disks(lines: Iterable[str]) -> dict[str, int]:
    """Place -> per cent; a file system that has several names has its first."""
    found: dict[str, tuple[str, int]] = {}
    for line in lines:
        device, used, place = [*line.split(" ", 2), "", ""][:3]
        if used.isdigit():
            found.setdefault(f"{device} {used}", (place, int(used)))
    return dict(found.values())
