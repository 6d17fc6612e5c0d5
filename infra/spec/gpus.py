"""NVIDIA's GPUs: which drivers, CUDA toolkits and kernel modules go with which of them.

Sources:
- The driver's README, "Supported NVIDIA GPU Products" and the legacy list: 470 is the last branch for Kepler, 580 the
  last for Maxwell, Pascal and Volta.
- CUDA Toolkit release notes, "CUDA Driver" tables: the driver that each toolkit came with, and the least driver for
  minor version compatibility (11.x: 450, 12.x: 525, 13.x: 580). CUDA 12.0 removed Kepler, 13.0 Maxwell to Volta.
- Driver installation guide, "Kernel Modules": the open module exists from 515 on, needs Turing or newer, and is the
  only one for Blackwell.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Module = Literal["open", "proprietary"]
Version = tuple[int, ...]

OPEN_SINCE = 515


@dataclass(frozen=True, slots=True)
class Architecture:
    """Driver branches and CUDA versions from first to last; None: still supported."""

    name: str
    first_driver: int
    last_driver: int | None
    first_cuda: Version
    last_cuda: Version | None
    modules: tuple[Module, ...]

    def __str__(self) -> str:
        return self.name


_CLOSED: tuple[Module, ...] = ("proprietary",)
_EITHER: tuple[Module, ...] = ("open", "proprietary")
_OPEN: tuple[Module, ...] = ("open",)

KEPLER = Architecture("Kepler", 304, 470, (5, 0), (11, 8), _CLOSED)
MAXWELL = Architecture("Maxwell", 340, 580, (6, 5), (12, 9), _CLOSED)
PASCAL = Architecture("Pascal", 367, 580, (8, 0), (12, 9), _CLOSED)
VOLTA = Architecture("Volta", 384, 580, (9, 0), (12, 9), _CLOSED)
TURING = Architecture("Turing", 410, None, (10, 0), None, _EITHER)
AMPERE = Architecture("Ampere", 450, None, (11, 0), None, _EITHER)
ADA = Architecture("Ada", 525, None, (11, 8), None, _EITHER)
HOPPER = Architecture("Hopper", 525, None, (11, 8), None, _EITHER)
BLACKWELL = Architecture("Blackwell", 570, None, (12, 8), None, _OPEN)


@dataclass(frozen=True, slots=True)
class Model:
    """One GPU as a file names it; ``first_driver`` when it came later than its architecture."""

    name: str
    title: str
    architecture: Architecture
    first_driver: int = 0

    @property
    def least_driver(self) -> int:
        return max(self.first_driver, self.architecture.first_driver)


def _models(*rows: tuple[str, str, Architecture, int]) -> Mapping[str, Model]:
    return {name: Model(name, title, architecture, driver) for name, title, architecture, driver in rows}


MODELS: Mapping[str, Model] = _models(
    ("k80", "K80", KEPLER, 340),
    ("k40", "K40", KEPLER, 0),
    ("gtx-titan-black", "GTX Titan Black", KEPLER, 0),
    ("m40", "M40", MAXWELL, 0),
    ("m60", "M60", MAXWELL, 0),
    ("gtx-980", "GTX 980", MAXWELL, 0),
    ("gtx-980-ti", "GTX 980 Ti", MAXWELL, 0),
    ("titan-x-maxwell", "Titan X (Maxwell)", MAXWELL, 346),
    ("p40", "P40", PASCAL, 0),
    ("p100", "P100", PASCAL, 0),
    ("gtx-1080", "GTX 1080", PASCAL, 0),
    ("gtx-1080-ti", "GTX 1080 Ti", PASCAL, 378),
    ("titan-x-pascal", "Titan X (Pascal)", PASCAL, 0),
    ("titan-xp", "Titan Xp", PASCAL, 381),
    ("v100", "V100", VOLTA, 0),
    ("titan-v", "Titan V", VOLTA, 387),
    ("t4", "T4", TURING, 0),
    ("t4g", "T4g", TURING, 470),
    ("rtx-2080", "RTX 2080", TURING, 0),
    ("rtx-2080-ti", "RTX 2080 Ti", TURING, 0),
    ("titan-rtx", "Titan RTX", TURING, 415),
    ("quadro-rtx-6000", "Quadro RTX 6000", TURING, 0),
    ("quadro-rtx-8000", "Quadro RTX 8000", TURING, 0),
    ("a100", "A100", AMPERE, 0),
    ("a10", "A10", AMPERE, 460),
    ("a10g", "A10G", AMPERE, 470),
    ("a30", "A30", AMPERE, 460),
    ("a40", "A40", AMPERE, 455),
    ("rtx-3080", "RTX 3080", AMPERE, 455),
    ("rtx-3090", "RTX 3090", AMPERE, 455),
    ("rtx-a5000", "RTX A5000", AMPERE, 460),
    ("rtx-a6000", "RTX A6000", AMPERE, 455),
    ("l4", "L4", ADA, 0),
    ("l40", "L40", ADA, 0),
    ("l40s", "L40S", ADA, 535),
    ("rtx-4080", "RTX 4080", ADA, 0),
    ("rtx-4090", "RTX 4090", ADA, 0),
    ("rtx-5000-ada", "RTX 5000 Ada", ADA, 535),
    ("rtx-6000-ada", "RTX 6000 Ada", ADA, 0),
    ("h100", "H100", HOPPER, 0),
    ("h200", "H200", HOPPER, 535),
    ("gh200", "GH200", HOPPER, 535),
    ("b200", "B200", BLACKWELL, 0),
    ("b300", "B300", BLACKWELL, 575),
    ("gb200", "GB200", BLACKWELL, 0),
    ("rtx-5080", "RTX 5080", BLACKWELL, 0),
    ("rtx-5090", "RTX 5090", BLACKWELL, 0),
    ("rtx-pro-4500", "RTX PRO 4500", BLACKWELL, 0),
    ("rtx-pro-6000", "RTX PRO 6000", BLACKWELL, 0),
)

# EC2's names that are not our names in capitals.
_EC2 = {"RTX PRO Server 6000": "rtx-pro-6000"}

# Toolkit -> the driver branch it came with; the least driver for 11 and later is by major version.
CUDA_DRIVER: Mapping[Version, int] = {
    (8, 0): 375,
    (9, 0): 384,
    (9, 1): 390,
    (9, 2): 396,
    (10, 0): 410,
    (10, 1): 418,
    (10, 2): 440,
    (11, 0): 450,
    (11, 1): 455,
    (11, 2): 460,
    (11, 3): 465,
    (11, 4): 470,
    (11, 5): 495,
    (11, 6): 510,
    (11, 7): 515,
    (11, 8): 520,
    (12, 0): 525,
    (12, 1): 530,
    (12, 2): 535,
    (12, 3): 545,
    (12, 4): 550,
    (12, 5): 555,
    (12, 6): 560,
    (12, 8): 570,
    (12, 9): 575,
    (13, 0): 580,
    (13, 1): 590,
}
CUDA_LEAST_DRIVER: Mapping[int, int] = {11: 450, 12: 525, 13: 580}


def by_name(name: str) -> Model | None:
    """The model that ``metal.*.gpus.model`` names."""
    return MODELS.get(name)


def by_ec2_name(name: str, manufacturer: str) -> Model | None:
    """The model behind DescribeInstanceTypes' name; None when it is not NVIDIA's or not known."""
    if manufacturer.upper() != "NVIDIA":
        return None
    return MODELS.get(_EC2.get(name, name.lower().replace(" ", "-")))


def version(text: str) -> Version:
    return tuple(int(part) for part in text.split("."))


def branch(driver: str) -> int:
    """580 for 580.95.05."""
    return version(driver)[0]


def least_driver(cuda: Version) -> int | None:
    """The oldest driver branch on which programs of this toolkit run; None when the toolkit is not known."""
    return CUDA_LEAST_DRIVER.get(cuda[0]) or CUDA_DRIVER.get(cuda[:2])


def newest_cuda(driver: int) -> str:
    """The newest toolkit that a driver branch runs without minor version compatibility."""
    fitting = [cuda for cuda, own in CUDA_DRIVER.items() if own <= driver]
    return ".".join(map(str, max(fitting))) if fitting else ""
