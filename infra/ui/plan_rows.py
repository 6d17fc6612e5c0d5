"""Which rows a region's plan has, and in which order: what cannot be undone first, what goes, what changes, what
costs; small plumbing is folded to one row per part of cluster.yaml."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from infra.plan.model import Change
from infra.plan.words import kind, part

# Things that a person thinks of by name; everything else that only comes or goes is plumbing.
NOTABLE = {
    "aws_autoscaling_group",
    "aws_efs_file_system",
    "aws_instance",
    "aws_lb",
    "aws_nat_gateway",
    "aws_placement_group",
    "aws_s3_bucket",
    "aws_vpc",
}
NEW, UNWANTED = "new in cluster.yaml", "no longer wanted"
VERBS = {"create": "more", "delete": "more", "import": "adopted", "forget": "forgotten"}
KINDS_NAMED = 4
ORDER = {"replace": 1, "delete": 2, "update": 3}

Row = tuple[Change, ...]


def rows(changes: Sequence[Change], details: bool = False) -> list[Row]:
    """The changes of each row. With ``details`` every change has its own."""
    groups: dict[tuple[str, ...], list[Change]] = {}
    for index, change in enumerate(changes):
        own = details or change.irreversible or change.action in ("update", "replace", "read")
        key: tuple[str, ...] = (str(index),)
        if not own and change.type in NOTABLE:
            key = (part(change.address), change.action, change.type, change.about, *change.reasons)
        elif not own:
            key = (part(change.address), change.action, *_special(change))
        groups.setdefault(key, []).append(change)
    found = [tuple(group) for group in groups.values()]
    costs: dict[str, float] = {}
    for change in changes:
        name = part(change.address)
        costs[name] = costs.get(name, 0.0) + max(change.before.known, change.after.known)
    return sorted(found, key=lambda row: (_rank(row), -costs[part(row[0].address)], part(row[0].address), _name(row)))


def _special(change: Change) -> tuple[str, ...]:
    """Reasons that keep a change out of the row of the usual ones."""
    return tuple(reason for reason in change.reasons if reason not in (NEW, UNWANTED) and change.action == "create")


def _rank(row: Row) -> int:
    first = row[0]
    if first.irreversible:
        return 0
    if first.action in ORDER:
        rank = ORDER[first.action]
        return rank if first.type in NOTABLE or rank != 2 else 6
    return 4 if first.type in NOTABLE else 5


def _name(row: Row) -> str:
    return kind(row[0].type) + row[0].address


def label(row: Row) -> str:
    """What the row is of: one thing, equal things, or the small things of a part."""
    first = row[0]
    if len(row) == 1:
        return first.title or first.address
    if len({change.type for change in row}) == 1:
        return f"{part(first.address)}: {len(row)} × {kind(first.type)}"
    return f"{part(first.address)}: {len(row)} {VERBS.get(first.action, 'more')}"


def why(row: Row, destroy: bool = False) -> str:
    """Why, and what the thing is. That everything of a destroy is unwanted is not said of each."""
    first = row[0]
    if len({change.type for change in row}) > 1:
        return _kinds(row)
    reasons = [text for text in first.reasons if text != NEW and not (destroy and text == UNWANTED)]
    if len(row) > 1 and first.action == "import":
        reasons = ["adopted: they exist already"]
    said = [f"IRREVERSIBLE: {first.irreversible}"] if first.irreversible else []
    said += reasons
    if first.about and first.action in ("create", "delete", "import") and len({one.about for one in row}) == 1:
        said.append(first.about)
    return "; ".join(said)


def _kinds(row: Row) -> str:
    """``6 × subnet, 4 × route table, VPC endpoint and 3 more``."""
    counts = Counter(kind(change.type) for change in row).most_common()
    named = [name if count == 1 else f"{count} × {name}" for name, count in counts[:KINDS_NAMED]]
    rest = sum(count for _, count in counts[KINDS_NAMED:])
    special = _special(row[0])
    return "; ".join([*special, ", ".join(named) + (f" and {rest} more" if rest else "")])
