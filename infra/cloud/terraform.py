"""The driver of Terraform: the only module that knows its command line and the shape of what it prints.

``python-terraform`` builds the command lines; it cannot stream ``-json`` nor be cancelled, so they run in the common
runner. Each method raises an InfraError with Terraform's own diagnostics in it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from infra import proc
from infra.cloud.engine import Engine
from infra.errors import InfraError, Interrupted, ToolFailed

Event = dict[str, Any]
EventSink = Callable[[Event], None]

INIT_DEADLINE = 15 * 60.0
PLAN_DEADLINE = 30 * 60.0
APPLY_DEADLINE = 3 * 3600.0
SHOW_DEADLINE = 5 * 60.0
LOCK_TIMEOUT = "0s"  # a held lock is reported at once, with its owner; waiting is the user's choice


@dataclass(slots=True)
class Outcome:
    """What a streamed command said: its exit code, its events in order, and the diagnostics among them."""

    code: int
    events: list[Event] = field(default_factory=list)

    @property
    def errors(self) -> list[dict[str, Any]]:
        return [
            event["diagnostic"]
            for event in self.events
            if event.get("type") == "diagnostic" and event["diagnostic"].get("severity") == "error"
        ]

    @property
    def changes(self) -> list[Event]:
        return [event["change"] for event in self.events if event.get("type") == "planned_change"]

    @property
    def drift(self) -> list[Event]:
        return [event["change"] for event in self.events if event.get("type") == "resource_drift"]

    @property
    def summary(self) -> dict[str, Any]:
        """The last change_summary: ``add``, ``change``, ``remove``, ``import``."""
        found = [event["changes"] for event in self.events if event.get("type") == "change_summary"]
        return dict(found[-1]) if found else {}


@dataclass(slots=True)
class Terraform:
    """One work folder, driven by one engine. ``env`` is the whole environment that Terraform sees."""

    engine: Engine
    folder: Path
    env: Mapping[str, str]
    cancel: proc.Cancel | None = None

    def init(self, upgrade: bool = False) -> None:
        """Install the provider and modules; the state's backend is opened, never migrated."""
        self._plain("init", INIT_DEADLINE, input=False, no_color=True, reconfigure=True, upgrade=upgrade or None)

    def validate(self) -> None:
        done = proc.run(
            self._argv("validate", json=True), deadline=SHOW_DEADLINE, cwd=self.folder, env=self.env, check=False
        )
        if done.code != 0:
            found = json.loads(done.out).get("diagnostics", [])
            raise self._failure("validate", [item for item in found if item.get("severity") == "error"], done.tail())

    def plan(
        self,
        out: Path,
        on_event: EventSink | None = None,
        *,
        targets: Sequence[str] = (),
        destroy: bool = False,
        refresh_only: bool = False,
        lock: bool = True,
    ) -> Outcome:
        """Make a plan and save it at ``out``. ``lock=False`` only for looking."""
        options: dict[str, Any] = {
            "json": True,
            "input": False,
            "out": str(out),
            "target": list(targets) or None,
            "destroy": destroy or None,
            "refresh_only": refresh_only or None,
            "lock": None if lock else "false",
            "lock_timeout": LOCK_TIMEOUT,
        }
        return self._stream("plan", PLAN_DEADLINE, on_event, **options)

    def apply(self, plan: Path, on_event: EventSink | None = None) -> Outcome:
        """Apply exactly that saved plan. When we are killed Terraform goes on to its end and records what it made."""
        options = {"json": True, "input": False, "lock_timeout": LOCK_TIMEOUT}
        return self._stream("apply", APPLY_DEADLINE, on_event, str(plan), outlive=self.folder / "apply", **options)

    def show(self, plan: Path | None = None) -> dict[str, Any]:
        """A saved plan, or the current state, as Terraform's documented JSON."""
        argv = self._argv("show", *([str(plan)] if plan else []), json=True)
        done = proc.run(argv, deadline=SHOW_DEADLINE, cwd=self.folder, env=self.env, cancel=self.cancel, check=False)
        if done.code != 0:
            raise self._failure("show", [], done.tail())
        data = json.loads(done.out)
        assert isinstance(data, dict)
        return data

    def state(self) -> dict[str, Any]:
        """The raw state, from wherever it is; {} when there is none yet."""
        done = proc.run(
            self._argv("state pull"),
            deadline=SHOW_DEADLINE,
            cwd=self.folder,
            env=self.env,
            cancel=self.cancel,
            check=False,
        )
        if done.code != 0:
            raise self._failure("state pull", [], done.tail())
        return dict(json.loads(done.out)) if done.out.strip() else {}

    def forget(self, addresses: Sequence[str]) -> None:
        """Drop addresses from the state without touching what they stand for."""
        self._plain("state rm", SHOW_DEADLINE, *addresses)

    def push(self, state: str) -> None:
        """Put a state file of the folder where the state belongs. Terraform refuses one that is older."""
        self._plain("state push", SHOW_DEADLINE, state)

    def unlock(self, lock_id: str) -> None:
        self._plain("force-unlock", SHOW_DEADLINE, lock_id, force=True)

    def _argv(self, command: str, *args: str, **options: Any) -> list[str]:
        from python_terraform import IsFlagged
        from python_terraform import Terraform as CommandLine

        given = {key: IsFlagged if value is True else value for key, value in options.items() if value is not None}
        words = CommandLine(terraform_bin_path=self.engine.argv[0]).generate_cmd_string(command, *args, **given)
        return [*self.engine.argv, *words[1:]]

    def _plain(self, command: str, deadline: float, *args: str, **options: Any) -> proc.Completed:
        argv = self._argv(command, *args, **options)
        done = proc.run(argv, deadline=deadline, cwd=self.folder, env=self.env, cancel=self.cancel, check=False)
        if done.code != 0:
            raise self._failure(command, [], done.tail(30))
        return done

    def _stream(
        self,
        command: str,
        deadline: float,
        on_event: EventSink | None,
        *args: str,
        outlive: Path | None = None,
        **options: Any,
    ) -> Outcome:
        outcome = Outcome(0)

        def line(text: str) -> None:
            event = _event(text)
            outcome.events.append(event)
            if on_event is not None:
                on_event(event)

        argv = self._argv(command, *args, **options)
        try:
            done = proc.run(
                argv,
                deadline=deadline,
                cwd=self.folder,
                env=self.env,
                on_line=line,
                cancel=self.cancel,
                check=False,
                outlive=outlive,
            )
        except Interrupted as stop:
            raise Interrupted(
                f"terraform {command} was interrupted in {self.folder.name}",
                where=str(self.folder),
                why="Ctrl-C; what was in hand was finished and recorded in the state",
                fix="run the same command again: it goes on where it stopped",
            ) from stop
        outcome.code = done.code
        if done.code != 0:
            raise self._failure(command, outcome.errors, done.tail())
        return outcome

    def _failure(self, command: str, errors: list[dict[str, Any]], tail: str) -> InfraError:
        from infra.cloud.refusals.diagnose import explain

        known = explain(errors or tail, where=str(self.folder), profile=self.env.get("AWS_PROFILE", ""))
        if known is not None:
            return known
        return ToolFailed(
            f"terraform {command} failed in {self.folder.name}",
            where=_where(errors, self.folder),
            why="\n       ".join(_sentence(item) for item in errors) or tail,
            fix="mend what it names, then run the same command again",
        )


def _event(text: str) -> Event:
    """One line of the stream; what is not JSON (a provider's stray print) is kept as a log event."""
    try:
        data = json.loads(text)
    except ValueError:
        data = None
    return data if isinstance(data, dict) else {"type": "log", "@message": text}


def _sentence(item: dict[str, Any]) -> str:
    parts = [item.get("address", ""), item.get("summary", ""), item.get("detail", "")]
    return ": ".join(part for part in parts if part)


def _where(errors: list[dict[str, Any]], folder: Path) -> str:
    for item in errors:
        if item.get("address"):
            return str(item["address"])
        if spot := item.get("range"):
            return f"{folder / spot['filename']}:{spot['start']['line']}"
    return str(folder)
