"""Kubernetes quantities as exact integers: millicores for CPU, bytes and counts for everything else.

    quantity("cpu", "1500m") -> 1500        quantity("memory", "1.5Gi") -> 1610612736

Fractions are rounded up, as Kubernetes does it. What is not a quantity, is negative, or is larger than any machine
raises :class:`BadQuantity`; who reads a pod makes that a problem of the pod.
"""

from __future__ import annotations

import re
from fractions import Fraction
from functools import lru_cache

LARGEST = 2**55
"""No machine has more of anything; sums and small multiples of it stay within 64 bits."""

SUFFIXES = {
    "n": Fraction(1, 10**9),
    "u": Fraction(1, 10**6),
    "m": Fraction(1, 10**3),
    "": Fraction(1),
    **{letter: Fraction(1000**power) for power, letter in enumerate("kMGTPE", 1)},
    **{f"{letter}i": Fraction(1024**power) for power, letter in enumerate("KMGTPE", 1)},
}
# ASCII alone: \d would also take digits of other scripts, which Kubernetes refuses.
PATTERN = re.compile(r"([+-]?)([0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE]([+-]?[0-9]{1,3})|([numkMGTPE]|[KMGTPE]i)?)", re.ASCII)


class BadQuantity(ValueError):
    """A text that is no quantity; the message says which and why."""


@lru_cache(maxsize=65536)
def exact(text: str) -> Fraction:
    """The number that a quantity's text means. Raises BadQuantity."""
    found = PATTERN.fullmatch(text) if len(text) <= 64 else None
    if found is None:
        raise BadQuantity(f"{text[:40]!r} is not a quantity")
    sign, digits, exponent, suffix = found.groups()
    scale = Fraction(10) ** int(exponent) if exponent else SUFFIXES[suffix or ""]
    value = Fraction(digits) * scale
    return -value if sign == "-" else value


def quantity(resource: str, raw: object) -> int:
    """Millicores when ``resource`` is ``cpu``, else bytes or a count; rounded up. Raises BadQuantity.

    ``raw`` is a text, or a number, which YAML and JSON also allow.
    """
    if isinstance(raw, bool) or not isinstance(raw, str | int | float):
        raise BadQuantity(f"{resource}: {raw!r} is not a quantity")
    try:
        number = exact(str(raw))
    except BadQuantity as error:
        raise BadQuantity(f"{resource}: {error}") from None
    scaled = number * 1000 if resource == "cpu" else number
    if scaled < 0:
        raise BadQuantity(f"{resource}: {raw!r} is negative")
    whole = -(-scaled.numerator // scaled.denominator)
    if whole > LARGEST:
        raise BadQuantity(f"{resource}: {raw!r} is more than any machine has")
    return whole


def words(resource: str, amount: int) -> str:
    """An amount as people read it: ``1.5 cores``, ``48 GiB``, ``8``."""
    if resource == "cpu":
        return f"{amount / 1000:g} cores"
    if resource in ("memory", "ephemeral-storage") or resource.startswith("hugepages-"):
        for power, unit in ((4, "TiB"), (3, "GiB"), (2, "MiB"), (1, "KiB")):
            if abs(amount) >= 1024**power:
                return f"{amount / 1024**power:.4g} {unit}"
        return f"{amount} B"
    return str(amount)
