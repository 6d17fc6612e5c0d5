"""The converge as a job of the machine: started there, followed by its log, found again after a cut or a restart."""

from __future__ import annotations

import collections
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from infra.errors import NodeBusy, NodeFailed, NodeUnreachable
from infra.node import scripts
from infra.node.ssh.fleet import Blob, Connection

Sink = Callable[[dict[str, Any]], None]
FIRST = 3  # seconds that the start follows the job for; most of what has little to do is done by then
WINDOW = 15  # seconds of one look at a job
GRACE = 10.0  # and how long a look may be late before the link counts as lost: a machine that is off says nothing
UPLOAD = 120.0  # seconds that an upload may take, and one more for each of these bytes
BYTES_PER_SECOND = 50_000
SMOKE_AND_RECORD = 1800.0
KEPT = 40


@dataclass(frozen=True, slots=True)
class Order:
    """What bring.sh is asked for. ``sha256`` "" takes the client that is there; ``blobs`` has what may be fetched."""

    who: str
    digest: str
    why_run: bool
    kind: str
    sha256: str
    node: str
    deadline: int
    license: str
    blobs: Mapping[str, Blob]
    size: int


@dataclass
class Story:
    """A job as it is told. ``state``: "" before its end, else ended, lost, rebooted, gone; ``seen`` counts lines."""

    id: str = ""
    attached: bool = False
    state: str = ""
    stage: str = ""
    code: int = 0
    boot: str = ""
    seen: int = 0
    tail: collections.deque[str] = field(default_factory=lambda: collections.deque(maxlen=KEPT))
    refused: list[str] = field(default_factory=list)
    texts: dict[str, list[str]] = field(default_factory=dict)

    def hear(self, line: str, sink: Sink) -> None:
        """One line of bring.sh or job.sh."""
        if line.startswith("|"):
            self.seen += 1
            if line[1:].strip():
                self.tail.append(line[1:])
                sink({"type": "line", "text": line[1:]})
        elif line.startswith("+ "):
            stage, _, resource = line[2:].partition("\t")
            if stage:
                sink({"type": "beat", "stage": stage, "text": resource.strip()})
        elif line[:2] in ("r|", "s|", "d|"):
            self.texts.setdefault(line[0], []).append(line[2:])
        elif line.startswith("! "):
            self.refused.append(line[2:])
        elif line.startswith("= "):
            self._ours(line[2:].split(), sink)

    def _ours(self, words: list[str], sink: Sink) -> None:
        if words[0] == "stage":
            sink({"type": "stage", "stage": words[1], "text": ""})
        elif words[0] in ("started", "attached"):
            self.id, self.attached = words[1], words[0] == "attached"
            sink({"type": "stage", "stage": "converge", "text": "its job is at work already" if self.attached else ""})
        elif words[0] == "state":
            self.state = "" if words[1] == "running" else words[1]
            if words[1] == "ended":
                self.stage, self.code = words[2], int(words[3])
            elif words[1] == "rebooted":
                self.boot = words[2]

    def value(self, key: str) -> dict[str, Any]:
        """The report ("r") or the smoke test's result ("s"); {} when there is none."""
        try:
            found = json.loads("\n".join(self.texts.get(key, ())) or "{}")
        except ValueError:
            return {}
        return found if isinstance(found, dict) else {}

    @property
    def left(self) -> tuple[str, ...]:
        """What still differs from the baseline after the converge."""
        return tuple(line for line in self.texts.get("d", ()) if line.strip())


def do(connection: Connection, order: Order, sink: Sink, *, away: float) -> Story:
    """Start the job, or find it at work, and follow it to its end. ``away``: how long the link may be down at a time.

    A machine that restarts in the middle has the job started once more. Raises NodeBusy, NodeFailed, NodeUnreachable.
    """
    restarts = 0
    while True:
        story = _start(connection, order, sink, away)
        end = time.monotonic() + order.deadline + SMOKE_AND_RECORD
        while not story.state:
            _look(connection, story, sink, away)
            if time.monotonic() > end:
                raise _never_ends(connection, order)
        if story.state not in ("rebooted", "gone"):
            return story
        restarts += 1
        if restarts > 1:
            raise _restarts(connection, story)
        sink({"type": "stage", "stage": "again", "text": "it restarted in the middle"})


def _start(connection: Connection, order: Order, sink: Sink, away: float) -> Story:
    end = time.monotonic() + away + UPLOAD + order.size / BYTES_PER_SECOND
    while True:
        story = Story()
        try:
            ran = connection.run(
                scripts.text("bring"),
                order.who,
                order.digest,
                "why-run" if order.why_run else "converge",
                order.kind,
                order.sha256,
                order.node,
                scripts.text("job"),
                str(order.deadline),
                order.license,
                str(FIRST),
                deadline=UPLOAD + order.size / BYTES_PER_SECOND + FIRST,
                blobs=order.blobs,
                on_line=lambda line, story=story: story.hear(line, sink),  # type: ignore[misc]
                check=False,
            )
        except NodeUnreachable as error:
            if not story.id and time.monotonic() > end:
                raise
            back(connection, sink, away, error, story.id)
            if story.id:
                return story
            continue
        if story.id and not story.refused:
            return story
        raise _refused(connection, story, ran.err)


def _look(connection: Connection, story: Story, sink: Sink, away: float) -> None:
    try:
        connection.run(
            scripts.text("job"),
            "follow",
            story.id,
            str(story.seen),
            str(WINDOW),
            deadline=WINDOW + GRACE,
            on_line=lambda line: story.hear(line, sink),
            check=False,
        )
    except (NodeUnreachable, NodeFailed) as error:  # NodeFailed: silence past the deadline
        back(connection, sink, away, error, story.id)


def back(connection: Connection, sink: Sink, away: float, error: Exception, job: str) -> None:
    """Connect again. Raises NodeUnreachable that says what goes on without us."""
    sink({"type": "stage", "stage": "away", "text": "trying again"})
    node = connection.node
    try:
        connection.reconnect(deadline=away)
    except NodeUnreachable as lost:
        goes_on = f"; what it was doing (job {job}) goes on there" if job else "; nothing was started there"
        raise NodeUnreachable(
            f"the link to {node.name} was lost, and it did not answer again within {away:.0f} s{goes_on}",
            where=node.where or node.login,
            why=lost.problems[0].why or str(error),
            fix="check that it is on and its network; then run the same command again: it goes on where this stopped",
        ) from error
    sink({"type": "stage", "stage": "back", "text": ""})


def _refused(connection: Connection, story: Story, stderr: str) -> NodeBusy | NodeFailed:
    node = connection.node
    first = story.refused[0] if story.refused else ""
    if first.startswith("busy\t"):
        return busy(node.name, node.where or node.login, *first.split("\t")[1:5])
    return NodeFailed(
        f"{node.name}: nothing could be started",
        where=node.where or node.login,
        why="\n".join(story.refused or stderr.strip().splitlines()[-5:]) or "the script ended without a word",
        fix="mend what it says there, then run the same command again",
    )


def busy(name: str, where: str, who: str, since: str, digest: str, mode: str) -> NodeBusy:
    doing = "looks what would change on" if mode == "why-run" else "converges"
    return NodeBusy(
        f"{who} {doing} {name} since {since}",
        where=where,
        why=f"a job with the policy {digest[:12]} is at work there",
        fix="wait for it to end, then run the same command again: what that did is then taken into account",
    )


def _never_ends(connection: Connection, order: Order) -> NodeFailed:
    return NodeFailed(
        f"{connection.node.name} has not ended its job {(order.deadline + SMOKE_AND_RECORD) / 60:.0f} min later",
        where=connection.node.where or connection.node.login,
        why="the converge has a deadline of its own, and that is long over",
        fix="look there what it waits for: sudo ps fax; /var/log/infra/converge.log",
    )


def _restarts(connection: Connection, story: Story) -> NodeFailed:
    return NodeFailed(
        f"{connection.node.name} restarted twice in the middle of its converge",
        where=connection.node.where or connection.node.login,
        why="\n".join(list(story.tail)[-10:]),
        fix="find out why it restarts (sudo journalctl -b -1 -e; power; kernel), then run the same command again",
    )
