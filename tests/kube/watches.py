"""Watches: every change of a collection after a version, as lines of JSON, for as long as the client wants."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from tests.kube import errors, messages, tables
from tests.kube.listing import Target, chooser
from tests.kube.messages import Request
from tests.kube.store import Change, Item, Object, Store


@dataclass
class Watching:
    """What all watches share. ``bookmark_every``: seconds between bookmarks; ``closing`` ends every watch."""

    bookmark_every: float = 60.0
    closing: bool = False
    # One number for each time that all watches were ended from outside.
    cuts: int = 0
    open: int = 0


def stream(store: Store, target: Target, request: Request, state: Watching) -> Iterator[bytes]:
    """The lines of one watch. Wrong parameters raise now; what is too old is told in the stream, as an ERROR."""
    return _lines(store, target, request, state, chooser(target, request), _start(store, request))


def _start(store: Store, request: Request) -> int | None:
    """The version after which to begin, or None: with everything that is there."""
    initial = request.query.get("sendInitialEvents")
    if initial is not None and request.query.get("resourceVersionMatch") != "NotOlderThan":
        message = "resourceVersionMatch: Forbidden: sendInitialEvents requires resourceVersionMatch=NotOlderThan"
        raise errors.ApiError(422, "Invalid", message)
    version = request.number("resourceVersion")
    if request.flag("sendInitialEvents"):
        return None
    if initial is not None and not version:
        return store.version
    return version or None


def _lines(
    store: Store,
    target: Target,
    request: Request,
    state: Watching,
    chosen: Callable[[Object], bool],
    after: int | None,
) -> Iterator[bytes]:
    form = _Form(target, request)
    deadline = time.monotonic() + (request.number("timeoutSeconds") or random.uniform(1800, 3600))
    bookmarks = request.flag("allowWatchBookmarks")
    cuts = state.cuts
    if after is None:
        with store.lock:
            items, after = store.items(target.resource, target.namespace), store.version
        for item in items:
            if chosen(item.obj):
                yield form.line("ADDED", item)
        if request.flag("sendInitialEvents") and bookmarks:
            yield form.bookmark(after, end=True)
    elif after > store.version:
        yield form.error(errors.too_large_version(after, store.version))
        return
    next_bookmark = time.monotonic() + state.bookmark_every
    while True:
        try:
            changes = _wait(store, after, min(deadline, next_bookmark), lambda: state.closing or state.cuts != cuts)
        except errors.ApiError as error:
            yield form.error(error)
            return
        if changes is None:
            return
        for change in changes:
            after = change.version
            line = form.change(change, chosen)
            if line:
                yield line
        over = time.monotonic() >= deadline
        if bookmarks and (over or time.monotonic() >= next_bookmark):
            next_bookmark = time.monotonic() + state.bookmark_every
            yield form.bookmark(after)
        if over:
            return


def _wait(store: Store, after: int, until: float, ended: Callable[[], bool]) -> list[Change] | None:
    """What happened since; waits for it until a moment. None when the watch is to end."""
    with store.changed:
        while True:
            if ended():
                return None
            if store.version > after:
                return store.since(after)
            left = until - time.monotonic()
            if left <= 0:
                return []
            store.changed.wait(left)


class _Form:
    """How the events of one watch are written."""

    def __init__(self, target: Target, request: Request) -> None:
        self.target = target
        self.form = messages.wants(request.accept)
        self.include = request.query.get("includeObject", "Metadata")
        self.first = True

    def change(self, change: Change, chosen: Callable[[Object], bool]) -> bytes:
        """A change as this watch sees it: to leave the choice is a deletion, to enter it an addition."""
        target = self.target
        if change.resource is not target.resource or (target.namespace and change.after.key[0] != target.namespace):
            return b""
        was = change.before is not None and chosen(change.before.obj)
        if change.deleted:
            return self.line("DELETED", change.after) if was else b""
        fits = chosen(change.after.obj)
        if fits:
            return self.line("MODIFIED" if was else "ADDED", change.after)
        if was and change.before is not None:
            # The last state that fitted, at the version at which it ceased to.
            meta = {**change.before.obj["metadata"], "resourceVersion": str(change.version)}
            return self.line("DELETED", Item({**change.before.obj, "metadata": meta}, change.version))
        return b""

    def line(self, kind: str, item: Item) -> bytes:
        resource, version = self.target.resource, self.target.version
        if self.form == "Table":
            named = {"kind": resource.kind, "apiVersion": resource.api_version(version)}
            meta = {"resourceVersion": item.obj["metadata"]["resourceVersion"]}
            shown = tables.table(resource, [{**named, **item.obj}], meta, self.include, self.first)
            self.first = False
            return _event(kind, json.dumps(shown).encode())
        if self.form == "PartialObjectMetadata":
            return _event(kind, json.dumps(messages.partial(item)).encode())
        return _event(kind, messages.whole(resource, version, item))

    def bookmark(self, version: int, end: bool = False) -> bytes:
        resource = self.target.resource
        meta: dict[str, Any] = {"resourceVersion": str(version), "creationTimestamp": None}
        if end:
            meta["annotations"] = {"k8s.io/initial-events-end": "true"}
        if self.form == "Table":
            return _event("BOOKMARK", json.dumps(tables.table(resource, [], meta, self.include, False)).encode())
        named = {"kind": resource.kind, "apiVersion": resource.api_version(self.target.version)}
        return _event("BOOKMARK", json.dumps({**named, "metadata": meta}).encode())

    @staticmethod
    def error(error: errors.ApiError) -> bytes:
        return _event("ERROR", json.dumps(error.status).encode())


def _event(kind: str, obj: bytes) -> bytes:
    return b'{"type":"%s","object":%s}\n' % (kind.encode(), obj)
