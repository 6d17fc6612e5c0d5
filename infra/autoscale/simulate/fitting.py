"""First fit over many equal pods at once, for the policies that we compare with."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from infra.autoscale.room import Ints, times


def first_fit(free: Ints, may: npt.NDArray[np.bool_], request: Ints, count: int) -> int:
    """Put up to ``count`` equal pods into the rows in their order, where they may; how many found room."""
    if not len(free) or count <= 0:
        return 0
    fit = np.minimum(times(free, request), count) * may
    taken = np.clip(count - (np.cumsum(fit) - fit), 0, fit)
    free -= taken[:, None] * request[None, :]
    return int(taken.sum())


class Bins:
    """New machines of one kind, filled first fit and opened as needed, ``most`` at most."""

    def __init__(self, capacity: Ints, most: int) -> None:
        self.capacity, self.most = capacity, most
        self.free: Ints = np.zeros((0, len(capacity)), dtype=np.int64)
        self.used: Ints = np.zeros(len(capacity), dtype=np.int64)

    def put(self, request: Ints, count: int) -> int:
        """How many of ``count`` equal pods found room."""
        done = first_fit(self.free, np.ones(len(self.free), dtype=bool), request, count)
        each = int(times(self.capacity[None, :], request)[0])
        if each and done < count:
            more = min(-(-(count - done) // each), self.most - len(self.free))
            if more > 0:
                fresh = np.repeat(self.capacity[None, :], more, axis=0)
                done += first_fit(fresh, np.ones(more, dtype=bool), request, count - done)
                self.free = np.concatenate([self.free, fresh])
        self.used += done * request
        return done
