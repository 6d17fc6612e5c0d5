"""A job followed over a link that breaks in every way, and a restart that is waited for: with a made-up connection."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from infra.errors import InfraError, NodeBusy, NodeFailed, NodeUnreachable
from infra.node.bring import job, reboot
from infra.node.model import Node
from infra.node.ssh.fleet import Ran

ORDER = job.Order("ada@desk", "d" * 64, False, "cinc", "", "{}", 60, "", {}, 0)
DONE = "= state ended record 0"
LOST = NodeUnreachable("it cannot be reached", why="the connection was lost")
SILENT = NodeFailed("a script did not end within 50 s")


class Link:
    """Answers each script with the next step: lines that are printed, and, as its last item, an error that ends it."""

    def __init__(self, *steps: list[str | InfraError], back: InfraError | None = None) -> None:
        self.node = Node("titan-01", "metal", "titan", "gpu", "ops", "192.0.2.1", where="cluster.yaml:9")
        self.steps, self.back = list(steps), back
        self.asked: list[tuple[str, ...]] = []
        self.reconnected = 0
        self.fleet = self

    def run(
        self, script: str, *args: str, on_line: Callable[[str], None] | None = None, check: bool = True, **_: Any
    ) -> Ran:
        self.asked.append(args[:3])
        out: list[str] = []
        for item in self.steps.pop(0):
            if isinstance(item, InfraError):
                raise item
            out.append(item)
            if on_line:
                on_line(item)
        return Ran(0, "\n".join(out), "", 0.1)

    def reconnect(self, *, deadline: float) -> None:
        self.reconnected += 1
        if self.back is not None:
            raise self.back

    def pause(self, seconds: float) -> None:
        return None


def do(link: Link) -> tuple[job.Story, list[str]]:
    events: list[str] = []
    story = job.do(link, ORDER, lambda event: events.append(event.get("stage", "")), away=5)  # type: ignore[arg-type]
    return story, events


def test_the_log_is_picked_up_where_it_broke_off() -> None:
    link = Link(
        ["= started j1", "|one", "|two", LOST],
        ["|three", SILENT],
        ["|four", "", "= state running"],
        ["|five", DONE],
    )
    story, events = do(link)
    assert [args[:3] for args in link.asked[1:]] == [
        ("follow", "j1", "2"),
        ("follow", "j1", "3"),
        ("follow", "j1", "4"),
    ]
    assert list(story.tail) == ["one", "two", "three", "four", "five"] and link.reconnected == 2
    assert events.count("away") == events.count("back") == 2


def test_a_cut_before_the_job_began_asks_again() -> None:
    link = Link(["= stage policy", LOST], ["= attached j1", DONE])
    story, _ = do(link)
    assert story.attached and len(link.asked) == 2 and link.asked[1][0] == "ada@desk"


def test_a_machine_that_restarts_once_and_twice() -> None:
    again = ["= started j2", DONE]
    _, events = do(Link(["= started j1", LOST], ["= state rebooted b2"], again))
    assert "again" in events
    with pytest.raises(NodeFailed, match="restarted twice"):
        do(Link(["= started j1", "= state rebooted b2"], ["= started j2", "= state rebooted b3"]))


@pytest.mark.parametrize(
    ("steps", "back", "kind", "words"),
    [
        ([["= started j1", LOST]], LOST, NodeUnreachable, "(job j1) goes on there"),
        ([["= stage client", LOST]], LOST, NodeUnreachable, "nothing was started there"),
        ([["! busy\teve@lab\t2026\tabc\tconverge"]], None, NodeBusy, "eve@lab converges titan-01 since 2026"),
        ([["! the policy arrived damaged"]], None, NodeFailed, "the policy arrived damaged"),
        ([[]], None, NodeFailed, "without a word"),
        ([[NodeFailed("policy did not arrive whole")]], None, NodeFailed, "did not arrive whole"),
    ],
)
def test_what_ends_it(
    steps: list[list[str | InfraError]], back: InfraError | None, kind: type[InfraError], words: str
) -> None:
    with pytest.raises(kind) as caught:
        do(Link(*steps, back=back))
    assert words in caught.value.text()


def test_a_restart_is_over_when_another_boot_answers() -> None:
    link = Link(["asked"], ["b1"], [LOST], ["b2"])
    assert reboot.restart(link, "b1", deadline=60) == "b2"  # type: ignore[arg-type]
    with pytest.raises(NodeFailed, match="still in the boot"):
        reboot.restart(Link(["asked"]), "b1", deadline=0)  # type: ignore[arg-type]
