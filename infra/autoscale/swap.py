"""Smaller pods may take larger ones' places: what makes few loads stand for many.

Wherever a pod may run, one that asks for no more of anything (and may run there too) may run instead. As columns of
the master program, swaps say that a pod is worth no less than a smaller one, which all optimal prices keep: far fewer
loads have to be generated before the prices are right (Valério de Carvalho, "Using extra dual cuts to accelerate
column generation", 2005), and the integer program over them has loads to choose from that were never generated.
"""

from __future__ import annotations

import numpy as np

from infra.autoscale.pattern import Pattern
from infra.autoscale.room import Ints
from infra.autoscale.task import Bools, Task


def smaller(task: Task) -> Bools:
    """items × items: whether the second may take the place of the first. Transitive, and never both ways."""
    may = task.most > 0
    found = np.asarray((task.requests[:, None] >= task.requests[None]).all(axis=2))
    found &= (may[None] | ~may[:, None]).all(axis=2)
    np.fill_diagonal(found, False)
    # Of two equal ones the second may take the place of the first alone.
    found &= ~(found & found.T & np.tri(len(may), dtype=bool))
    return found


def swaps_of(task: Task) -> list[tuple[int, int]]:
    """Pairs (item, smaller item) of which all others follow; the larger items come first."""
    able = smaller(task)
    wanted = able & ((task.demand > 0) & (task.most > 0).any(axis=1))[:, None] & (task.demand > 0)[None]
    follows = (wanted.astype(np.float32) @ wanted.astype(np.float32)) > 0
    pairs = np.argwhere(wanted & ~follows).tolist()
    below = able.sum(axis=1).tolist()
    return sorted(((item, other) for item, other in pairs), key=lambda pair: (-below[pair[0]], pair))


def swapped(patterns: list[Pattern], swaps: list[tuple[int, int]], times: Ints) -> list[Pattern]:
    """The patterns with so many of each swap done, as far as there is what is to be swapped."""
    for (item, other), count in zip(swaps, times.tolist(), strict=True):
        if count > 0:
            patterns = _one(patterns, item, other, count)
    return patterns


def _one(patterns: list[Pattern], item: int, other: int, count: int) -> list[Pattern]:
    done: list[Pattern] = []
    for one in patterns:
        here = dict(one.load).get(item, 0)
        whole = min(one.times, count // here) if here else 0
        part = min(count - whole * here, here) if here and whole < one.times else 0
        count -= whole * here + part
        for machines, moved in ((whole, here), (1 if part else 0, part), (one.times - whole - (part > 0), 0)):
            if machines:
                load = dict(one.load)
                if moved:
                    load[item] -= moved
                    load[other] = load.get(other, 0) + moved
                kept = tuple(sorted((item, some) for item, some in load.items() if some))
                done.append(Pattern(one.option, kept, machines))
    return done
