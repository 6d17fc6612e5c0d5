"""From the patterns of a command line to the machines they stand for, and a fleet that reaches them."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from infra.cli.node_common import Aside, Reach, fleet

if TYPE_CHECKING:
    from infra.node.export.openssh import Trust
    from infra.node.inventory.inventory import Inventory
    from infra.node.model import Node
    from infra.node.ssh.fleet import Fleet
    from infra.proc import Cancel
    from infra.spec.load import Loaded

PATTERNS = """A PATTERN is a name, titan-[01-08], titan-*, profile:gpu, group:titan, kind:metal|host|pool|control-plane,
region:us-west-2, an instance id, or all; several may be given."""

patterns_argument = click.argument("patterns", nargs=-1, metavar="[PATTERN]...")


@dataclass(frozen=True, slots=True)
class Chosen:
    """``nodes`` are those that were asked for, with the host keys that are vouched for; ``fleet`` reaches them.

    ``reached`` are these and those of ours that they are reached through.
    """

    loaded: Loaded
    inventory: Inventory
    nodes: list[Node]
    fleet: Fleet
    reached: tuple[Node, ...] = ()


def choose(
    loaded: Loaded,
    patterns: Sequence[str],
    reach: Reach,
    *,
    health: bool = False,
    cancel: Cancel | None = None,
    aside: Aside = contextlib.nullcontext,
    pick: Callable[[Inventory], list[Node]] | None = None,
) -> Chosen:
    """The machines that the patterns stand for (all without any); AWS is asked only where one of them may be there.

    For an instance whose host key is not pinned yet, AWS's console output vouches. Raises UsageError for a pattern
    that stands for nothing, unless ``pick`` is given: then that chooses.
    """
    from infra.cloud.work import Work
    from infra.node.inventory import cloud
    from infra.node.ssh.trust import Pins

    found = cloud.inventory(loaded, patterns, health=health)
    picked = pick(found) if pick else found.pick(patterns)
    pins = Pins.of(Work.of(loaded.cluster, loaded.path).folder)
    doors = [node for node in found.jumps(picked) if node not in picked]
    keyed = cloud.vouched(loaded, [*picked, *doors], lambda node: bool(pins.pinned(node)))
    for node in keyed:
        for key in node.host_keys if node.instance else ():
            pins.pin(node, key)  # the console's text is kept for some time only, and each look at it is a call
    made = fleet(loaded, keyed, reach, cancel=cancel, aside=aside)
    return Chosen(loaded, found, keyed[: len(picked)], made, tuple(keyed))


def trust(chosen: Chosen) -> Trust:
    """What OpenSSH goes by: the file of pins, with every key in it that cluster.yaml or AWS vouches for, and a file of
    the CAs. What is vouched for takes the place of what was pinned, as it does for us.
    """
    from infra import files
    from infra.node.export import openssh

    pins = chosen.fleet.pins
    doors = {node.name: node for node in chosen.reached}
    for node in chosen.reached:
        if node.host_keys and {key.text for key in pins.pinned(node)} != set(node.host_keys):
            pins.forget(node)
            for key in node.host_keys:
                pins.pin(node, key)
    outside = [item for node in chosen.reached if node.jump for item in map(openssh.outside, node.jump.split(","))]
    idents = frozenset(node.ident for node in (*chosen.reached, *outside) if pins.pinned(node))
    authorities = None
    if keys := chosen.loaded.cluster.access.ssh_ca:
        authorities = pins.path.with_name("known_authorities")
        files.write_text(authorities, openssh.authorities(keys), mode=0o600)
    return openssh.Trust(pins.path, idents, doors, authorities)


def read(file: Path, endpoint: str | None) -> Loaded:
    """The cluster's description."""
    from infra.spec.load import load

    return load(file, endpoint)
