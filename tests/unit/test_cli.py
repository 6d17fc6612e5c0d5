"""The command line as a whole: help, exit codes, errors, and what may be imported when."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys

import click
import pytest
from click.testing import CliRunner

from infra.cli.main import COMMANDS, root, run

HEAVY = ("boto3", "botocore", "rich", "pydantic", "yaml", "jinja2", "moto")


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys; from infra.cli.main import run; run(['--help']);"
        f"print([m for m in {HEAVY!r} if m in sys.modules], file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr.strip() == "[]"
    assert all(name in done.stdout for name in COMMANDS)


def _commands() -> list[tuple[str, click.Command]]:
    found: list[tuple[str, click.Command]] = []
    for name, (module, _) in COMMANDS.items():
        command = importlib.import_module(module).command
        found.append((name, command))
        if isinstance(command, click.Group):
            found += [(f"{name} {sub}", item) for sub, item in command.commands.items()]
    return found


@pytest.mark.parametrize(("name", "command"), _commands(), ids=lambda value: value if isinstance(value, str) else "")
def test_every_command_has_help_with_an_example_and_json(name: str, command: click.Command) -> None:
    text = CliRunner().invoke(root, [*name.split(), "--help"], prog_name="infra").output
    assert "Example" in text
    if not isinstance(command, click.Group) and name not in ("schema", "graph"):
        assert "--json" in text


@pytest.mark.parametrize(
    "arguments", [["nonsense"], ["plan", "--nonsense"], ["plan", "-f"], ["validate", "a", "b", "c"]]
)
def test_usage_errors_are_1_and_say_what_to_do(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(arguments) == 1
    assert "fix:" in capsys.readouterr().err


def test_a_typing_error_is_answered_with_the_nearest_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["aply"]) == 1
    assert "did you mean: infra apply" in capsys.readouterr().err


def test_errors_as_json_have_all_their_parts(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["plan", "--json", "-f", "/nonexistent/cluster.yaml"]) == 1
    problem = json.loads(capsys.readouterr().out)["error"]["problems"][0]
    assert set(problem) == {"level", "rule", "what", "where", "why", "fix"}
    assert problem["fix"]


def test_a_bare_group_shows_its_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert run([]) == 1
    assert capsys.readouterr().err.startswith("Usage: infra ")


def test_closed_streams_are_no_crash() -> None:
    done = subprocess.run(
        ["bash", "-c", f"exec {sys.executable} -m infra schema <&- >&-"], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("answer", [KeyboardInterrupt, click.Abort, BrokenPipeError])
def test_a_plan_that_was_not_agreed_to_is_forgotten(
    answer: type[BaseException], monkeypatch: pytest.MonkeyPatch
) -> None:
    from infra.cli import apply
    from infra.cloud import planning

    forgotten: list[object] = []

    def ask(*_: object) -> None:
        raise answer

    monkeypatch.setattr(planning, "forget", forgotten.append)
    monkeypatch.setattr(apply, "_ask", ask)
    with pytest.raises(answer):
        apply._agree("site", None, yes=False, lose_data=False, as_json=True)  # type: ignore[arg-type]
    assert forgotten == ["site"]
