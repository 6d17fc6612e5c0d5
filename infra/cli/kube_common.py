"""What the commands on a cluster's API share: their options, and the way to it."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from infra.kube.api import Api
    from infra.spec.load import Loaded
    from infra.spec.models import Kubernetes

F = TypeVar("F", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class Way:
    """``kubeconfig`` None is $KUBECONFIG or ~/.kube/config; ``context`` "" is the one named after the cluster."""

    kubeconfig: Path | None = None
    context: str = ""


def way_options(function: F) -> F:
    """``--kubeconfig`` and ``--context``: passed together as ``way``."""

    @click.option(
        "--kubeconfig",
        type=click.Path(path_type=Path),
        default=None,
        show_default="$KUBECONFIG, or ~/.kube/config",
        help="How the API is reached.",
    )
    @click.option("--context", default="", show_default="the cluster's name", help="Which of its contexts.")
    @functools.wraps(function)
    def wrapped(*args: Any, kubeconfig: Path | None, context: str, **rest: Any) -> Any:
        return function(*args, way=Way(kubeconfig, context), **rest)

    return wrapped  # type: ignore[return-value]


def reach(loaded: Loaded, way: Way) -> Api:
    """The cluster's API. Raises UsageError when no kubeconfig leads there."""
    from infra.errors import UsageError
    from infra.kube import api

    section(loaded)
    name = loaded.cluster.cluster
    if way.context or not known(way):
        return api.connect(way.kubeconfig, way.context)
    try:
        return api.connect(way.kubeconfig, name)
    except UsageError as error:
        there = contexts(way)
        if there is None or name in there:
            raise  # the file itself is wrong, or the context is
        raise UsageError(
            f"no context of your kubeconfig is called {name}",
            where=str(way.kubeconfig or os.environ.get("KUBECONFIG") or "~/.kube/config"),
            why=error.problems[0].why,
            fix="write it: infra kube config; or name another: --context NAME",
        ) from error


def section(loaded: Loaded) -> Kubernetes:
    """The file's ``kubernetes:``. Raises SpecError without one."""
    from infra.errors import SpecError

    found = loaded.cluster.kubernetes
    if found is None:
        raise SpecError(
            f"cluster {loaded.cluster.cluster!r} has no Kubernetes",
            where=str(loaded.path),
            why="there is no kubernetes: section",
            fix='add one: kubernetes: {version: "1.36"}, and aws: for its control plane, or machines of yours: '
            "kubernetes: {control_plane: {metal: [NAME]}}",
        )
    return found


def known(way: Way) -> bool:
    """There is a kubeconfig to look into; without one, we may be in a pod of the cluster."""
    return any(path.is_file() for path in _files(way))


def contexts(way: Way) -> set[str] | None:
    """The names of the contexts of all files in use; None when one cannot be read."""
    import yaml

    found: set[str] = set()
    for path in filter(Path.is_file, _files(way)):
        try:
            data = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
            found |= {str(item.get("name")) for item in data.get("contexts") or ()}
        except (OSError, ValueError, AttributeError, yaml.YAMLError):
            return None
    return found


def _files(way: Way) -> list[Path]:
    if way.kubeconfig is not None:
        return [way.kubeconfig.expanduser()]
    named = os.environ.get("KUBECONFIG") or "~/.kube/config"
    return [Path(item).expanduser() for item in named.split(os.pathsep) if item]
