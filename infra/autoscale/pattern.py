"""What goes together on one machine: a pattern is a machine's load, and is used as often as the pods last."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from infra.autoscale.room import Ints
from infra.autoscale.task import Floats, Task

Load = tuple[tuple[int, int], ...]
"""Item and how many, sorted by item."""


@dataclass(frozen=True, slots=True)
class Pattern:
    """``times`` machines of an option (its place in the task), each with the same load."""

    option: int
    load: Load
    times: int = 1


def fill(capacity: Ints, requests: Ints, most: Ints, available: Ints, worth: Floats, align: bool) -> Ints:
    """A full machine: how many of each item. Items of more ``worth`` for the room they take come first.

    ``align``: the room they take is measured in what the machine has least of by now (pods that use what others
    leave); otherwise in what it has at first.
    """
    load = np.zeros(len(available), dtype=np.int64)
    useful = np.flatnonzero((np.minimum(most, available) > 0) & (worth > 0))
    if not len(useful):
        return load
    asks, left, limit = requests[useful], capacity.copy(), np.minimum(most, available)[useful]
    full = np.maximum(capacity, 1).astype(float)
    value = worth[useful]
    part = asks / full
    density = value / np.maximum(part.max(axis=1) + 0.25 * part.sum(axis=1), 1e-12)
    put = np.zeros(len(useful), dtype=np.int64)
    while True:
        able = (asks <= left).all(axis=1) & (put < limit)
        if not able.any():
            break
        if align:
            rest = np.maximum(left, 1) / full
            density = value / np.maximum((part / rest).max(axis=1), 1e-12) * np.where(able, 1.0, 0.0)
        best = int(np.argmax(np.where(able, density, -1.0)))
        asked = np.flatnonzero(asks[best])
        fit = int((left[asked] // asks[best][asked]).min()) if len(asked) else int(limit[best])
        count = min(fit, int(limit[best] - put[best]))
        count = max(1, count // 2) if align else count
        put[best] += count
        left -= asks[best] * count
    load[useful] = put
    return load


def as_load(counts: Ints) -> Load:
    return tuple((int(item), int(counts[item])) for item in np.flatnonzero(counts))


def counts_of(load: Load, items: int) -> Ints:
    counts = np.zeros(items, dtype=np.int64)
    for item, count in load:
        counts[item] = count
    return counts


def used(task: Task, load: Load) -> Ints:
    """What a load asks for in all."""
    total = np.zeros(task.requests.shape[1], dtype=np.int64)
    for item, count in load:
        total += task.requests[item] * count
    return total


def cost_of(task: Task, patterns: list[Pattern]) -> float:
    return float(sum(task.options[one.option].price * one.times for one in patterns))


def fill_many(capacity: Ints, requests: Ints, limit: Ints, worth: Floats, begun: Ints | None = None) -> Ints:
    """A full machine for each load that is ``begun`` (for each item alone, if none is), all at once (loads × items),
    by what is worth most for what the machine has least of by then. ``limit``: at most so many of each item."""
    useful = np.flatnonzero((limit > 0) & (worth > 0))
    if not len(useful):
        return np.zeros((0, len(limit)), dtype=np.int64)
    asks, value, most = requests[useful], worth[useful], limit[useful]
    full = np.maximum(capacity, 1).astype(float)
    part = asks / full
    put = np.eye(len(useful), dtype=np.int64) if begun is None else begun[:, useful]
    loads = np.zeros((len(put), len(limit)), dtype=np.int64)
    every = np.arange(len(put))
    left = capacity - put @ asks
    while True:
        able = (asks[None] <= left[:, None]).all(axis=2) & (put < most)
        busy = able.any(axis=1)
        if not busy.any():
            break
        rest = np.maximum(left, 1) / full
        need = (part[None] / rest[:, None]).max(axis=2)
        best = np.argmax(np.where(able, value / np.maximum(need, 1e-12), -1.0), axis=1)
        taken = asks[best]
        with np.errstate(divide="ignore"):
            fit = np.where(taken > 0, left // np.maximum(taken, 1), 2**40).min(axis=1)
        count = np.maximum(np.minimum(fit, most[best] - put[every, best]) // 4, 1) * busy
        put[every, best] += count
        left = left - taken * count[:, None]
    loads[:, useful] = put
    return loads
