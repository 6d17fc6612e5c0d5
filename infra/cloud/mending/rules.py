"""By which rules a region is looked into for what an unfinished apply left. Light: every plan imports it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Rules:
    """``since``: when the first unfinished apply began; what is older and has no tag of ours is not ours.

    ``trusting``: the user said so (``--adopt``): a name is proof enough.
    """

    cluster: str
    since: datetime | None = None
    trusting: bool = False
