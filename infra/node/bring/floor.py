"""A control plane on physical machines: who has the cluster is found out over SSH, and so is handed over what a machine
needs to become one of it, or a node. Nothing of that is kept here.

The first machine of ``control_plane.metal`` makes the cluster, and only when all of them were asked and none has it:
one that does not answer may well have it. So whoever brings up machines, and however many do so at once, there is one
cluster; each machine does one thing at a time (its own lock), and all that is done may be done again.
"""

from __future__ import annotations

import base64
import binascii
import json
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import closing
from dataclasses import dataclass, field

from infra.errors import InfraError, Interrupted, NodeBusy, NodeFailed
from infra.node import scripts
from infra.node.inventory.inventory import Inventory
from infra.node.model import Node
from infra.node.ssh.channel import Blob, Ran
from infra.node.ssh.fleet import Connection, Fleet
from infra.proc import SECRETS
from infra.spec.load import Loaded

LOOK, INVITE, MAKE = 60.0, 300.0, 2400.0  # seconds; kubeadm's own limit on the machine is 900
BUSY = 75  # exit code: another run is at work there
FRESH = 900.0  # seconds that an invitation is handed out; the token in it is good for 1800
WAIT = 10_800.0  # seconds for the other machines of this run
PATIENCE = 90.0  # seconds for an API server of a machine that has just become one of the control plane
PAUSE = 3.0
TAINT = {"key": "node-role.kubernetes.io/control-plane", "effect": "NoSchedule"}

Say = Callable[[str], None]


class Left(Exception):
    """The machine is left as it is; why, in words."""


@dataclass(frozen=True, slots=True)
class Part:
    """What a machine has of the cluster. ``part``: none, node, plane, or half: what was begun there has not ended.

    ``ready``: an API server answers there. ``maker``: who makes the cluster, as it was told. ``able``: its policy has
    what it takes.
    """

    part: str
    ready: bool = False
    busy: bool = False
    maker: str = ""
    able: bool = True


def parse(text: str) -> Part:
    said = dict(line.split("\t", 1) for line in text.splitlines() if "\t" in line)
    return Part(said.get("part", "none"), "ready" in said, "busy" in said, said.get("maker", ""), "able" in said)


def planes(loaded: Loaded) -> list[Node]:
    """The physical machines of the control plane, in its order."""
    inventory = Inventory(loaded)
    found = (inventory.get(host.short) for _, host in loaded.cluster.plane_hosts)
    return [node for node in found if node is not None]


def ordered(loaded: Loaded, nodes: Iterable[Node]) -> list[Node]:
    """The control plane's machines first, in its order: the others wait for them."""
    order = {node.name: place for place, node in enumerate(planes(loaded))}
    return sorted(nodes, key=lambda node: order.get(node.name, len(order)))


@dataclass
class Floor:
    """The control plane of one cluster, as one command knows it."""

    loaded: Loaded
    pause: float = PAUSE
    patience: float = PATIENCE
    _expected: set[str] = field(default_factory=set)
    _room: threading.Condition = field(default_factory=threading.Condition)
    _turn: threading.Lock = field(default_factory=threading.Lock)
    _invited: tuple[float, str] = (0.0, "")

    def __post_init__(self) -> None:
        self.planes = planes(self.loaded)
        self.names = [node.name for node in self.planes]

    # --- Who else is brought up by this command

    def begun(self, name: str) -> None:
        if name in self.names:
            with self._room:
                self._expected.add(name)

    def ended(self, name: str) -> None:
        with self._room:
            self._expected.discard(name)
            self._room.notify_all()

    def _wait(self, connection: Connection, names: Iterable[str], say: Say) -> None:
        """Until those of these machines that this command brings up have come to their end, well or not."""
        mine, end, told = set(names), time.monotonic() + WAIT, False
        while True:
            with self._room:
                there = sorted(self._expected & mine)
                if not there or time.monotonic() > end:
                    return
                if not told:
                    say(f"waits for {', '.join(there)}")
                    told = True
                self._room.wait(0.2)
            connection.fleet.check()

    # --- A node

    def invitation(self, connection: Connection, say: Say) -> str:
        """What a worker needs to join, as JSON. Raises Left when there is nobody that it could join."""
        self._wait(connection, self.names, say)
        with self._turn:
            made, text = self._invited
            if text and time.monotonic() - made < FRESH:
                return text
            text = self._invite(connection, self._member(connection, *self._look(connection, [])), [])
            self._invited = time.monotonic(), text
            return text

    # --- A machine of the control plane

    def plane(self, connection: Connection, labels: dict[str, str], say: Say) -> bool:
        """Make this machine one of the control plane; False when it was. Raises Left, NodeFailed, NodeBusy."""
        name = connection.node.name
        self._wait(connection, self.names[: self.names.index(name)], say)
        with self._turn:
            parts, silent = self._look(connection, [])
            own = parts[name]
            if own.part == "plane":
                return False
            if own.part == "node":
                raise Left(
                    "it is a node already, and not of the control plane: take it out of the cluster first (kubectl "
                    "drain, kubectl delete node; there: sudo kubeadm reset)"
                )
            if not own.able:
                raise Left("its profile has no recipe[kubernetes]")
            member = None
            if any(part.part == "plane" for part in parts.values()):
                member = self._member(connection, parts, silent)
                if own.part == "half":
                    self._made(connection, "clear", {})
                say(f"joins the control plane by {member.name}")
            else:
                self._may_make(connection, parts, silent)
                say("makes the cluster")
            machines = [node.address for node in (connection.node, *self.planes)]
            text = self._invite(connection, member, machines) if member else ""
            self._made(connection, "make", self._given(labels, text))
            return True

    def _given(self, labels: dict[str, str], member: str) -> dict[str, object]:
        cluster = self.loaded.cluster
        assert cluster.kubernetes is not None
        return {
            "cluster": cluster.cluster,
            "api": cluster.api,
            "labels": labels,
            "taints": [] if cluster.kubernetes.control_plane.schedule else [TAINT],
            "member": json.loads(member) if member else None,
        }

    def _may_make(self, connection: Connection, parts: dict[str, Part], silent: dict[str, str]) -> None:
        """This machine may make the cluster: it is the first, all were asked, and all were told so. Raises Left."""
        first, name = self.names[0], connection.node.name
        if silent:
            who = "; ".join(f"{other}: {why}" for other, why in silent.items())
            raise Left(
                f"no machine that answers has the cluster, and {', '.join(silent)} may have it ({who}). To begin "
                "without them, name one machine in control_plane.metal, and the others later"
            )
        if name != first:
            raise Left(f"{first} makes the cluster, and has not: infra node bootstrap {first}")
        told, lost = self._look(connection, ["claim", first])
        other = next(((node, part.maker) for node, part in told.items() if part.maker not in ("", first)), None)
        if other is not None:
            raise Left(
                f"{other[0]} was told that {other[1]} makes the cluster, by another cluster.yaml or an earlier one. If "
                f"no machine has it, forget that: sudo rm /var/lib/infra/kube/maker on {', '.join(self.names)}"
            )
        if lost or any(part.part == "plane" for node, part in told.items()):
            raise Left("something moved just now: run the same command again")

    # --- What is asked of them

    def _look(self, connection: Connection, words: list[str]) -> tuple[dict[str, Part], dict[str, str]]:
        """Of every machine of the control plane that answers its part; and of the others why they do not."""
        parts: dict[str, Part] = {}
        silent: dict[str, str] = {}
        for node in self.planes:
            try:
                parts[node.name] = parse(self._on(connection, node, *(words or ["look"]), deadline=LOOK))
            except Interrupted:
                raise
            except InfraError as error:
                if node.name == connection.node.name:
                    raise
                silent[node.name] = error.problems[0].what
        return parts, silent

    def _member(self, connection: Connection, parts: dict[str, Part], silent: dict[str, str]) -> Node:
        """The first that has the cluster, and an API server that answers, soon. Raises Left."""
        end = time.monotonic() + self.patience
        while True:
            having = [name for name, part in parts.items() if part.part == "plane"]
            found = next((name for name in having if parts[name].ready), "")
            if found:
                return next(node for node in self.planes if node.name == found)
            if not having or time.monotonic() > end:
                break
            connection.fleet.pause(self.pause)
            parts, silent = self._look(connection, [])
        if having:
            raise Left(
                f"no API server answers on {', '.join(having)}: see there, sudo crictl ps; journalctl -u kubelet"
            )
        mute = "".join(f"; {name} does not answer ({why})" for name, why in silent.items())
        raise Left(f"the control plane is not up: infra node bootstrap {self.names[0]}{mute}")

    def _invite(self, connection: Connection, member: Node, words: list[str]) -> str:
        said = self._on(connection, member, "invite", *words, deadline=INVITE)
        try:
            text = base64.b64decode(said.strip().splitlines()[-1]).decode()
            found = json.loads(text)
            for secret in (found["token"], str(found["token"]).partition(".")[2], found.get("key")):
                SECRETS.add(secret)
        except (binascii.Error, ValueError, IndexError, KeyError, TypeError) as error:
            why = f"what it says is damaged ({type(error).__name__})"
            raise NodeFailed(f"{member.name} invites nobody", where=member.where, why=why) from error
        return text

    def _made(self, connection: Connection, verb: str, given: dict[str, object]) -> None:
        blobs = {"given": lambda: json.dumps(given).encode()}
        ran = _run(connection, [verb], MAKE, self.pause, MAKE, blobs)
        if ran.code != 0:
            raise failed(connection.node, ran.out, self.loaded.cluster.cluster)

    def _on(self, connection: Connection, node: Node, *words: str, deadline: float) -> str:
        """What the script says on a machine of the control plane; by this connection where it is that very machine."""
        if node.name == connection.node.name:
            return _asked(connection, words, deadline, self.pause, self.patience)
        with closing(link(connection.fleet, self.loaded, node)) as other:
            return _asked(other, words, deadline, self.pause, self.patience)


def link(fleet: Fleet, loaded: Loaded, node: Node) -> Connection:
    """A connection to a machine that may not be among those that were asked for: its jump hosts are made known."""
    for door in Inventory(loaded).jumps([node]):
        fleet.nodes.setdefault(door.name, door)
    return fleet.connect(node)


def _asked(
    connection: Connection, words: Iterable[str], deadline: float, pause: float = PAUSE, patience: float = PATIENCE
) -> str:
    """What the script says there. Raises NodeBusy, NodeFailed."""
    ran = _run(connection, words, deadline, pause, patience)
    if ran.code == 0:
        return ran.out
    why = "\n".join((ran.err.strip() or ran.out.strip()).splitlines()[-6:])
    node = connection.node
    if ran.code == BUSY:
        raise NodeBusy(f"{node.name} is at work for somebody else", where=node.where or node.login, why=why)
    fix = "mend what it says, then run the same command again"
    raise NodeFailed(
        f"{node.name}, of the control plane, cannot help", where=node.where or node.login, why=why, fix=fix
    )


def _run(
    connection: Connection,
    words: Iterable[str],
    deadline: float,
    pause: float,
    patience: float,
    blobs: Mapping[str, Blob] = {},
) -> Ran:
    """Run the script there; while that machine is at work for somebody else, that is waited for."""
    end = time.monotonic() + patience
    while True:
        ran = connection.run(scripts.text("plane"), *words, deadline=deadline, blobs=blobs, check=False)
        if ran.code != BUSY or time.monotonic() > end:
            return ran
        connection.fleet.pause(pause)


def failed(node: Node, out: str, cluster: str) -> NodeFailed:
    return NodeFailed(
        f"{node.name} is at its policy, and is not one of the control plane of {cluster}",
        where=node.where or node.login,
        why="\n".join(out.strip().splitlines()[-12:]),
        fix="mend what it says; then run the same command again: only this is left to do",
    )


def admin(loaded: Loaded, fleet: Fleet) -> tuple[str, str]:
    """The administrators' kubeconfig, and where it is from: the first machine of the control plane that has it.

    Raises what kept the last of them from saying it.
    """
    last: InfraError | None = None
    for node in planes(loaded):
        where = f"/etc/kubernetes/admin.conf on {node.name}"
        try:
            with closing(link(fleet, loaded, node)) as connection:
                if parse(_asked(connection, ["look"], LOOK)).part != "plane":
                    continue
                said = _asked(connection, ["admin"], LOOK)
                return base64.b64decode(said.strip().splitlines()[-1]).decode(), where
        except Interrupted:
            raise
        except (binascii.Error, ValueError, IndexError) as error:
            last = NodeFailed(f"the kubeconfig of {node.name} is damaged", where=where, why=str(error))
        except InfraError as error:
            last = error
    if last is not None:
        raise last
    names = [node.name for node in planes(loaded)]
    raise NodeFailed(
        f"no machine of the control plane of {loaded.cluster.cluster} is up",
        where=loaded.where("kubernetes", "control_plane", "metal"),
        why=f"{', '.join(names)}: none has a cluster",
        fix=f"bring them up: infra node bootstrap {' '.join(names)}",
    )
