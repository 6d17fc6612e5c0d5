"""``infra node``: a group whose commands are imported when they run."""

from __future__ import annotations

import click

from infra.cli.lazy import Lazy

# name -> (module, one line of help). The group's help is printed from here without importing any of them.
COMMANDS: dict[str, tuple[str, str]] = {
    "list": ("infra.cli.node_list", "Show every machine: where it is, what it is, how it is."),
    "exec": ("infra.cli.node_exec", "Run a command on many machines at once."),
    "bootstrap": ("infra.cli.node_bring:bootstrap", "Take bare machines to what their profile says."),
    "converge": ("infra.cli.node_bring:converge", "Bring machines to the policy that the file describes."),
    "reports": ("infra.cli.node_reports", "What machines that pull say of themselves, from S3."),
    "verify": ("infra.cli.node_verify", "Prove that machines are the same, or show what differs."),
}

EXAMPLE = """
Examples:
  infra node list                            every machine, of AWS and of metal
  infra node exec 'titan-*' -- nvidia-smi -L one command on many
  infra node bootstrap titan-01              from a bare Ubuntu to what the AMI is
  infra node converge profile:gpu            after a change of the file or the cookbooks
  infra node verify titan-01 dev-1           the proof that they are the same

A PATTERN is a name, titan-[01-08], titan-*, profile:gpu, group:titan, kind:metal, region:us-west-2, an instance id,
or all; several may be given.
"""


class Commands(Lazy):
    table = COMMANDS
    example = EXAMPLE
    program = "infra node"


@click.group("node", cls=Commands)
def command() -> None:
    """Machines that run, wherever they come from: in AWS or on the floor.

    They are reached by SSH, each with its host key pinned; what is known of one stands on the machine itself.
    """
