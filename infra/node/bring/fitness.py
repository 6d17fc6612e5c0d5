"""Whether a machine fits its profile: everything that does not, at once, each with its fix. Pure.

A finding of level ``error`` stops; a ``warning`` is said and passed over. ``rule`` is its stable name.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from infra.errors import NodeUnfit, Problem
from infra.node.bring import chips
from infra.node.bring.facts import Facts
from infra.spec import gpus
from infra.spec.models import Gpus, Profile

SKEW = 300.0  # seconds; more, and certificates and signatures of packages are "not yet valid"
ARCHITECTURES = ("x86_64", "aarch64")
GB = 1_000_000  # KB
MEMORY = 900_000  # KB: the client alone takes half of it
ROOM = {"/": 1 * GB, "/var": GB // 2}
ROOM_NVIDIA = {"/": 12 * GB, "/var": 5 * GB}  # the toolkit unpacked; its packages before that
INODES = 10_000


@dataclass(frozen=True, slots=True)
class Wish:
    """What the machine is to be. ``name`` and ``where`` (file:line) are the machine's, ``module`` the policy's."""

    name: str
    where: str
    profile_name: str
    profile: Profile
    module: str = ""
    gpus: Gpus | None = None
    allow_os: bool = False
    login: str = ""


@dataclass(slots=True)
class _Findings:
    wish: Wish
    found: list[Problem] = field(default_factory=list)

    def stop(self, rule: str, what: str, why: str, fix: str) -> None:
        self.found.append(Problem(f"{self.wish.name} {what}", self.wish.where, why, fix, "error", rule))

    def warn(self, rule: str, what: str, why: str = "", fix: str = "") -> None:
        self.found.append(Problem(f"{self.wish.name} {what}", self.wish.where, why, fix, "warning", rule))


def judge(facts: Facts, wish: Wish) -> list[Problem]:
    """Everything that does not fit, what stops first."""
    findings = _Findings(wish)
    for check in (_system, _clock, _room, _packages, _names, _gpus, _driver, _others):
        check(facts, findings)
    return sorted(findings.found, key=lambda problem: problem.level != "error")


def stop(problems: list[Problem]) -> None:
    """Raise NodeUnfit with everything when anything in it stops."""
    stops = [problem for problem in problems if problem.level == "error"]
    if stops:
        raise NodeUnfit(stops[0].what, problems=problems)


def _system(facts: Facts, findings: _Findings) -> None:
    wish = findings.wish
    wanted = wish.profile.os.replace("-", " ")
    if f"{facts.os_id} {facts.os_version}" != wanted:
        seen = facts.os_name or f"{facts.os_id} {facts.os_version}".strip() or "something unknown"
        what, why = f"runs {seen}", f"its profile {wish.profile_name} is for {wanted.capitalize()}"
        if (wish.allow_os or facts.node) and facts.os_id in ("ubuntu", "debian"):
            findings.warn(
                "os", what, f"{why}; allowed by {'--allow-os' if wish.allow_os else 'whoever brought it first'}"
            )
        elif facts.os_id in ("ubuntu", "debian"):
            fix = f"install {wanted.capitalize()} there, or correct profiles.{wish.profile_name}.os; to try it all the "
            findings.stop("os", what, why, f"{fix}same: --allow-os")
        else:
            findings.stop("os", what, f"{why}; its packages are .deb", f"install {wanted.capitalize()} there")
    if facts.arch not in ARCHITECTURES:
        findings.stop("arch", f"is a {facts.arch} machine", "there is no client for it", "take it out of cluster.yaml")
    if facts.missing:
        tools = ", ".join(facts.missing)
        findings.stop("tools", f"lacks {tools}", "they are of every Debian and Ubuntu", f"apt-get install {tools}")
    if 0 <= facts.memory < MEMORY:
        findings.stop("memory", f"has {facts.memory // 1000} MB of memory", "the client needs 900 MB", "give it more")


def _clock(facts: Facts, findings: _Findings) -> None:
    if abs(facts.skew) > SKEW:
        off, side = _duration(abs(facts.skew)), "ahead of" if facts.skew > 0 else "behind"
        findings.stop(
            "clock",
            f"has a clock {off} {side} ours",
            "certificates and the signatures of packages would be refused as not yet, or no longer, valid",
            "set it there: sudo timedatectl set-ntp true (chrony or systemd-timesyncd must reach a time server), or "
            "sudo date -s @$(date +%s) from here; if it is ours that is wrong, correct ours",
        )


def _duration(seconds: float) -> str:
    for size, word in ((86400, "days"), (3600, "hours"), (60, "minutes")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {word}"
    return f"{seconds:.0f} seconds"


def _room(facts: Facts, findings: _Findings) -> None:
    for place, said in facts.unwritable.items():
        findings.stop(
            "read-only",
            f"cannot write on {place}",
            said.removeprefix("no: ") or "a trial file could not be written",
            f"look why: findmnt {place}; dmesg | grep -i 'remount\\|error'. A disk that fails is mounted read-only",
        )
    first = findings.wish.profile.nvidia is not None and not facts.digest
    for place, least in (ROOM_NVIDIA if first else ROOM).items():
        free = facts.free.get(place, -1)
        if 0 <= free < least and place not in facts.unwritable:
            findings.stop(
                "disk",
                f"has {free / GB:.1f} GB free on {place}",
                f"{least / GB:.1f} GB are needed" + (" for driver and toolkit" if first else ""),
                f"free some: sudo apt-get clean; sudo du -xh -d2 {place} | sort -h | tail",
            )
        if 0 <= facts.inodes.get(place, -1) < INODES and free > 0 and facts.inodes.get(place, 0) > 0:
            findings.stop(
                "inodes",
                f"has {facts.inodes[place]} inodes free on {place}",
                "no more files can be made, whatever room there is",
                f"find where they went: sudo du --inodes -xd2 {place} | sort -n | tail",
            )


def _packages(facts: Facts, findings: _Findings) -> None:
    # After a job of ours that was cut off, the next one puts it right itself.
    if facts.interrupted is not None and ("id" not in facts.job or "rc" in facts.job):
        named = f": {facts.interrupted}" if facts.interrupted else ""
        findings.stop(
            "dpkg",
            f"has packages that are half installed{named}",
            "dpkg was interrupted, and apt refuses to go on",
            "sudo dpkg --configure -a, and if that is not enough sudo apt-get --fix-broken install",
        )


def _names(facts: Facts, findings: _Findings) -> None:
    if facts.unresolved:
        findings.stop(
            "dns",
            f"cannot resolve {', '.join(facts.unresolved)}",
            "packages come from there",
            "mend its DNS (resolvectl status; /etc/resolv.conf), give it a proxy (Acquire::http::Proxy in "
            "/etc/apt/apt.conf.d), or take the repository out of /etc/apt",
        )

    elif facts.unresolved_policy:
        findings.warn(
            "dns-policy",
            f"cannot resolve {', '.join(facts.unresolved_policy)}",
            "the policy takes packages from there, where it lacks them",
            "name a mirror in the profile's attributes (infra.repositories), or give the machine a proxy",
        )


def _gpus(facts: Facts, findings: _Findings) -> None:
    wish, nvidia = findings.wish, findings.wish.profile.nvidia
    if wish.gpus is not None:
        _declared(facts, findings, wish.gpus)
    if nvidia is None:
        if facts.gpus:
            findings.warn(
                "gpu-unused",
                f"has {len(facts.gpus)} NVIDIA GPUs, and its profile {wish.profile_name} has no nvidia",
                "they will have no driver",
            )
        return
    if not facts.gpus and wish.gpus is None:
        findings.warn(
            "gpu-none", "has no NVIDIA GPU", f"its profile {wish.profile_name} installs the driver all the same"
        )
    for device, count in Counter(gpu.device for gpu in facts.gpus).items():
        family = chips.architecture(device)
        if family is None:
            findings.warn(
                "gpu-unknown", f"has a GPU 10de:{device} that is not known here", "whether it fits is not known"
            )
            continue
        for what, fix in _misfits(family, wish):
            findings.stop(
                "gpu-driver", f"has {count} × 10de:{device} ({family}), and {what}", family_facts(family), fix
            )


def _declared(facts: Facts, findings: _Findings, declared: Gpus) -> None:
    model = gpus.by_name(declared.model)
    if len(facts.gpus) < declared.count:
        seen = ", ".join(f"{gpu.slot} 10de:{gpu.device}" for gpu in facts.gpus) or "none"
        findings.stop(
            "gpu-count",
            f"shows {len(facts.gpus)} of the {declared.count} GPUs that cluster.yaml gives it",
            f"on its PCI bus: {seen}",
            "look for the missing one: sudo dmesg | grep -i 'pci\\|NVRM'; a card that fell off comes back after "
            "a power cycle, or is loose or dead. If it is gone for good, correct gpus.count",
        )
    elif len(facts.gpus) > declared.count:
        findings.warn("gpu-count", f"has {len(facts.gpus)} GPUs, cluster.yaml gives it {declared.count}")
    if model is None:
        return
    for device in dict.fromkeys(gpu.device for gpu in facts.gpus):
        family = chips.architecture(device)
        if family is not None and family is not model.architecture:
            findings.warn(
                "gpu-model",
                f"has a {family} GPU (10de:{device}), cluster.yaml says {declared.model} ({model.architecture})",
                "driver and module are checked by what is there",
                "correct gpus.model",
            )


def _misfits(family: gpus.Architecture, wish: Wish) -> Iterator[tuple[str, str]]:
    nvidia, place = wish.profile.nvidia, f"profiles.{wish.profile_name}.nvidia"
    assert nvidia is not None
    branch, cuda = gpus.branch(nvidia.driver), gpus.version(nvidia.cuda)
    own = "or give this machine a profile of its own"
    if family.last_driver is not None and branch > family.last_driver:
        yield f"driver {nvidia.driver} has no support for it", f'{place}.driver: "{family.last_driver}", {own}'
    if branch < family.first_driver:
        yield f"driver {nvidia.driver} is older than it", f'{place}.driver: "{family.first_driver}" or newer, {own}'
    if family.last_cuda is not None and cuda[:2] > family.last_cuda:
        newest = ".".join(map(str, family.last_cuda))
        yield f"CUDA {nvidia.cuda} has no support for it", f'{place}.cuda: "{newest}" or older, {own}'
    if wish.module and wish.module not in family.modules:
        yield f"the {wish.module} kernel module does not drive it", f"{place}.module: {family.modules[0]}, {own}"


def family_facts(family: gpus.Architecture) -> str:
    """``Maxwell: drivers 340 to 580, CUDA up to 12.9, kernel module proprietary``."""
    until = f" to {family.last_driver}" if family.last_driver else " and newer"
    cuda = f"CUDA up to {'.'.join(map(str, family.last_cuda))}, " if family.last_cuda else ""
    return f"{family}: drivers {family.first_driver}{until}, {cuda}kernel module {' or '.join(family.modules)}"


def _driver(facts: Facts, findings: _Findings) -> None:
    if findings.wish.profile.nvidia is None:
        return
    if facts.runfiles:
        findings.stop(
            "runfile",
            "has an NVIDIA driver that was installed by a .run file",
            f"{facts.runfiles[0]} belongs to no package; two drivers' libraries would lie over each other",
            "sudo nvidia-uninstall, then sudo reboot",
        )
    if facts.secure_boot and not facts.key_enrolled:
        findings.stop(
            "secure-boot",
            "has secure boot switched on, and no key of its own enrolled",
            "a kernel module that is built on the machine would not load",
            "switch it off in the firmware; or enrol a key (sudo update-secureboot-policy --enroll-key) and reboot",
        )
    if facts.nouveau:
        findings.warn("nouveau", "has the module nouveau loaded", "it is switched off, and gone after the reboot")


def _others(facts: Facts, findings: _Findings) -> None:
    for manager in facts.managers:
        name, _, path = manager.partition(" ")
        findings.warn(
            "managed",
            f"is managed by {name} too ({path})",
            "two that manage one file undo each other's work",
            "switch it off there, or see that they have nothing in common",
        )
