"""``smoke.conf``: what the smoke test on a machine expects, as lines that a POSIX shell can read.

Every key is always there. Lists are words with spaces between them; no word holds one.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from typing import Any


def conf(attributes: Mapping[str, Any], recipes: Sequence[str]) -> str:
    """``KEY='value'`` lines, sorted."""
    infra = attributes["infra"]
    cookbooks = {recipe.partition("::")[0] for recipe in recipes}

    def section(key: str) -> Mapping[str, Any]:
        return infra.get(key) or {}

    nvidia = section("nvidia") if "nvidia" in cookbooks else {}
    cuda = section("cuda") if "cuda" in cookbooks else {}
    users = section("users") if "base" in cookbooks else {}
    storage = section("storage") if "storage" in cookbooks else {}
    research = section("research") if "research" in cookbooks else {}
    values = {
        "CLUSTER": infra.get("cluster"),
        "PROFILE": infra.get("profile"),
        "OS": infra.get("os"),
        "RECIPES": _words(recipes),
        "COOKBOOKS": _words(sorted(cookbooks)),
        "NVIDIA_DRIVER": nvidia.get("driver"),
        "NVIDIA_MODULE": nvidia.get("module"),
        "FABRIC_MANAGER": "1" if nvidia.get("fabric_manager") else "",
        "CUDA_VERSIONS": _words(cuda.get("versions") or ()),
        "DOCKER": section("docker").get("version") if "docker" in cookbooks else None,
        "KUBERNETES": section("kubernetes").get("version") if "kubernetes" in cookbooks else None,
        "USERS": _words(sorted(users)),
        "MOUNTS": _words(f"{item.get('kind')}:{item.get('mount')}" for _, item in sorted(storage.items())),
        # Environments that the cookbook itself brings are not known here: the machine lists them.
        "ENVIRONMENTS": _words(key for key, value in sorted((research.get("environments") or {}).items()) if value),
    }
    return "".join(f"{key}={shlex.quote(str(value or ''))}\n" for key, value in sorted(values.items()))


def _words(values: Any) -> str:
    return " ".join(re.sub(r"\s+", "_", str(value)) for value in values)
