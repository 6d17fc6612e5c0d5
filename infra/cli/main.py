"""The entry point. A command's module is imported only when that command runs, so that ``--help`` stays instant."""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from infra import __version__
from infra.cli.lazy import Lazy
from infra.errors import InfraError, Interrupted, UsageError

# name -> (module, one line of help). The group's help is printed from here without importing any of them.
COMMANDS: dict[str, tuple[str, str]] = {
    "init": ("infra.cli.init", "Write a commented cluster.yaml to start from."),
    "validate": ("infra.cli.validate", "Check cluster.yaml with every rule, before anything is spent."),
    "schema": ("infra.cli.schema", "Print the JSON Schema of cluster.yaml, for editors."),
    "graph": ("infra.cli.graph", "Draw what cluster.yaml describes, as SVG or HTML."),
    "policy": ("infra.cli.policy", "What a profile becomes: show, diff, build."),
    "doctor": ("infra.cli.doctor", "Check tools, versions, credentials and quotas."),
    "plan": ("infra.cli.plan", "Show what would happen and what it costs, and save it."),
    "apply": ("infra.cli.apply", "Do exactly what the saved plan says."),
    "status": ("infra.cli.status", "Show what exists, and its health."),
    "drift": ("infra.cli.drift", "Show what was changed behind our back."),
    "destroy": ("infra.cli.destroy", "Remove everything, after listing what holds data."),
    "log": ("infra.cli.log", "Show the record of every apply."),
    "unlock": ("infra.cli.unlock", "Show and release a lock that a dead run left behind."),
    "image": ("infra.cli.image", "Images of profiles: bake, list, compare, promote, revoke, prune."),
    "node": ("infra.cli.node", "Machines that run: list, exec, bootstrap, converge, verify."),
    "kube": ("infra.cli.kube", "The Kubernetes cluster: kubeconfig, nodes, manifests, upgrade."),
    "ssh": ("infra.cli.ssh", "Log in to a machine by its name."),
    "ssh-config": ("infra.cli.ssh_config", "Print an Include for ~/.ssh/config."),
    "inventory": ("infra.cli.inventory", "Print the machines for Ansible."),
    "autoscale": ("infra.cli.autoscale", "Size the pools by the work in Kubernetes; explain, simulate."),
    "local": ("infra.cli.local", "The embedded AWS: up, status, down."),
}

EXAMPLE = """
Examples:
  infra init --local          write a cluster.yaml for the embedded AWS
  infra plan                  see what would happen, and what it costs
  infra apply                 do it
"""


class Commands(Lazy):
    table = COMMANDS
    example = EXAMPLE
    program = "infra"


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="infra")
@click.option("--debug", is_flag=True, help="Log every external command to stderr.")
def root(debug: bool) -> None:
    """One file, one plan: GPU machines in the cloud and on the floor, all the same machine."""
    if debug:
        import logging

        logging.basicConfig(level=logging.DEBUG, format="%(asctime)s %(name)s %(message)s")
        for noisy in ("botocore", "urllib3", "boto3"):
            logging.getLogger(noisy).setLevel(logging.INFO)


def main(argv: Sequence[str] | None = None) -> None:
    """Run a command line and exit: 0 done, 2 only for a difference, 1 for every error. Never a traceback."""
    gc.set_threshold(50_000, 20, 20)  # imports make much and drop nothing: looking for rubbish is a tenth of a start
    arguments = list(sys.argv[1:] if argv is None else argv)
    _open_closed()
    sys.exit(run(arguments))


def _open_closed() -> None:
    """A standard stream that the caller closed is the null device: nothing else may get its number."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, Path(os.devnull).open(mode, encoding="utf-8"))  # noqa: SIM115


def run(arguments: list[str]) -> int:
    """The exit code of a command line; errors are printed (as JSON on stdout when ``--json`` was asked for)."""
    try:
        result: Any = root.main(args=arguments, prog_name="infra", standalone_mode=False)
    except InfraError as error:
        return _fail(error, arguments)
    except click.exceptions.Exit as stop:
        return stop.exit_code
    except click.Abort:
        return _fail(Interrupted("stopped by you", fix="run the same command again"), arguments)
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message(), err=True)
        return 1
    except click.ClickException as error:
        return _fail(_usage(error), arguments)
    except KeyboardInterrupt:
        return _fail(Interrupted("stopped by Ctrl-C", fix="run the same command again"), arguments)
    except BrokenPipeError:
        sys.stderr.close()
        return 1
    except OSError as error:
        return _fail(_os_error(error), arguments)
    except RecursionError:
        return _fail(InfraError("the input is nested too deeply", fix="make it flatter"), arguments)
    return result if isinstance(result, int) else 0


def _os_error(error: OSError) -> InfraError:
    """What no driver has put in words of its own yet: a full disk, a missing permission, too many open files."""
    from infra.files import explain

    return explain("use", error.filename or "the file system", error)


def _usage(error: click.ClickException) -> InfraError:
    context = getattr(error, "ctx", None)
    path = context.command_path if context is not None else "infra"
    return UsageError(error.format_message(), where="command line", fix=f"see {path} --help")


def _fail(error: InfraError, arguments: Sequence[str]) -> int:
    from infra.proc import SECRETS

    if "--json" in arguments:
        import json

        body = {"error": {"kind": error.kind, "problems": [problem.data() for problem in error.problems]}}
        click.echo(SECRETS.redact(json.dumps(body, indent=2, sort_keys=True, ensure_ascii=False)))
    else:
        click.echo(SECRETS.redact(error.text()), err=True)
    return error.exit_code
