"""What the cookbooks base, docker, research and storage fetch, in small: packages, an environment maker, a mount."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from tests.chef.dummies import SLEEPER, Dummy

DEBIAN = (
    *("autofs", "ca-certificates", "chrony", "curl", "gnupg", "jq", "kmod", "nfs-common", "openssh-server"),
    *("pciutils", "sudo", "tzdata"),
)
DOCKER = """\
#!/bin/sh
state=/var/lib/docker-images
mkdir -p $state
case "$1 $2" in
  "version --format") echo %s ;;
  "info --format") grep -q nvidia-container-runtime /etc/docker/daemon.json && echo "nvidia runc " || echo "runc " ;;
  "image inspect") [ -e "$state/$(echo "$3" | tr / _)" ] ;;
  "pull --quiet") : >"$state/$(echo "$3" | tr / _)" ;;
  "image ls") ls $state ;;
  "run "*) exec sleep infinity ;;
esac
"""
# An environment is the list of what it was asked for; its Python starts and imports whatever is named.
MICROMAMBA = """\
#!/bin/sh
set -eu
prefix='' specs='' action=$1
shift
while [ $# -gt 0 ]; do
  case $1 in
    --prefix) prefix=$2 && shift ;;
    --channel) shift ;;
    --*) ;;
    *) specs="$specs $1" ;;
  esac
  shift
done
case $action in
  create)
    mkdir -p "$prefix/conda-meta" "$prefix/bin"
    printf '#!/bin/sh\\nexit 0\\n' >"$prefix/bin/python"
    chmod +x "$prefix/bin/python"
    echo "${CONDA_OVERRIDE_CUDA:-none} $specs" >"$prefix/specs" ;;
  list)
    between='['
    for spec in $(cut -d' ' -f2- "$prefix/specs"); do
      printf '%s{"name": "%s", "version": "%s.1"}' "$between" "${spec%%=*}" "${spec#*=}"
      between=,
    done
    echo ']' ;;
esac
"""
MOUNT_S3 = '#!/bin/sh\nmount -t tmpfs "$1" "$2"\nsleep infinity </dev/null >/dev/null 2>&1 &\n'


def docker(version: str, *, client: bool = True) -> list[Dummy]:
    """The engine and its client; with no ``client``, the engine alone, as when a repository is half published."""
    full = f"5:{version}-1~debian.12~bookworm"
    unit = (("lib/systemd/system/docker.service", SLEEPER),)
    program = (("usr/bin/docker", DOCKER % version),)
    found = [Dummy("docker-ce", full, ("containerd.io", "docker-ce-cli"), files=unit)]
    return found + ([Dummy("docker-ce-cli", full, files=program)] if client else [])


def site(folder: Path, deb: bytes, url: str = "") -> dict[str, Any]:
    """Files to serve at ``url``, and the attributes that lead there."""
    for path, raw in {
        "mamba/2.9.0-0/micromamba-linux-64": MICROMAMBA.encode(),
        "s3/1.21.0/x86_64/mount-s3-1.21.0-x86_64.deb": deb,
    }.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(raw)
    maker = {"url": f"{url}/mamba", "sha256": {"x86_64": hashlib.sha256(MICROMAMBA.encode()).hexdigest()}}
    return {
        "research": {"micromamba": maker},
        "mounting": {"mountpoint": {"url": f"{url}/s3", "sha256": hashlib.sha256(deb).hexdigest()}},
    }
