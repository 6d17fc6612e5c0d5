"""``infra kube``: a group whose commands are imported when they run."""

from __future__ import annotations

import click

from infra.cli.lazy import Lazy

# name -> (module, one line of help). The group's help is printed from here without importing any of them.
COMMANDS: dict[str, tuple[str, str]] = {
    "config": ("infra.cli.kube_config", "Put the cluster into your kubeconfig."),
    "nodes": ("infra.cli.kube_nodes", "Nodes, beside the machines that they are."),
    "manifests": ("infra.cli.kube_manifests", "What runs in every cluster: print, compare, apply."),
    "join-token": ("infra.cli.kube_join_token", "What a machine needs to join by hand."),
    "upgrade": ("infra.cli.kube_upgrade", "Go to the next minor version, machine by machine."),
    "health": ("infra.cli.kube_health", "Give nodes that are ill a taint, and take it away."),
}

EXAMPLE = """
Examples:
  infra kube config                          then: kubectl get nodes
  infra kube manifests --apply               the pods' network, GPUs, storage classes, the autoscaler
  infra kube nodes                           which machines joined, which did not
  infra kube upgrade --to 1.37 --dry-run     what would be done, in which order

The API is reached by the context of your kubeconfig that has the cluster's name, as infra kube config writes it.
"""


class Commands(Lazy):
    table = COMMANDS
    example = EXAMPLE
    program = "infra kube"


@click.group("kube", cls=Commands)
def command() -> None:
    """The Kubernetes cluster of the pools and the metal.

    Its machines are made by infra apply and join by themselves; this is for what is in it.
    """
