"""Lists: whole, in pages, at a version, as tables; and the choice of objects that lists and watches share."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tests.kube import errors, messages, selectors, tables
from tests.kube.messages import Answer, Request
from tests.kube.resources import Resource
from tests.kube.store import Item, Object, Store


@dataclass(frozen=True)
class Target:
    """What a path names. ``name`` is "" for a collection, ``namespace`` is "" for all of them."""

    resource: Resource
    version: str
    namespace: str = ""
    name: str = ""
    sub: str = ""


def chooser(target: Target, request: Request) -> Callable[[Object], bool]:
    """Whether an object is among those asked for."""
    label = selectors.labels(request.query.get("labelSelector", ""))
    try:
        field = selectors.fields(target.resource, request.query.get("fieldSelector", ""))
    except errors.ApiError as error:
        api = f"{target.resource.group}/{target.version}, Resource={target.resource.plural}"
        told = [f'{kind} selector "{request.query.get(f"{kind}Selector", "")}"' for kind in ("label", "field")]
        raise errors.bad_request(f'Unable to find "{api}" that match {", ".join(told)}: {error}') from None
    name = target.name

    def chosen(obj: Object) -> bool:
        if name and obj["metadata"]["name"] != name:
            return False
        return (label is None or label(obj)) and (field is None or field(obj))

    return chosen


def _state(store: Store, target: Target, request: Request) -> tuple[list[Item], int]:
    """The objects of the collection and the version at which they are so."""
    asked, match = request.number("resourceVersion"), request.query.get("resourceVersionMatch", "")
    if match and not request.query.get("resourceVersion"):
        raise errors.ApiError(
            422, "Invalid", "resourceVersionMatch: Forbidden: is forbidden unless resourceVersion is set"
        )
    with store.lock:
        if asked > store.version:
            raise errors.too_large_version(asked, store.version)
        # With a limit, a version is an exact one, too, as it was before there was a word for it.
        if asked and (match == "Exact" or (request.number("limit") and not match)):
            return store.items_at(target.resource, target.namespace, asked), asked
        return store.items(target.resource, target.namespace), store.version


def _page(store: Store, target: Target, request: Request) -> tuple[list[Item], dict[str, Any]]:
    limit, token = request.number("limit"), request.query.get("continue", "")
    chosen = chooser(target, request)
    after: tuple[str, str] | None = None
    if token:
        if request.query.get("resourceVersion", "0") not in ("", "0"):
            raise errors.bad_request("specifying resource version is not allowed when using continue")
        version, after = _read_token(token)
        try:
            items = store.items_at(target.resource, target.namespace, version)
        except errors.ApiError:
            raise _page_gone(store, after) from None
    else:
        items, version = _state(store, target, request)
        if request.query.get("resourceVersion") == "0":
            # The answer comes out of the watch cache, which knows no pages.
            limit = 0
    if after:
        items = [item for item in items if item.key > after]
    items = [item for item in items if chosen(item.obj)]
    meta: dict[str, Any] = {"resourceVersion": str(version)}
    if limit and len(items) > limit:
        meta["continue"] = _token(version, items[limit - 1].key)
        if not request.query.get("labelSelector") and not request.query.get("fieldSelector"):
            meta["remainingItemCount"] = len(items) - limit
        items = items[:limit]
    return items, meta


def _token(version: int, key: tuple[str, str]) -> str:
    return base64.urlsafe_b64encode(json.dumps({"v": "meta.k8s.io/v1", "rv": version, "start": key}).encode()).decode()


def _read_token(token: str) -> tuple[int, tuple[str, str]]:
    try:
        found = json.loads(base64.urlsafe_b64decode(token))
        return int(found["rv"]), (found["start"][0], found["start"][1])
    except (ValueError, KeyError, IndexError, TypeError):
        raise errors.bad_request(f"continue key is not valid: {token}") from None


def _page_gone(store: Store, after: tuple[str, str]) -> errors.ApiError:
    """The rest of a list whose version is forgotten: with the token of a rest that does not fit what was read."""
    error = errors.expired(
        "The provided continue parameter is too old to display a consistent list result. You can start a new list "
        "without the continue parameter, or use the continue token in this response to retrieve the remainder of the "
        "results."
    )
    error.status["metadata"] = {"continue": _token(store.version, after)}
    return error


def answer(store: Store, target: Target, request: Request) -> Answer:
    """GET of a collection."""
    items, meta = _page(store, target, request)
    resource, version = target.resource, target.version
    form = messages.wants(request.accept)
    if form == "Table":
        include = request.query.get("includeObject", "Metadata")
        rows = ({**_named(resource, version), **item.obj} for item in items)
        return Answer(tables.table(resource, rows, meta, include))
    if form == "PartialObjectMetadataList":
        rows_of = [messages.partial(item) for item in items]
        return Answer({"kind": form, "apiVersion": "meta.k8s.io/v1", "metadata": meta, "items": rows_of})
    # Objects in a list do not say what they are, but those of custom resources do.
    blobs = (messages.whole(resource, version, item) if resource.custom else item.blob for item in items)
    start = {"kind": f"{resource.kind}List", "apiVersion": resource.api_version(version), "metadata": meta}
    return Answer(json.dumps(start)[:-1].encode() + b',"items":[' + b",".join(blobs) + b"]}\n")


def one(target: Target, request: Request, item: Item, code: int = 200) -> Answer:
    """One object, in the form that the client asks for."""
    resource, version = target.resource, target.version
    form = messages.wants(request.accept)
    if form == "Table":
        meta = {"resourceVersion": item.obj["metadata"].get("resourceVersion", "")}
        include = request.query.get("includeObject", "Metadata")
        return Answer(tables.table(resource, [{**_named(resource, version), **item.obj}], meta, include), code)
    if form == "PartialObjectMetadata":
        return Answer(messages.partial(item), code)
    return Answer(messages.whole(resource, version, item) + b"\n", code)


def _named(resource: Resource, version: str) -> dict[str, str]:
    return {"kind": resource.kind, "apiVersion": resource.api_version(version)}
