"""Debian packages with real names, versions and dependencies, made with dpkg-deb: what version logic is tried on.

Names and relations are those of NVIDIA's, Docker's and Kubernetes' own repositories, as far as the cookbooks meet them.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tests.bed import root as roots
from tests.bed.root import locked

DRIVERS = ("575.57.08", "580.65.06", "580.95.05")
SLEEPER = "[Service]\nExecStart=/bin/sleep infinity\n[Install]\nWantedBy=multi-user.target\n"


@dataclass(frozen=True)
class Dummy:
    """One package. ``files`` are path -> content (executable below bin/), ``postinst`` is a line of shell."""

    name: str
    version: str
    depends: tuple[str, ...] = ()
    conflicts: tuple[str, ...] = ()
    provides: tuple[str, ...] = ()
    files: tuple[tuple[str, str], ...] = ()
    postinst: str = ""
    architecture: str = field(default="amd64")

    @property
    def deb(self) -> str:
        return f"{self.name}_{self.version.replace(':', '%3a')}_{self.architecture}.deb"

    def control(self) -> str:
        lines = [f"Package: {self.name}", f"Version: {self.version}", f"Architecture: {self.architecture}"]
        lines += ["Maintainer: tests <tests@example.org>", "Description: a name and a version"]
        relations = (("Depends", self.depends), ("Conflicts", self.conflicts), ("Provides", self.provides))
        lines += [f"{key}: {', '.join(names)}" for key, names in relations if names]
        return "\n".join(lines) + "\n"


def debian_driver(upstream: str) -> Iterator[Dummy]:
    """As NVIDIA's repository for Debian 12: no branch in the names, but in fabric manager's."""
    branch, version = upstream.split(".")[0], f"{upstream}-1"

    def same(*names: str) -> tuple[str, ...]:
        return tuple(f"{name} (= {version})" for name in names)

    yield Dummy("libcuda1", version, same("libnvidia-ptxjitcompiler1"))
    yield Dummy("libnvidia-ptxjitcompiler1", version)
    yield Dummy("libnvidia-ml1", version)
    yield Dummy("libnvcuvid1", version)
    yield Dummy("libnvidia-encode1", version)
    yield Dummy("nvidia-smi", version, same("libnvidia-ml1"), files=(("usr/bin/nvidia-smi", _smi(upstream)),))
    yield _persistenced("nvidia-persistenced", version)
    yield Dummy("nvidia-driver-cuda", version, same("libcuda1", "nvidia-smi", "nvidia-persistenced"))
    yield Dummy("firmware-nvidia-gsp", version)
    yield Dummy("nvidia-kernel-support", version)
    kernel = ("nvidia-kernel-dkms", "nvidia-kernel-open-dkms")
    for name, other in (kernel, kernel[::-1]):
        yield Dummy(name, version, same("nvidia-kernel-support"), conflicts=(other,))
    # Published without the branch from some version on, and a day late.
    if upstream != DRIVERS[-1]:
        yield _fabric_manager(f"nvidia-fabricmanager-{branch}", version)
    yield _fabric_manager("nvidia-fabricmanager", version)


def ubuntu_driver(upstream: str) -> Iterator[Dummy]:
    """As NVIDIA's repository for Ubuntu: the branch in every name up to 580, in none from 590 on."""
    branch = upstream.split(".")[0]
    version, tail = f"{upstream}-0ubuntu1", "" if int(branch) >= 590 else f"-{branch}"

    def same(*names: str) -> tuple[str, ...]:
        return tuple(f"{name} (= {version})" for name in names)

    def part(stem: str, *needs: str, flavour: str = "") -> Dummy:
        virtual = f"{stem}{flavour}-any"
        return Dummy(f"{stem}{tail}{flavour}", version, same(*needs), (virtual,), (virtual,))

    yield part("libnvidia-gpucomp")
    yield part("libnvidia-compute", f"libnvidia-gpucomp{tail}")
    yield part("libnvidia-cfg1")
    yield part("libnvidia-decode", f"libnvidia-compute{tail}")
    yield part("libnvidia-encode", f"libnvidia-decode{tail}")
    yield part("nvidia-kernel-common")
    smi = (("usr/bin/nvidia-smi", _smi(upstream)),)
    yield Dummy(
        f"nvidia-utils{tail}",
        version,
        same(f"libnvidia-compute{tail}"),
        ("nvidia-utils-any",),
        ("nvidia-utils-any",),
        smi,
    )
    yield _persistenced(f"nvidia-compute-utils{tail}", version, ("nvidia-compute-utils-any",))
    for flavour, other in (("", "-open"), ("-open", "")):
        source = f"nvidia-kernel-source{tail}{flavour}"
        yield Dummy(source, version, (), (f"nvidia-kernel-source{tail}{other}",))
        needs = same(source, f"nvidia-kernel-common{tail}")
        clashes = (f"nvidia-dkms{tail}{other}", "nvidia-dkms-any")
        yield Dummy(f"nvidia-dkms{tail}{flavour}", version, needs, clashes, ("nvidia-dkms-any",))
    yield _fabric_manager(f"nvidia-fabricmanager{tail}", f"{upstream}-1")


def toolkits() -> Iterator[Dummy]:
    """CUDA toolkits; the alternative /usr/local/cuda is the newest until somebody says otherwise."""
    for version in ("12.8.1", "12.9.1", "13.0.2"):
        short = ".".join(version.split(".")[:2])
        tail = short.replace(".", "-")
        config = f"cuda-toolkit-{tail}-config-common"
        needs = (f"cuda-nvcc-{tail} (>= {short})", f"libcublas-dev-{tail}", config)
        nvcc = ((f"usr/local/cuda-{short}/bin/nvcc", f"#!/bin/sh\necho release {short}\n"),)
        alternative = (
            f"update-alternatives --install /usr/local/cuda cuda /usr/local/cuda-{short} {tail.replace('-', '')}"
        )
        yield Dummy(f"cuda-toolkit-{tail}", f"{version}-1", needs)
        yield Dummy(f"cuda-nvcc-{tail}", f"{version}.40-1", files=nvcc, postinst=alternative)
        yield Dummy(f"libcublas-{tail}", f"{short}.5.7-1")
        yield Dummy(f"libcublas-dev-{tail}", f"{short}.5.7-1", (f"libcublas-{tail}",))
        yield Dummy(config, f"{short}.57-1")


def manager() -> Iterator[Dummy]:
    for version in ("1:4.2.3-1", "1:4.4.1-1"):
        unit = (("lib/systemd/system/nvidia-dcgm.service", SLEEPER),)
        yield Dummy("datacenter-gpu-manager-4-core", version, files=unit)
        for cuda in ("12", "13"):
            yield Dummy(
                f"datacenter-gpu-manager-4-cuda{cuda}", version, (f"datacenter-gpu-manager-4-core (= {version})",)
            )


def container_toolkit() -> Iterator[Dummy]:
    for version in ("1.17.8-1", "1.18.0-1"):
        ctk = (("usr/bin/nvidia-ctk", _CTK),)
        yield Dummy("libnvidia-container1", version)
        yield Dummy("libnvidia-container-tools", version, (f"libnvidia-container1 (= {version})",))
        yield Dummy("nvidia-container-toolkit-base", version, files=ctk)
        needs = (f"nvidia-container-toolkit-base (= {version})", f"libnvidia-container-tools (= {version})")
        yield Dummy("nvidia-container-toolkit", version, needs)


def docker() -> Iterator[Dummy]:
    for version in ("27.5.1", "28.5.1"):
        tail = "-1~debian.12~bookworm"
        unit = (("lib/systemd/system/docker.service", SLEEPER),)
        yield Dummy("docker-ce", f"5:{version}{tail}", ("containerd.io", "docker-ce-cli"), files=unit)
        yield Dummy("docker-ce-cli", f"5:{version}{tail}", files=(("usr/bin/docker", _DOCKER),))
    for version in ("1.7.28", "2.1.5"):
        files = (
            ("lib/systemd/system/containerd.service", SLEEPER),
            ("etc/containerd/config.toml", 'disabled_plugins = ["cri"]\n'),
        )
        yield Dummy("containerd.io", f"{version}-1~debian.12~bookworm", files=files)


def kubernetes() -> Iterator[Dummy]:
    for version in ("1.35.4-1.1", "1.36.0-1.1", "1.36.2-1.1"):
        unit = (("lib/systemd/system/kubelet.service", SLEEPER),)
        yield Dummy("kubelet", version, ("kubernetes-cni",), files=unit)
        yield Dummy("kubeadm", version, ("cri-tools",))
        yield Dummy("kubectl", version)
    yield Dummy("kubernetes-cni", "1.8.0-1.1")
    yield Dummy("cri-tools", "1.36.0-1.1")


def everything() -> list[Dummy]:
    """What a Debian 12 machine may need of all the repositories."""
    drivers = [item for upstream in DRIVERS for item in debian_driver(upstream)]
    return [*drivers, *toolkits(), *manager(), *container_toolkit(), *docker(), *kubernetes()]


def build(dummies: Iterable[Dummy]) -> list[Path]:
    """Their .deb files, made once and kept."""
    folder = roots.cache() / "dummies"
    found = []
    with locked(roots.cache() / "dummies.lock"):
        for dummy in dummies:
            place = folder / hashlib.sha256(repr(dummy).encode()).hexdigest()[:12]
            if not (place / dummy.deb).is_file():
                _build(dummy, place)
            found.append(place / dummy.deb)
    return found


def _build(dummy: Dummy, place: Path) -> None:
    tree = place / "tree"
    shutil.rmtree(place, ignore_errors=True)
    scripts = {"postinst": dummy.postinst} if dummy.postinst else {}
    (tree / "DEBIAN").mkdir(parents=True)
    (tree / "DEBIAN/control").write_text(dummy.control())
    for name, line in scripts.items():
        (tree / "DEBIAN" / name).write_text(f"#!/bin/sh\nset -e\n{line}\n")
        (tree / "DEBIAN" / name).chmod(0o755)
    for path, text in dummy.files:
        file = tree / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        file.chmod(0o755 if file.parent.name == "bin" else 0o644)
    settings = [path for path, _ in dummy.files if path.startswith("etc/")]
    if settings:
        (tree / "DEBIAN/conffiles").write_text("".join(f"/{path}\n" for path in settings))
    argv = ["dpkg-deb", "--root-owner-group", "-Znone", "--build", tree, place / dummy.deb]
    subprocess.run(argv, check=True, capture_output=True, timeout=60)
    shutil.rmtree(tree)


def _persistenced(name: str, version: str, virtual: tuple[str, ...] = ()) -> Dummy:
    unit = (("lib/systemd/system/nvidia-persistenced.service", SLEEPER),)
    user = "getent passwd nvidia-persistenced >/dev/null || useradd --system --no-create-home nvidia-persistenced"
    return Dummy(name, version, (), virtual, virtual, unit, user)


def _fabric_manager(name: str, version: str) -> Dummy:
    unit = (("lib/systemd/system/nvidia-fabricmanager.service", SLEEPER),)
    return Dummy(name, version, (), ("nvidia-fabricmanager-any",), ("nvidia-fabricmanager-any",), unit)


def _smi(upstream: str) -> str:
    return f'#!/bin/sh\necho "NVIDIA-SMI {upstream} couldn\'t communicate with the NVIDIA driver" >&2\nexit 9\n'


# Knows which images it was told to pull, and runs nothing.
_DOCKER = """#!/bin/sh
images=/var/lib/docker-dummy
touch $images
for last; do :; done
case $1 in
  pull) echo "$last" >>$images ;;
  image) grep -qxF "$last" $images ;;
  run) exec sleep infinity ;;
esac
"""

# Prints the given configuration with a runtime more, as nvidia-ctk's dry run does.
_CTK = """#!/bin/sh
for word; do case $word in --config=*) cat "${word#--config=}" ;; esac; done
cat <<'END'

[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.nvidia]
  runtime_type = "io.containerd.runc.v2"
END
"""
