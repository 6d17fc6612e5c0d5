"""Images as a person reads them: the list with its regions side by side, one in full, what differs, what may go."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from infra.plan.words import many
from infra.ui.console import console

if TYPE_CHECKING:
    from rich.text import Text

    from infra.image.compare import Comparison, Move, PackageMove, Side
    from infra.image.ledger import Image
    from infra.image.promotion import Promotion
    from infra.image.prune import Selection, Verdict
    from infra.image.world import World

MOST = 25  # packages that are named unless all are asked for
COLOURS = {"added": "green", "removed": "red", "changed": "yellow"}
SIGNS = {"added": "+", "removed": "-", "changed": "~"}


def listing(seen: World) -> None:
    """A row a bake, a column a region."""
    from rich.table import Table

    from infra.image import lineage

    out = console()
    if not seen.images:
        out.print(f"[bold]{seen.cluster}[/]: no images yet. Next: infra image bake PROFILE")
    else:
        table = Table(title=f"{seen.cluster}: images", title_justify="left", title_style="bold", box=None)
        for name in ("profile", "digest", "age", "size", *seen.regions):
            table.add_column(name, overflow="fold", no_wrap=name in ("digest", "age"))
        bakes = [*reversed(lineage.group(seen.images, seen.regions).values())]
        before = ""
        for copies in sorted(bakes, key=lambda item: item[0].profile):
            first = copies[0]
            name = first.profile if first.profile != before else ""
            before = first.profile
            cells = [_cell(seen, [copy for copy in copies if copy.region == region]) for region in seen.regions]
            table.add_row(name, first.short, age(first.created), f"{first.size} GB", *cells)
        out.print(table)
    for pointer in seen.pointers.values():
        there = {image.id for image in seen.images if image.region == pointer.region}
        if pointer.damage or pointer.image not in there:
            what = pointer.damage or f"{pointer.image} is not there any more"
            out.print(f"{pointer.region}: the pointer of {pointer.profile}: {what}", style="red", markup=False)
            out.print(f"  fix: infra image promote {pointer.profile} --region {pointer.region}", markup=False)


def _cell(seen: World, copies: Sequence[Image]) -> Text:
    from rich.text import Text

    found = Text()
    for number, image in enumerate(copies):
        found.append("\n" if number else "").append(image.id)
        for text, style in marks(seen, image):
            found.append("\n  ").append(text, style)
    return found


def marks(seen: World, image: Image) -> list[tuple[str, str]]:
    """What is to be said of an image beside its id, each with a style."""
    from infra.image.choose import unusable

    promoted = seen.promoted(image)
    found = [(promoted, "yellow" if promoted == "pinned" else "green")] if promoted else []
    if why := unusable(image):
        found.append((why.removeprefix("is "), "red"))
    if image.smoke == "rehearsed":
        found.append(("rehearsed: nothing was converged", "yellow"))
    found += [(use.text, "") for use in seen.uses_of(image)]
    if image.shared:
        found.append((f"shared with {', '.join(image.shared_with)}", ""))
    return found


def one(seen: World, image: Image, side: Side, changes: Comparison | None, packages: bool) -> None:
    """Everything that is known of one image."""
    from rich.markup import escape

    from infra.image import lineage

    out = console()
    out.print(f"[bold]{image.id}[/] {escape(image.name)}, {image.region}")
    above = image.parent or f"none, on Canonical's {image.base}"
    copies = [f"{copy.region} {copy.id}" for copy in seen.copies(image) if copy.id != image.id]
    facts = {
        "profile": image.profile,
        "digest": image.digest,
        "made": f"{image.created} by {image.who}, {age(image.created)} ago",
        "smoke test": image.smoke or "none passed",
        "versions": ", ".join(f"{name} {version}" for name, version in image.versions.items()),
        "layers": ", ".join(f"{name} {digest[:12]}" for name, digest in image.layers.items()),
        "machine": f"{image.architecture}, {image.size} GB, {many(len(image.snapshots), 'snapshot')}",
        "parent": above,
        "copies": ", ".join(copies),
        "children": ", ".join(child.id for child in lineage.children(image, seen.images)),
        "packages": _counted(side),
        "SBOM": image.sbom or "none",
        "state": "; ".join(text for text, _ in marks(seen, image)) or "not in use",
    }
    for name, value in facts.items():
        if value:
            out.print(f"  {name:12}{value}", markup=False, soft_wrap=True)
    if packages and side.packages:
        for package in side.packages:
            out.print(f"    {package.where}: {package.name} {package.version}", markup=False)
    if changes is not None:
        out.print(f"\n[bold]changed from {changes.before.id}[/]")
        _changes(changes, packages)


def _counted(side: Side) -> str:
    if side.packages is None:
        return "not known"
    counts: dict[str, int] = {}
    for package in side.packages:
        counts[package.where] = counts.get(package.where, 0) + 1
    return f"{len(side.packages)} ({', '.join(f'{count} {where}' for where, count in sorted(counts.items()))})"


def comparison(found: Comparison, packages: bool) -> None:
    before, after = found.before, found.after
    head = f"{before.profile} {before.short} ({before.id}) → {after.profile} {after.short} ({after.id})"
    console().print(head, style="bold", markup=False)
    _changes(found, packages)


def _changes(found: Comparison, packages: bool) -> None:
    out = console()
    for name, moved in (("versions", found.versions), ("layers", found.layers), ("attributes", found.attributes)):
        if moved:
            out.print(f"[bold]{name}[/]")
        for move in moved:
            _line(move, move.name, short=name == "layers")
    if found.packages:
        counts = [(action, sum(move.action == action for move in found.packages)) for action in SIGNS]
        said = ", ".join(f"{count} {action}" for action, count in counts if count)
        out.print(f"[bold]packages[/]: {said}")
    _packages(found.packages, packages)
    for note in found.notes:
        out.print(f"note: {note}", style="yellow", markup=False)
    if found.empty:
        out.print("no difference" if not found.notes else "no difference in what could be compared")


def _packages(moved: Sequence[PackageMove], every: bool) -> None:
    shown = moved if every else moved[:MOST]
    for move in shown:
        _line(move, f"{move.where}: {move.name}")
    if len(shown) < len(moved):
        console().print(f"  and {len(moved) - len(shown)} more: --packages names all", markup=False)


def _line(move: Move, name: str, short: bool = False) -> None:
    before, after = (text[:12] if short else text for text in (move.before, move.after))
    values = {"added": after, "removed": before, "changed": f"{before} → {after}"}[move.action]
    console().print(f"  {SIGNS[move.action]} {name} {values}", style=COLOURS[move.action], markup=False)


def promoted(profile: str, found: Sequence[Promotion], notes: Iterable[str]) -> None:
    out = console()
    for item in found:
        was = item.before.image if item.before and item.before.image else "none"
        pinned = ", pinned: plans keep it" if item.after.pinned else ""
        said = f"{item.image.id} already" if item.same else f"{was} → {item.image.id}"
        out.print(f"{item.after.region}  {profile}: {said} ({item.image.short}{pinned})", markup=False)
    for note in notes:
        out.print(f"note: {note}", style="yellow", markup=False)
    if any(item.after.pinned for item in found):
        out.print(f"Back to what the file says: infra image promote {profile}", markup=False)
    if any(not item.same for item in found):
        out.print("Next: infra plan")


def selection(cluster: str, chosen: Selection, loose: Sequence[tuple[str, str]]) -> None:
    """What stays with the reason, then what would go."""
    out = console()
    if not chosen.verdicts and not loose:
        out.print(f"[bold]{cluster}[/]: no images")
        return
    _verdicts("stays", chosen.kept, "bold green")
    _verdicts("goes", chosen.removed, "bold red")
    for region, ident in loose:
        out.print(f"  {region}  {ident}  a snapshot that no image uses, left by an interrupted prune", markup=False)
    if not chosen.removed and not loose:
        out.print(f"[bold]{cluster}[/]: nothing to remove")


def _verdicts(title: str, found: Sequence[Verdict], style: str) -> None:
    from rich.table import Table
    from rich.text import Text

    if not found:
        return
    table = Table(title=title, title_justify="left", title_style=style, box=None)
    for name in ("region", "profile", "image", "digest", "age", "size", "why"):
        table.add_column(name, overflow="fold")
    for verdict in found:
        image = verdict.image
        table.add_row(
            image.region,
            image.profile,
            image.id,
            image.short,
            age(image.created),
            f"{image.size} GB",
            Text(verdict.reason),
        )
    console().print(table)


def age(created: str) -> str:
    """``5 min``, ``3 h``, ``12 days``; ``?`` when it is not known."""
    try:
        born = datetime.fromisoformat(created.replace("Z", "+00:00"))
    except ValueError:
        return "?"
    seconds = (datetime.now(UTC) - (born if born.tzinfo else born.replace(tzinfo=UTC))).total_seconds()
    for size, unit in ((86_400, "days"), (3_600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{max(seconds, 0):.0f} s"
