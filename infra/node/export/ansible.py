"""The inventory in the form that Ansible reads from a script (``--list``, ``--host``). Pure."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from typing import Any

from infra.node.export import openssh
from infra.node.export.openssh import Trust
from infra.node.model import Node

_NO_WORD = re.compile(r"[^A-Za-z0-9_]")
KEYS = ("profile", "group", "kind", "region")


def document(nodes: Sequence[Node], trust: Trust) -> dict[str, Any]:
    """What ``--list`` prints: groups ``profile_gpu``, ``group_titan``, ``kind_metal``, ``region_us_west_2``, and the
    variables of every host, so that Ansible asks for none of them alone.
    """
    groups: dict[str, list[str]] = {}
    for node in nodes:
        for key in KEYS:
            value = getattr(node, key)
            if value:
                groups.setdefault(group(key, value), []).append(node.name)
    made: dict[str, Any] = {name: {"hosts": hosts} for name, hosts in sorted(groups.items())}
    made["all"] = {"hosts": [node.name for node in nodes], "children": ["ungrouped", *sorted(groups)]}
    made["_meta"] = {"hostvars": {node.name: variables(node, trust) for node in nodes}}
    return made


def group(key: str, value: str) -> str:
    """A name that Ansible takes: letters, digits and underscores."""
    return _NO_WORD.sub("_", f"{key}_{value}")


def variables(node: Node, trust: Trust) -> dict[str, Any]:
    """What ``--host NAME`` prints."""
    words = openssh.argv(node, trust)[1:-1]  # without "ssh", and the address at its end
    return {
        "ansible_host": node.address,
        "ansible_port": node.port,
        "ansible_user": node.user,
        "ansible_ssh_common_args": shlex.join(words[2:]),  # without the port
        "infra_profile": node.profile,
        "infra_group": node.group,
        "infra_kind": node.kind,
        "infra_region": node.region,
        "infra_instance": node.instance,
        "infra_gpus": node.gpus,
        "infra_labels": dict(node.labels),
    }
