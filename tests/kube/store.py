"""The objects of a cluster, in memory, with one counter of versions and the history that watches read."""

from __future__ import annotations

import datetime
import json
import marshal
import secrets
import threading
import uuid
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from tests.kube import errors
from tests.kube.resources import NAMESPACES, RESOURCES, Resource

Object = dict[str, Any]
Key = tuple[str, str]  # namespace ("" for what has none), name
_NAME_LETTERS = "bcdfghjklmnpqrstvwxz2456789"


def now() -> str:
    return datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def clone(obj: Object) -> Object:
    """A deep copy; many times as fast as ``copy.deepcopy``, for what JSON can hold."""
    copied: Object = marshal.loads(marshal.dumps(obj))
    return copied


class Item:
    """One version of one object, without kind and apiVersion. Nobody changes ``obj``: a change makes another item."""

    __slots__ = ("_blob", "obj", "version")

    def __init__(self, obj: Object, version: int) -> None:
        self.obj = obj
        self.version = version
        self._blob: bytes | None = None

    @property
    def blob(self) -> bytes:
        """The object as JSON, without kind and apiVersion: made once, however many ask for it."""
        if self._blob is None:
            self._blob = json.dumps(self.obj, separators=(",", ":")).encode()
        return self._blob

    @property
    def key(self) -> Key:
        meta = self.obj["metadata"]
        return meta.get("namespace", ""), meta["name"]


@dataclass(frozen=True, slots=True)
class Change:
    """What happened at ``version``: ``before`` is None for a new object, ``after`` the last state of a deleted one."""

    version: int
    resource: Resource
    before: Item | None
    after: Item
    deleted: bool = False


class Store:
    """All methods may be called by any thread. ``changed`` is told about every new version.

    The last ``keep`` changes, at least, are remembered, or those since ``compact()``.
    """

    def __init__(self, start: int = 1000, keep: int = 20_000) -> None:
        self.keep = keep
        self.lock = threading.RLock()
        self.changed = threading.Condition(self.lock)
        self.version = start
        self.compacted = start
        self.history: list[Change] = []
        self.watchers: list[Callable[[Change], None]] = []
        self._objects: dict[Resource, dict[Key, Item]] = {resource: {} for resource in RESOURCES}

    # Reading

    def get(self, resource: Resource, namespace: str, name: str) -> Item:
        with self.lock:
            found = self._objects[resource].get((namespace, name))
        if found is None:
            raise errors.not_found(resource.named, name)
        return found

    def find(self, resource: Resource, namespace: str, name: str) -> Item | None:
        with self.lock:
            return self._objects[resource].get((namespace, name))

    def items(self, resource: Resource, namespace: str = "") -> list[Item]:
        """In the order of namespace and name, as etcd has them."""
        with self.lock:
            found = sorted(self._objects[resource].items())
        return [item for key, item in found if not namespace or key[0] == namespace]

    def items_at(self, resource: Resource, namespace: str, version: int) -> list[Item]:
        """The objects as they were at ``version``. 410 when that is forgotten."""
        with self.lock:
            if version < self.compacted:
                raise errors.expired(
                    "The provided resource version is too old: mvcc: required revision has been compacted"
                )
            state = dict(self._objects[resource])
            for change in reversed(self.history):
                if change.version <= version:
                    break
                if change.resource is not resource:
                    continue
                if change.before is None:
                    state.pop(change.after.key, None)
                else:
                    state[change.before.key] = change.before
        return [item for key, item in sorted(state.items()) if not namespace or key[0] == namespace]

    def since(self, version: int) -> list[Change]:
        """Every change after ``version``. 410 when some of them are forgotten."""
        with self.lock:
            if version < self.compacted:
                raise errors.expired(f"too old resource version: {version} ({self.compacted})")
            start = len(self.history)
            while start and self.history[start - 1].version > version:
                start -= 1
            return self.history[start:]

    def compact(self) -> None:
        """Forget the history: who watches from a version before the present one gets 410 Gone."""
        with self.lock:
            self.compacted = self.version
            self.history.clear()

    # Writing

    def create(self, resource: Resource, obj: Object, dry: bool = False) -> Item:
        with self.lock:
            obj = clone(obj)
            meta = obj.setdefault("metadata", {})
            prefix = meta.get("generateName", "")
            if not meta.get("name") and prefix:
                meta["name"] = prefix[:58] + "".join(secrets.choice(_NAME_LETTERS) for _ in range(5))
            key = (meta.get("namespace", ""), meta["name"])
            if key in self._objects[resource]:
                raise errors.already_exists(resource.named, meta["name"])
            if resource.namespaced:
                self._check_namespace(resource, *key)
            for name in ("deletionTimestamp", "deletionGracePeriodSeconds", "selfLink"):
                meta.pop(name, None)
            meta.update(uid=str(uuid.uuid4()), creationTimestamp=now())
            if generates(resource, obj):
                meta["generation"] = 1
            return self._commit(resource, None, obj, dry)

    def change(
        self,
        resource: Resource,
        namespace: str,
        name: str,
        change: Callable[[Object], Object | None],
        dry: bool = False,
        check: Callable[[Object, Object], None] | None = None,
        owners: Callable[[Object, Object], list[Object]] | None = None,
    ) -> Item:
        """Change an object at once, nobody between: ``change`` gets a copy and gives the new state (None: that copy).

        A version in the new state must be the present one: 409. ``check(before, after)`` may refuse. ``owners`` says
        which ``managedFields`` the new state has; without it they stay.
        """
        with self.lock:
            before = self.get(resource, namespace, name)
            copied = clone(before.obj)
            after = change(copied)
            after = copied if after is None else after
            meta, was = after.setdefault("metadata", {}), before.obj["metadata"]
            asked = meta.get("resourceVersion")
            if asked and asked != was["resourceVersion"]:
                raise errors.conflict(resource.named, name)
            if meta.get("uid") and meta["uid"] != was["uid"]:
                why = f"Precondition failed: UID in precondition: {meta['uid']}, UID in object meta: {was['uid']}"
                raise errors.conflict(resource.named, name, why)
            self._keep_what_is_ours(meta, was)
            if owners:
                meta["managedFields"] = owners(before.obj, after)
            if generates(resource, after) and after.get("spec") != before.obj.get("spec"):
                meta["generation"] = was.get("generation", 0) + 1
            if check:
                check(before.obj, after)
            if after == before.obj:
                return before
            if was.get("deletionTimestamp") and not meta.get("finalizers") and _ended(after):
                return self._remove(resource, before, after, dry)
            return self._commit(resource, before, after, dry)

    def delete(self, resource: Resource, namespace: str, name: str, grace: int = 0, dry: bool = False) -> Item:
        """Delete, or begin to: with ``grace`` seconds or finalizers the object stays, with a deletionTimestamp."""
        with self.lock:
            before = self.get(resource, namespace, name)
            meta = before.obj["metadata"]
            if not grace and not meta.get("finalizers"):
                return self._remove(resource, before, before.obj, dry)
            if meta.get("deletionTimestamp") and grace >= meta.get("deletionGracePeriodSeconds", 0):
                return before
            after = clone(before.obj)
            due = datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=grace)
            after["metadata"]["deletionTimestamp"] = due.strftime("%Y-%m-%dT%H:%M:%SZ")
            after["metadata"]["deletionGracePeriodSeconds"] = grace
            if "generation" in meta:
                after["metadata"]["generation"] = meta["generation"] + 1
            return self._commit(resource, before, after, dry)

    def delete_all(self, resource: Resource, items: Iterable[Item]) -> None:
        for item in items:
            if self.find(resource, *item.key):
                self.delete(resource, *item.key)

    def _check_namespace(self, resource: Resource, namespace: str, name: str) -> None:
        found = self._objects[NAMESPACES].get(("", namespace))
        if found is None:
            raise errors.not_found("namespaces", namespace)
        if found.obj["metadata"].get("deletionTimestamp"):
            why = f"unable to create new content in namespace {namespace} because it is being terminated"
            raise errors.forbidden(resource.named, name, why)

    @staticmethod
    def _keep_what_is_ours(meta: Object, was: Object) -> None:
        """What no client may change in an object's metadata."""
        for name in (
            "uid",
            "creationTimestamp",
            "resourceVersion",
            "deletionTimestamp",
            "deletionGracePeriodSeconds",
            "generation",
            "namespace",
            "name",
            "generateName",
            "managedFields",
        ):
            if name in was:
                meta[name] = was[name]
            else:
                meta.pop(name, None)

    def _commit(self, resource: Resource, before: Item | None, obj: Object, dry: bool) -> Item:
        if dry:
            return Item(obj, self.version)
        self.version += 1
        obj["metadata"]["resourceVersion"] = str(self.version)
        item = Item(obj, self.version)
        self._objects[resource][item.key] = item
        self._tell(Change(self.version, resource, before, item))
        return item

    def _remove(self, resource: Resource, before: Item, last: Object, dry: bool) -> Item:
        if dry:
            return before
        self.version += 1
        obj = {**last, "metadata": {**last["metadata"], "resourceVersion": str(self.version)}}
        item = Item(obj, self.version)
        del self._objects[resource][before.key]
        self._tell(Change(self.version, resource, before, item, deleted=True))
        return item

    def _tell(self, change: Change) -> None:
        self.history.append(change)
        if len(self.history) > 2 * self.keep:
            self.compacted = self.history[-self.keep].version - 1
            del self.history[: -self.keep]
        for watcher in self.watchers:
            watcher(change)
        self.changed.notify_all()


def generates(resource: Resource, obj: Object) -> bool:
    """Whether the object counts the changes of its spec."""
    return "spec" in obj and resource.plural not in ("nodes", "namespaces", "leases")


def _ended(obj: Object) -> bool:
    """Whether nothing but finalizers kept a deleted object."""
    return not obj["metadata"].get("deletionGracePeriodSeconds")
