"""The driver of Packer: the only module that starts it and knows its command line.

``packer-py`` knows Packer's commands and their arguments, but cannot stream, be cancelled or given a deadline; so it
puts the command lines together, and the common runner runs them.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from infra import proc
from infra.errors import ToolFailed, ToolMissing
from infra.image.events import Event, Sink, Story, parse

if TYPE_CHECKING:
    from collections.abc import Callable

OLDEST = (1, 6, 0)
OVERRIDE = "INFRA_PACKER"
LOG = "packer.log"
LOOK_DEADLINE = 60.0
INIT_DEADLINE = 10 * 60.0
BUILD_DEADLINE = 4 * 3600.0
FIX = "install it: apt install packer, or a newer one from https://developer.hashicorp.com/packer/install"

Version = tuple[int, int, int]


@dataclass(slots=True)
class Packer:
    """One executable and one environment."""

    path: str
    version: Version
    env: Mapping[str, str]
    cancel: proc.Cancel | None = None

    @property
    def words(self) -> str:
        return ".".join(map(str, self.version))

    @property
    def plugins(self) -> bool:
        """Whether builders are plugins that ``packer init`` installs."""
        return self.version >= (1, 7, 0)

    def init(self, folder: Path) -> None:
        """Install the plugins that the template asks for; nothing to do before 1.7."""
        if self.plugins:
            done = self._run(_argv(self.path, "init", "."), folder, INIT_DEADLINE)
            if done.code != 0:
                raise ToolFailed(
                    "packer init could not install the Amazon plugin",
                    where=str(folder),
                    why=_said(done),
                    fix="give packer a way to its plugins (network, proxy), or install it by hand: "
                    "packer plugins install github.com/hashicorp/amazon",
                )

    def validate(self, folder: Path, values: str) -> None:
        """Raise ToolFailed when the rendered template is not what this Packer takes."""
        done = self._run(_argv(self.path, "validate", ".", var_file=values), folder, LOOK_DEADLINE)
        if done.code != 0:
            raise ToolFailed(
                "packer refuses the template",
                where=str(folder),
                why=_said(done),
                fix="if you changed what is in packer/, mend it; else another Packer may help (1.6.6 and current work)",
            )

    def build(self, folder: Path, values: str, sink: Sink | None, deadline: float = BUILD_DEADLINE) -> Story:
        """Build, and tell it. ``story.image`` is "" when there is none; then ``story`` says why. All that was said is
        in the folder's ``packer.log``.

        Raises Interrupted after Ctrl-C, when Packer has cleaned up, and ToolTimeout past the deadline, when it may
        not have: either way a sweep belongs after it.
        """
        story = Story()

        def line(text: str) -> None:
            event = parse(text)
            if words := _words(event):
                log.write(words + "\n")
            story.hear(event, sink)

        argv = _argv(self.path, "build", ".", var_file=values, color="false", on_error="cleanup")
        with (folder / LOG).open("w", encoding="utf-8") as log:
            done = self._run(argv, folder, deadline, line)
        if done.code != 0:
            story.image = ""
            story.errors += [text for text in done.err.splitlines() if text.strip()]
        return story

    def _run(
        self, argv: list[str], folder: Path, deadline: float, on_line: Callable[[str], None] | None = None
    ) -> proc.Completed:
        return proc.run(
            argv, deadline=deadline, cwd=folder, env=self.env, on_line=on_line, cancel=self.cancel, check=False
        )


def find(env: Mapping[str, str], cancel: proc.Cancel | None = None) -> Packer:
    """Packer on PATH, or the one that ``INFRA_PACKER`` names. Raises ToolMissing: not there, too old, no Packer."""
    named = os.environ.get(OVERRIDE, "")
    path = shutil.which(named or "packer")
    if path is None:
        raise ToolMissing(
            "packer is not there", where=named or "PATH", why="it is what makes images", fix=f"{FIX}; then try again"
        )
    own = {**env, "CHECKPOINT_DISABLE": "1", "PACKER_NO_COLOR": "1"}
    own.pop("PACKER_LOG", None)
    done = proc.run(_argv(path, "version"), deadline=LOOK_DEADLINE, env=own, check=False)
    version = read_version(done.out)
    if version is None:
        raise ToolMissing(
            f"{path} is not HashiCorp's packer",
            where=path,
            why=done.tail(2) or "it does not say its version",
            fix=f"{FIX}, and name it: {OVERRIDE}=/path/to/packer",
        )
    if version < OLDEST:
        raise ToolMissing(
            f"packer {'.'.join(map(str, version))} is too old",
            where=path,
            why=f"its templates are not yet in HCL; {'.'.join(map(str, OLDEST))} or newer is needed",
            fix=FIX,
        )
    return Packer(path, version, own, cancel)


def read_version(text: str) -> Version | None:
    """From ``packer version``, plain or machine-readable."""
    events = [parse(line) for line in text.splitlines()]
    said = next((event.data[0] for event in events if event.kind == "version" and event.data), text)
    found = re.search(r"(?:^|Packer )v?(\d+)\.(\d+)\.(\d+)", said.strip())
    return (int(found[1]), int(found[2]), int(found[3])) if found else None


def _argv(path: str, command: str, template: str | None = None, **options: Any) -> list[str]:
    """The command line as packer-py writes it."""
    from packerpy import PackerExecutable

    class Words(PackerExecutable):  # type: ignore[misc]
        def execute_cmd(self, packer_cmd: str, template: str | None = None, **given: Any) -> list[str]:
            words = [path, packer_cmd, "-machine-readable", *self._explode_args(**given)]
            return [*words, template] if template else words

    line = Words(path)
    known = {"build": line.build, "validate": line.validate}
    if command in known:
        return list(known[command](template, **options))
    if command == "version":
        return list(line.version())
    return list(line.execute_cmd(command, template, **options))


def _said(done: proc.Completed) -> str:
    """The words of a failure: the ``ui`` lines, or what is on stderr."""
    lines = [_words(parse(line)) for line in done.out.splitlines()]
    return "\n".join(filter(None, lines)) or done.tail()


def _words(event: Event) -> str:
    return "\n".join(event.data[1:]) if event.kind == "ui" else "\n".join(event.data) if event.kind == "text" else ""
