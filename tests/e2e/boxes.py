"""A cluster.yaml over test machines, and how the command line logs in to them."""

from __future__ import annotations

from collections.abc import Sequence

from tests.bed.machine import Machine
from tests.conftest import Infra

HEAD = """\
version: 1
cluster: bench
profiles:
  box: {os: ubuntu-24.04}
"""


def metal(machines: Sequence[Machine], *, group: str = "rack", keys: bool = True, more: str = "") -> str:
    """A metal group of these machines; ``more`` are further lines of the group, such as ``jump: …``."""
    lines = [
        "metal:",
        f"  {group}:",
        "    profile: box",
        "    user: ops",
        *(f"    {line}" for line in more.splitlines()),
    ]
    lines += ["    hosts:"]
    for machine in machines:
        key = f", host_key: {machine.host_key}" if keys else ""
        lines.append(f"      - {{name: {machine.name}, address: {machine.address}{key}}}")
    return "\n".join(lines) + "\n"


def lab(infra: Infra, machines: Sequence[Machine], **options: object) -> None:
    """Write the file, and give the command line the sudo password."""
    infra.write(HEAD + metal(machines, **options))  # type: ignore[arg-type]
    infra.env["INFRA_SUDO_PASSWORD"] = machines[0].password


def identity(machines: Sequence[Machine]) -> tuple[str, str]:
    return ("-i", str(machines[0].key))


def ubuntu(machine: Machine) -> None:
    """The account that an instance of Canonical's images has: ubuntu, with the key, and root without a password."""
    machine.run(
        "useradd --create-home --shell /bin/bash ubuntu && mkdir -p /home/ubuntu/.ssh && "
        "cp /home/ops/.ssh/authorized_keys /home/ubuntu/.ssh/ && chown -R ubuntu: /home/ubuntu/.ssh && "
        "echo 'ubuntu ALL=(ALL) NOPASSWD:ALL' >/etc/sudoers.d/90-cloud-init-users"
    )
