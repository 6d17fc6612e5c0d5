"""Running a graph of steps: each as soon as what it waits for has gone well, side by side, a group within its limit.

A step that fails stops those that wait for it. It keeps its place in its group, because what failed may be away for
good: when no place is left, the rest of the group is not begun. Nothing here knows what a step does.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field

from infra.errors import InfraError
from infra.plan.steps import Step

POLL = 0.5  # seconds; how late a Ctrl-C is noticed between two steps


@dataclass(slots=True)
class Outcome:
    """What came of each step: its id is in exactly one of these. ``skipped`` is id -> the failed step that stopped it.

    ``left`` are those that were not begun because the user stopped.
    """

    done: list[str] = field(default_factory=list)
    failed: dict[str, InfraError] = field(default_factory=dict)
    skipped: dict[str, str] = field(default_factory=dict)
    left: list[str] = field(default_factory=list)


def run(
    steps: Sequence[Step],
    work: Callable[[Step], None],
    *,
    parallel: int = 64,
    stopped: Callable[[], bool] = lambda: False,
) -> Outcome:
    """Run them all, at most ``parallel`` at a time; ``work`` raises InfraError for a step that failed.

    Any other exception is raised once all that runs has ended; then nothing more is begun.
    """
    outcome = Outcome()
    waiting = {step.id: step for step in steps}
    unknown = {name for step in steps for name in step.after} - set(waiting)
    assert not unknown, f"steps wait for what is not there: {sorted(unknown)}"
    running: dict[Future[None], Step] = {}
    broken = threading.Event()
    with ThreadPoolExecutor(max(1, min(parallel, len(steps))), thread_name_prefix="step") as pool:
        while waiting or running:
            if stopped() or broken.is_set():
                outcome.left += waiting
                waiting.clear()
            _skip(waiting, outcome)
            for step in _ready(waiting, outcome, running.values(), parallel, steps):
                del waiting[step.id]
                running[pool.submit(work, step)] = step
            if not running:
                _skip_full(waiting, outcome, steps)
                break
            ended, _ = wait(running, timeout=POLL, return_when=FIRST_COMPLETED)
            for future in ended:
                step = running.pop(future)
                error = future.exception()
                if error is None:
                    outcome.done.append(step.id)
                elif isinstance(error, InfraError):
                    outcome.failed[step.id] = error
                else:
                    broken.set()
                    outcome.left.append(step.id)
                    _raise_after(running, error)
    outcome.left += waiting  # a circle: there is none in a graph that ``steps.of`` made
    return outcome


def _raise_after(running: Mapping[Future[None], Step], error: BaseException) -> None:
    wait(running)
    raise error


def _skip(waiting: dict[str, Step], outcome: Outcome) -> None:
    """Those that wait for a failed one, or for one that waits for it."""
    found = True
    while found:
        found = False
        for name, step in list(waiting.items()):
            bad = next((one for one in step.after if one in outcome.failed or one in outcome.skipped), "")
            if bad:
                outcome.skipped[name] = outcome.skipped.get(bad, bad)
                del waiting[name]
                found = True


def _skip_full(waiting: dict[str, Step], outcome: Outcome, steps: Sequence[Step]) -> None:
    """Nothing runs and nothing may begin: what is left has no place in its group, or waits for such a one."""
    lost: dict[str, str] = {}
    for step in steps:
        if step.id in outcome.failed and step.at_once:
            lost.setdefault(step.group, step.id)
    for name, step in list(waiting.items()):
        if step.at_once and step.group in lost:
            outcome.skipped[name] = lost[step.group]
            del waiting[name]
    _skip(waiting, outcome)


def _ready(
    waiting: Mapping[str, Step], outcome: Outcome, now: Collection[Step], parallel: int, steps: Sequence[Step]
) -> list[Step]:
    failed = [step for step in steps if step.id in outcome.failed]
    busy = Counter(step.group for step in (*now, *failed) if step.at_once)
    done = set(outcome.done)
    found: list[Step] = []
    for step in waiting.values():
        if len(now) + len(found) >= parallel:
            break
        if step.at_once and busy[step.group] >= step.at_once:
            continue
        if done.issuperset(step.after):
            busy[step.group] += 1 if step.at_once else 0
            found.append(step)
    return found
