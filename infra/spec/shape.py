"""What the models expect at a path: for messages that name neighbours, choices and a good example."""

from __future__ import annotations

import types
from collections.abc import Iterator
from functools import lru_cache
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel

from infra.spec.models import Cluster

Loc = tuple[str | int, ...]


def bare(annotation: Any) -> Any:
    """The type without Annotated and without ``| None``."""
    while True:
        origin = get_origin(annotation)
        if origin is Annotated:
            annotation = get_args(annotation)[0]
        elif origin in (Union, types.UnionType):
            annotation = next(item for item in get_args(annotation) if item is not type(None))
        else:
            return annotation


def model_of(annotation: Any) -> type[BaseModel] | None:
    kind = bare(annotation)
    return kind if isinstance(kind, type) and issubclass(kind, BaseModel) else None


def entry_of(annotation: Any) -> type[BaseModel] | None:
    """The model of the values of a ``dict[name, Model]``."""
    kind = bare(annotation)
    return model_of(get_args(kind)[1]) if get_origin(kind) is dict else None


def type_at(loc: Loc) -> Any:
    """The bare type expected at ``loc``; None where anything goes."""
    kind: Any = Cluster
    for part in loc:
        origin = get_origin(kind)
        if origin is list:
            kind = bare(get_args(kind)[0])
        elif origin is dict:
            kind = bare(get_args(kind)[1])
        elif model_of(kind) and part in kind.model_fields:
            kind = bare(kind.model_fields[part].annotation)
        else:
            return None
    return kind


def choices_at(loc: Loc) -> tuple[Any, ...]:
    """The choices of a Literal at ``loc``; empty for anything else."""
    kind = type_at(loc)
    return get_args(kind) if kind is not None and "Literal" in str(get_origin(kind)) else ()


@lru_cache(maxsize=1)
def homes() -> dict[str, tuple[str, ...]]:
    """Field name -> where it may stand, as texts such as ``pools.<name>.size``; nearest to the top first."""
    found: dict[str, list[str]] = {}
    for name, path in sorted(_walk(Cluster, ""), key=lambda item: item[1].count(".")):
        found.setdefault(name, []).append(path)
    return {name: tuple(paths) for name, paths in found.items()}


def _walk(model: type[BaseModel], prefix: str) -> Iterator[tuple[str, str]]:
    for name, info in model.model_fields.items():
        yield name, f"{prefix}{name}"
        kind = bare(info.annotation)
        inner = model_of(kind)
        if inner:
            yield from _walk(inner, f"{prefix}{name}.")
        elif entry_of(kind):
            yield from _walk(entry_of(kind) or model, f"{prefix}{name}.<name>.")
        elif get_origin(kind) is list and model_of(get_args(kind)[0]):
            yield from _walk(model_of(get_args(kind)[0]) or model, f"{prefix}{name}[].")


def label(loc: Loc) -> str:
    """``pools.gpu.instance_types[0]``."""
    text = ""
    for part in loc:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else str(part)
    return text[:120]
