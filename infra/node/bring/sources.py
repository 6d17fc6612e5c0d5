"""The names that a policy's packages come from, so that a machine that cannot resolve one is found early. Pure."""

from __future__ import annotations

import re
from typing import Any

from infra.policy import Policy

# Section of the attributes -> its cookbook, and the repositories that it adds. A section that is not there adds none.
ADDED = {
    "docker": ("docker", ("docker",)),
    "nvidia": ("nvidia", ("nvidia",)),
    "kubernetes": ("kubernetes", ("kubernetes",)),
}
_DEFAULT = re.compile(r"^default\['infra'\]\['repositories'\]\['([a-z0-9-]+)'\]", re.MULTILINE)
_HOST = re.compile(r"https?://([A-Za-z0-9.-]+)")


def hosts(policy: Policy) -> tuple[str, ...]:
    """Of the repositories that this policy adds: as its attributes have them, else as its cookbooks do."""
    infra = policy.attributes.get("infra") or {}
    given: dict[str, Any] = infra.get("repositories") or {}
    found: dict[str, None] = {}
    for section, (cookbook, names) in ADDED.items():
        if not infra.get(section) or not any(recipe.split("::")[0] == cookbook for recipe in policy.recipes):
            continue
        text = policy.contents.get(f"cookbooks/{cookbook}/attributes/default.rb", b"").decode("utf-8", "replace")
        defaults = _defaults(text)
        for name in names:
            own = given.get(name)
            uri = str(own.get("uri", "")) if isinstance(own, dict) else ""
            match = _HOST.match(uri or f"https://{defaults.get(name, '')}")  # a mirror may be a folder, too
            if match is not None:
                found[match[1]] = None
    return tuple(found)


def _defaults(text: str) -> dict[str, str]:
    """Repository -> host, as an attributes file has them: the URL on its own lines, else the one before."""
    found: dict[str, str] = {}
    for match in _DEFAULT.finditer(text):
        urls = _HOST.findall(text, match.end(), match.end() + 200) or _HOST.findall(text, 0, match.start())[-1:]
        if urls:
            found.setdefault(match[1], urls[0])
    return found
