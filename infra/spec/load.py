"""``cluster.yaml`` → :class:`Loaded`, or a SpecError that holds every problem at once."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError

from infra.errors import Problem, SpecError, UsageError
from infra.files import digest
from infra.spec.document import Document, parse_document, read_document
from infra.spec.explain import SourceMap, explain
from infra.spec.models import LOCAL, Cluster

T = TypeVar("T")


@dataclass(frozen=True)
class Loaded:
    """One valid file. ``digest`` is of what the file means: comments and spelling do not change it."""

    cluster: Cluster
    document: Document
    digest: str
    _made: dict[str, Any] = field(default_factory=dict, init=False, repr=False, compare=False)
    _turn: threading.RLock = field(default_factory=threading.RLock, init=False, repr=False, compare=False)

    @property
    def path(self) -> Path:
        return self.document.path

    @property
    def text(self) -> str:
        return self.document.text

    def where(self, *loc: str | int) -> str:
        """``cluster.yaml:17`` for a path in the cluster, such as ``("pools", "gpu", "size")``."""
        return self.document.where(*self._places.loc(loc))

    def once(self, name: str, make: Callable[[], T]) -> T:
        """What ``make`` gives, made once for this file however many ask for it by that ``name``, and from any thread.

        So what a command shows of a policy is what it then carries out. What ``make`` raises is not kept.
        """
        with self._turn:
            if name not in self._made:
                self._made[name] = make()
            found: T = self._made[name]
            return found

    @cached_property
    def _places(self) -> SourceMap:
        return SourceMap(self.document.tree)


def load(path: Path, endpoint: str | None = None, text: str | None = None) -> Loaded:
    """The cluster in a file; ``endpoint`` ('local' or a URL) takes the place of ``aws.endpoint`` if there is ``aws``.

    ``text``, when given, is read instead of the file: ``path`` then only says where it belongs. Raises SpecError with
    all problems of form at once; whether values fit each other is for :func:`read`.
    """
    document = read_document(path) if text is None else parse_document(text.encode(), path)
    return _typed(document, _checked(endpoint))


def read(path: Path, endpoint: str | None = None, text: str | None = None) -> tuple[Loaded, list[Problem]]:
    """The cluster, and the warnings of every rule. Raises SpecError with all problems of level error."""
    from infra.spec.rules import check

    loaded = load(path, endpoint, text)
    problems = check(loaded)
    errors = [problem for problem in problems if problem.level == "error"]
    if errors:
        raise SpecError(errors[0].what, problems=errors)
    return loaded, problems


def _checked(endpoint: str | None) -> str | None:
    if endpoint and "@" in endpoint:
        raise UsageError(
            "the endpoint holds a user or a password",
            where="--endpoint or INFRA_AWS_ENDPOINT",
            why="it would be written into the Terraform project, its plan and its log",
            fix="leave it out of the URL; credentials go into the environment or ~/.aws/credentials",
        )
    if endpoint is None or endpoint == LOCAL or re.match(r"^https?://[^\s/]+", endpoint):
        return endpoint
    raise UsageError(
        f"the endpoint {endpoint[:60]!r} is neither 'local' nor a URL",
        where="--endpoint or INFRA_AWS_ENDPOINT",
        fix="write: --endpoint local, or --endpoint http://127.0.0.1:5000",
    )


def _typed(document: Document, endpoint: str | None) -> Loaded:
    tree: dict[str, Any] = document.tree
    if endpoint is not None and isinstance(tree.get("aws"), dict):
        tree = {**tree, "aws": {**tree["aws"], "endpoint": endpoint}}
    problems = list(document.problems)
    try:
        cluster = Cluster.model_validate(tree)
    except ValidationError as error:
        problems += explain(error, document)
    if problems:
        ordered = sorted(problems, key=lambda problem: int(problem.where.rpartition(":")[2] or 0))
        raise SpecError(ordered[0].what, problems=ordered)
    return Loaded(cluster, document, digest(cluster.model_dump(mode="json")))
