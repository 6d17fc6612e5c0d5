"""What the commands that log in to nodes share: their options, and a fleet made of them.

A person is asked only at a terminal, and never with ``--json``: otherwise what would have been asked is an error that
names the option or variable that answers it.
"""

from __future__ import annotations

import contextlib
import functools
import sys
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from infra.node.model import Node
    from infra.node.ssh.fleet import Fleet
    from infra.proc import Cancel
    from infra.spec.load import Loaded

F = TypeVar("F", bound=Callable[..., Any])
YES = ("y", "yes")
Aside = Callable[[], contextlib.AbstractContextManager[Any]]


@dataclass(frozen=True, slots=True)
class Reach:
    """How nodes are reached: ``parallel`` at a time, with which keys, and what may be asked."""

    parallel: int = 50
    identities: tuple[Path, ...] = ()
    accepted: tuple[str, ...] = ()
    ask_sudo: bool = False
    ask: bool = False


def reach_options(function: F) -> F:
    """``--parallel``, ``--identity``, ``--accept-host-key``, ``--ask-sudo``: passed together as ``reach``."""

    @click.option("--parallel", type=click.IntRange(1, 2000), default=50, show_default=True, help="Nodes at a time.")
    @click.option(
        "-i",
        "--identity",
        "identities",
        type=click.Path(path_type=Path),
        multiple=True,
        help="A private key to log in with; may be given again.",
    )
    @click.option(
        "--accept-host-key",
        "accepted",
        metavar="SHA256:…",
        multiple=True,
        help="A fingerprint to believe at first contact; may be given again.",
    )
    @click.option("--ask-sudo", is_flag=True, help="Ask for the sudo password first, once.")
    @functools.wraps(function)
    def wrapped(
        *args: Any, parallel: int, identities: tuple[Path, ...], accepted: tuple[str, ...], ask_sudo: bool, **rest: Any
    ) -> Any:
        ask = not rest.get("as_json") and sys.stdin.isatty() and sys.stderr.isatty()
        return function(*args, reach=Reach(parallel, identities, accepted, ask_sudo, ask), **rest)

    return wrapped  # type: ignore[return-value]


def fleet(
    loaded: Loaded,
    nodes: Sequence[Node],
    reach: Reach,
    *,
    cancel: Cancel | None = None,
    aside: Aside = contextlib.nullcontext,
) -> Fleet:
    """A fleet that knows this cluster's pins. ``nodes`` are all that a jump may name.

    ``aside`` is entered around each question, so that a live view can make room for it.
    """
    from infra.cloud.work import Work
    from infra.errors import UsageError
    from infra.node.ssh.auth import Auth
    from infra.node.ssh.fleet import Fleet
    from infra.node.ssh.trust import Pins
    from infra.proc import Cancel
    from infra.ui import terminal

    halt = cancel or Cancel()

    def stop() -> bool:
        return halt.asked > 0

    lock = threading.Lock()

    def secret(what: str) -> str:
        with lock, aside():
            return terminal.answer(f"{what[:1].upper()}{what[1:]}: ", hidden=True, stop=stop)

    def confirm(node: Node, seen: str) -> bool:
        with lock, aside():
            question = f"{node.name} ({node.login}) is not known yet. Its host key is\n  {seen}\n"
            question += "Is that the machine's own? It is then pinned [y/N]: "
            return terminal.answer(question, stop=stop).strip().lower() in YES

    for given in reach.accepted:
        if not given.startswith("SHA256:"):
            raise UsageError(
                f"{given!r} is no fingerprint",
                where=f"--accept-host-key {given}",
                fix="give it as ssh-keygen -l shows it: SHA256:…",
            )
    if reach.ask_sudo and not reach.ask:
        raise UsageError(
            "there is nobody to ask for the sudo password",
            where="--ask-sudo",
            why="this is not a terminal, or --json was given",
            fix="set INFRA_SUDO_PASSWORD in the environment",
        )
    auth = Auth(identities=reach.identities, ask=secret if reach.ask else None)
    if reach.ask_sudo:
        auth.sudo = auth.sudo_password()
    pins = Pins.of(Work.of(loaded.cluster, loaded.path).folder)
    return Fleet(
        pins,
        auth,
        parallel=reach.parallel,
        nodes=nodes,
        cancel=halt,
        confirm=confirm if reach.ask else None,
        accepted=reach.accepted,
        authorities=loaded.cluster.access.ssh_ca,
    )
