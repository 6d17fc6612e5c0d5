"""The lineage of images as a tree."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from infra.ui.console import console
from infra.ui.image_view import age, marks

if TYPE_CHECKING:
    from rich.text import Text
    from rich.tree import Tree

    from infra.image.lineage import Node
    from infra.image.world import World


def show(seen: World, roots: Sequence[Node]) -> None:
    """A tree for each image of Canonical's that something was baked on."""
    from rich.tree import Tree

    out = console()
    if not roots:
        out.print(f"[bold]{seen.cluster}[/]: no images yet. Next: infra image bake PROFILE")
    for root in roots:
        top = Tree(_foreign(root, _system(root)))
        for child in root.children:
            _grow(top, child, seen, {})
        out.print(top)


def _grow(above: Tree, node: Node, seen: World, layers: dict[str, str]) -> None:
    if node.image is None:
        branch = above.add(_foreign(node, ""))
        below: dict[str, str] = {}
    else:
        branch = above.add(_label(node, seen, layers))
        below = dict(node.image.layers)
    for child in node.children:
        _grow(branch, child, seen, below)


def _label(node: Node, seen: World, layers: dict[str, str]) -> Text:
    """``gpu 3f9a1c… research, 3 days: us-west-2 ami-… promoted; us-east-1 ami-…``."""
    from rich.text import Text

    assert node.image is not None
    image = node.image
    new = [name for name, digest in image.layers.items() if layers.get(name) != digest]
    text = Text(f"{image.profile} ", "bold").append(image.short, "cyan")
    text.append(f"  {' + '.join(new) if new else 'the same layers'}, {age(image.created)}")
    for copy in node.images:
        text.append(f"\n{copy.region} {copy.id}")
        said = marks(seen, copy)
        for number, (word, style) in enumerate(said):
            text.append(": " if number == 0 else ", ").append(word, style)
    return text


def _foreign(node: Node, system: str) -> Text:
    from rich.text import Text

    if node.base:
        return Text(f"Canonical {system} {node.id}".replace("  ", " ") if node.id else "of an unknown base", "bold")
    return Text(f"{node.id} (removed)", "dim")


def _system(node: Node) -> str:
    """The OS that a base holds, as what was baked on it says."""
    for child in node.children:
        if child.image is not None and (found := child.image.versions.get("os")):
            return found
        if found := _system(child):
            return found
    return ""
