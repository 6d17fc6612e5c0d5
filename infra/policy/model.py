"""A policy, as everything else sees it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from infra import files
from infra.policy import tar

SHORT = 12  # digits of a digest that people are shown


@dataclass(frozen=True, slots=True)
class Layer:
    """A part of the run-list that an image can be based on. ``digest`` covers every layer below it too."""

    name: str
    digest: str


@dataclass(frozen=True)
class Policy:
    """What the machines of a profile are.

    ``run_list`` is as written; ``recipes`` has its roles expanded, each ``cookbook::recipe``; ``attributes`` is what
    node.json carries (without the run-list); ``versions`` is flat, for tags and reasons. ``contents`` is path in the
    archive -> bytes; ``sources`` says of those that were read which file they are.
    """

    profile: str
    run_list: tuple[str, ...]
    recipes: tuple[str, ...]
    attributes: dict[str, Any]
    versions: dict[str, str]
    layers: tuple[Layer, ...]
    contents: Mapping[str, bytes] = field(repr=False, compare=False)
    sources: Mapping[str, Path] = field(repr=False, compare=False)

    @cached_property
    def _packed(self) -> bytes:
        return tar.pack(self.contents)

    def archive(self) -> bytes:
        """An uncompressed tar: the same bytes on any machine."""
        return self._packed

    @cached_property
    def digest(self) -> str:
        """sha256 of the archive, 64 hex digits."""
        return files.digest(self._packed)

    @property
    def short(self) -> str:
        return self.digest[:SHORT]

    @property
    def cookbooks(self) -> tuple[str, ...]:
        """Names of the cookbooks in the archive, sorted."""
        return tuple(sorted({path.split("/")[1] for path in self.contents if path.startswith("cookbooks/")}))

    def own(self, site: Path) -> set[str]:
        """The cookbooks that come from the lab's own ``chef/`` in ``site``."""
        mine = (site / "chef" / "cookbooks").resolve()
        found = ((path, source.resolve()) for path, source in self.sources.items() if path.startswith("cookbooks/"))
        return {path.split("/")[1] for path, source in found if source.is_relative_to(mine)}

    def data(self) -> dict[str, Any]:
        """The policy as JSON data."""
        return {
            "profile": self.profile,
            "digest": self.digest,
            "run_list": list(self.run_list),
            "recipes": list(self.recipes),
            "versions": self.versions,
            "layers": [{"name": layer.name, "digest": layer.digest} for layer in self.layers],
            "cookbooks": list(self.cookbooks),
            "attributes": self.attributes,
            "files": {path: files.digest(raw) for path, raw in sorted(self.contents.items())},
        }

    def layer(self, name: str) -> str:
        """The digest of a layer, "" when the policy has none of that name."""
        return next((layer.digest for layer in self.layers if layer.name == name), "")
