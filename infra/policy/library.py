"""Where cookbooks and roles come from: the lab's own ``chef/`` beside cluster.yaml first, then what ships."""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from infra import assets
from infra.errors import Problem

# What Chef loads of a cookbook. Everything else (tests, README, settings of tools) changes no machine.
FOLDERS = (
    "attributes",
    "compliance",
    "definitions",
    "files",
    "libraries",
    "ohai",
    "providers",
    "recipes",
    "resources",
    "templates",
)
TOP = ("metadata.rb", "metadata.json", "recipe.rb", "attributes.rb")
LITTER = re.compile(r".*~|#.*#|\.#.*|\..*\.sw[a-p]|.*\.(orig|rej|bak|pyc)|\.DS_Store|\.git(keep|ignore)|__pycache__")


@dataclass(frozen=True)
class Library:
    """``chef`` folders, the first first."""

    roots: tuple[Path, ...]

    @classmethod
    def of(cls, site: Path | None) -> Library:
        """Those of a lab. Raises AssetError when what ships is not there."""
        shipped = assets.root("chef")
        own = site / "chef" if site is not None else None
        if own is None or not own.is_dir() or own.resolve() == shipped.resolve():
            return cls((shipped,))
        return cls((own, shipped))

    def find(self, kind: str, name: str) -> Path | None:
        """The folder of a cookbook, or the file of a role (``kind`` cookbooks or roles)."""
        for root in self.roots:
            path = root / kind / name
            if path.exists():
                return path
        return None

    def names(self, kind: str) -> list[str]:
        found = set()
        for root in self.roots:
            folder = root / kind
            for path in folder.iterdir() if folder.is_dir() else ():
                if not path.name.startswith("."):
                    found.add(path.name.removesuffix(".json"))
        return sorted(found)

    def programs(self) -> dict[str, Path]:
        """``bin/`` as it ships; a lab has none of its own."""
        folder = self.roots[-1] / "bin"
        return {f"bin/{path.name}": path for path in files_in(folder, [])} if folder.is_dir() else {}

    def suggestion(self, kind: str, name: str) -> str:
        """The fix for a name that is not there."""
        known = self.names(kind)
        close = difflib.get_close_matches(name, known, n=1)
        if close:
            return f"did you mean: {close[0]}"
        place = f"chef/{kind}/{name}{'.json' if kind == 'roles' else ''} beside cluster.yaml"
        return f"there are: {', '.join(known) or 'none'}; one of your own goes into {place}"


def files_in(folder: Path, problems: list[Problem]) -> Iterator[Path]:
    """Every file below a folder, sorted by name. A link to a file counts as that file; other links are problems."""
    for entry in sorted(os.scandir(folder), key=lambda item: item.name):
        path = Path(entry.path)
        if LITTER.fullmatch(entry.name):
            continue
        if entry.is_dir(follow_symlinks=False):
            yield from files_in(path, problems)
        elif entry.is_file():
            yield path
        else:
            problems.append(
                Problem(
                    f"{entry.name} is neither a file nor a folder",
                    where=str(path),
                    why="a link to a folder, or to nothing" if entry.is_symlink() else "a socket or a device",
                    fix="put the files themselves there",
                    rule="PolicyError",
                )
            )


@dataclass
class Found:
    """What is collected while a run-list is followed: files by their path in the archive, and all problems."""

    files: dict[str, bytes] = field(default_factory=dict)
    sources: dict[str, Path] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)

    def wrong(self, what: str, where: str, why: str = "", fix: str = "") -> None:
        problem = Problem(what, where=where, why=why, fix=fix, rule="PolicyError")
        if problem not in self.problems:
            self.problems.append(problem)

    def read(self, path: str, source: Path) -> str | None:
        """Take a file in; its text when it is UTF-8. A file that cannot be read is a problem."""
        try:
            raw = source.read_bytes()
        except OSError as error:
            self.wrong(f"cannot read {source.name}", str(source), error.strerror or str(error), "give permission to it")
            return None
        self.files[path] = raw
        self.sources[path] = source
        try:
            return raw.decode()
        except UnicodeDecodeError:
            return None


def line(text: str, needle: str) -> int:
    """The first line (from 1) that holds the text; 1 when none does."""
    place = text.find(needle)
    return text.count("\n", 0, place) + 1 if place >= 0 else 1


def plainly(*loc: str | int) -> str:
    """Where something is in cluster.yaml when its lines are not known."""
    return ".".join(map(str, loc))
