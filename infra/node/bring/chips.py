"""NVIDIA's chips by PCI device id: each has a block of ids to itself. A GPU is known by its id, never by its name.

Sources: the driver's README ("Supported NVIDIA GPU Products") and the PCI id list. The nvidia cookbook has the same
blocks: it decides on the machine itself, and a test compares the two.
"""

from __future__ import annotations

from infra.spec import gpus

BLOCKS: tuple[tuple[gpus.Architecture, tuple[tuple[int, int], ...]], ...] = (
    (gpus.KEPLER, ((0x0FC0, 0x103F), (0x1180, 0x12BF))),
    (gpus.MAXWELL, ((0x1340, 0x147F), (0x1600, 0x17FF))),
    (gpus.PASCAL, ((0x1580, 0x15FF), (0x1B00, 0x1D7F))),
    (gpus.VOLTA, ((0x1D80, 0x1DFF),)),
    (gpus.TURING, ((0x1E00, 0x1FFF), (0x2180, 0x21FF))),
    (gpus.AMPERE, ((0x2080, 0x20FF), (0x2200, 0x22FF), (0x2400, 0x25FF))),
    (gpus.HOPPER, ((0x2300, 0x237F),)),
    (gpus.ADA, ((0x2680, 0x28FF),)),
    (gpus.BLACKWELL, ((0x2900, 0x29FF), (0x2B80, 0x2FFF), (0x3180, 0x31FF))),
)


def architecture(device: str) -> gpus.Architecture | None:
    """The family of the chip with this device id (``1b00``); None for one that is newer than this list."""
    try:
        number = int(device, 16)
    except ValueError:
        return None
    for family, blocks in BLOCKS:
        if any(first <= number <= last for first, last in blocks):
            return family
    return None
