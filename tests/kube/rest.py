"""The API's verbs on objects and collections, and the way from a path to them."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

from tests.kube import apply, discovery, errors, kinds, listing, openapi, patches, resources, subresources, watches
from tests.kube.listing import Target
from tests.kube.messages import Answer, Request
from tests.kube.resources import BUDGETS, LEASES, NAMESPACES, PODS, RESOURCES
from tests.kube.store import Item, Object, Store, clone

_HEALTH = ("/healthz", "/livez", "/readyz")
_PATCHES = {
    "application/json-patch+json": patches.json_patch,
    "application/merge-patch+json": patches.merge,
    "application/strategic-merge-patch+json": patches.strategic,
}
APPLY = ("application/apply-patch+yaml", "application/apply-patch+json")


class Api:
    """The whole API on one store, without a network: ``handle`` never raises ``ApiError``."""

    def __init__(self, store: Store, address: str = "") -> None:
        self.store = store
        self.address = address
        self.watching = watches.Watching()

    def handle(self, request: Request) -> Answer:
        try:
            return self._answer(request)
        except errors.ApiError as error:
            headers = {"Retry-After": str(error.retry_after)} if error.retry_after else {}
            return Answer(error.status, error.code, headers=headers)
        except (AttributeError, KeyError, TypeError) as error:
            if request.method == "GET":
                raise
            # A list where an object should be, and its like: what a typed server cannot even decode.
            wrong = errors.bad_request(f"json: cannot unmarshal: {type(error).__name__}: {error}")
            return Answer(wrong.status, wrong.code)

    def _answer(self, request: Request) -> Answer:
        parts = [part for part in request.path.split("/") if part]
        if request.path.rstrip("/") in _HEALTH or parts[:1] in (["livez"], ["readyz"]):
            return Answer(b"ok", content="text/plain; charset=utf-8")
        fixed = self._description(parts, request)
        if fixed is not None:
            if request.method != "GET":
                raise errors.method_not_allowed()
            return fixed
        return self._act(self._target(parts), request)

    def _description(self, parts: list[str], request: Request) -> Answer | None:
        """Discovery, version and OpenAPI; None for paths of objects."""
        body: Any = None
        if parts == ["version"]:
            body = discovery.VERSION
        elif parts in (["api"], ["apis"]):
            core = parts == ["api"]
            if "g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList" in request.accept:
                return Answer(discovery.aggregated(core), content=discovery.AGGREGATED)
            body = discovery.api_versions(self.address) if core else discovery.group_list()
        elif parts == ["openapi", "v2"]:
            body = openapi.swagger()
        elif parts == ["openapi", "v3"]:
            body = openapi.index()
        elif parts[:2] == ["openapi", "v3"] and len(parts) in (4, 5):
            body = openapi.document(parts[3] if len(parts) == 5 else "", parts[-1])
        elif parts[:1] == ["api"] and len(parts) == 2:
            body = discovery.resource_list("", parts[1])
        elif parts[:1] == ["apis"] and len(parts) == 2:
            body = discovery.one_group(parts[1])
        elif parts[:1] == ["apis"] and len(parts) == 3:
            body = discovery.resource_list(parts[1], parts[2])
        return None if body is None else Answer(body)

    @staticmethod
    def _target(parts: list[str]) -> Target:
        """``/api/v1/namespaces/x/pods/y/status`` and its like."""
        if parts[:1] == ["api"]:
            group, rest = "", parts[1:]
        elif parts[:1] == ["apis"] and len(parts) > 1:
            group, rest = parts[1], parts[2:]
        else:
            raise errors.no_such_path()
        version, rest = (rest[0], rest[1:]) if rest else ("", [])
        namespace = ""
        if len(rest) >= 3 and rest[0] == "namespaces" and not (not group and rest[2] in ("status", "finalize")):
            namespace, rest = rest[1], rest[2:]
        resource = resources.at_path(group, version, rest[0]) if rest else None
        if rest[:1] == ["bindings"] and not group:
            return Target(PODS, version, namespace, "", "binding")
        sub = rest[2] if len(rest) > 2 else ""
        if resource is None or len(rest) > 3 or (sub and sub not in resource.subresources):
            raise errors.no_such_path()
        if bool(namespace) != resource.namespaced and (namespace or len(rest) > 1):
            raise errors.no_such_path()
        return Target(resource, version, namespace, rest[1] if len(rest) > 1 else "", sub)

    def _act(self, target: Target, request: Request) -> Answer:
        method = request.method
        if target.sub in ("binding", "eviction", "scale"):
            return subresources.act(self.store, target, request)
        if method == "GET" and request.flag("watch") and not target.sub:
            stream = watches.stream(self.store, target, request, self.watching)
            return Answer(stream=stream)
        if not target.name:
            return self._act_on_all(target, request)
        if method == "GET":
            item = self.store.get(target.resource, target.namespace, target.name)
            return listing.one(target, request, item)
        if method == "PUT":
            return self._put(target, request)
        if method == "PATCH":
            return self._patch(target, request)
        if method == "DELETE" and not target.sub:
            return self._delete(target, request)
        raise errors.method_not_allowed()

    def _act_on_all(self, target: Target, request: Request) -> Answer:
        if request.method == "GET":
            return listing.answer(self.store, target, request)
        if request.method == "POST" and bool(target.namespace) == target.resource.namespaced:
            return self._create(target, request, request.object())
        if request.method == "DELETE" and bool(target.namespace) == target.resource.namespaced:
            found = listing.answer(self.store, target, replace(request, headers={}))
            for item in json.loads(found.payload)["items"]:
                self._remove(replace(target, name=item["metadata"]["name"]), request, self._options(request))
            return found
        raise errors.method_not_allowed()

    def _create(self, target: Target, request: Request, obj: Object, owners: Any = None) -> Answer:
        obj, warnings = self._read(target, request, obj)
        meta = obj.setdefault("metadata", {})
        if target.namespace and meta.setdefault("namespace", target.namespace) != target.namespace:
            raise errors.bad_request(
                "the namespace of the provided object does not match the namespace sent on the request"
            )
        if not target.resource.namespaced:
            meta.pop("namespace", None)
        obj = kinds.prepare(self.store, target.resource, obj)
        obj["metadata"]["managedFields"] = owners or apply.created(request.manager, target, obj)
        item = self.store.create(target.resource, obj, request.dry)
        return self._warned(listing.one(target, request, item, 201), warnings)

    def _put(self, target: Target, request: Request) -> Answer:
        obj, warnings = self._read(target, request, request.object())
        meta = obj.setdefault("metadata", {})
        if meta.get("name") != target.name:
            told = f"the name of the object ({meta.get('name', '')}) does not match the name on the URL ({target.name})"
            raise errors.bad_request(told)
        exists = self.store.find(target.resource, target.namespace, target.name)
        if target.resource is LEASES and not exists and not meta.get("resourceVersion"):
            return self._create(target, request, obj)
        if (
            exists
            and not meta.get("resourceVersion")
            and (target.resource.custom or target.resource in (LEASES, BUDGETS))
        ):
            cause = ("metadata.resourceVersion", "Invalid value: 0: must be specified for an update")
            raise errors.invalid(target.resource.named, target.resource.kind, target.name, [cause])
        return self._warned(listing.one(target, request, self._change(target, request, lambda _: obj)), warnings)

    def _patch(self, target: Target, request: Request) -> Answer:
        content = request.content
        if content in APPLY:
            return self._apply(target, request)
        if content not in _PATCHES or (target.resource.custom and "strategic" in content):
            accepted = [name for name in _PATCHES if not (target.resource.custom and "strategic" in name)]
            raise errors.unsupported(content, ", ".join([*accepted, APPLY[0]]))
        patch, apply_patch = request.json(), _PATCHES[content]
        warnings: list[str] = []

        def patched(obj: Object) -> Object:
            named = {"kind": target.resource.kind, "apiVersion": target.resource.api_version(target.version)}
            after, told = self._read(target, request, apply_patch({**named, **obj}, patch))
            warnings.extend(told)
            if after.get("metadata", {}).get("name") != target.name:
                raise errors.bad_request("the name of the object does not match the name on the URL")
            return after

        return self._warned(listing.one(target, request, self._change(target, request, patched)), warnings)

    def _apply(self, target: Target, request: Request) -> Answer:
        """Server-side apply: creates what is not there."""
        if not request.query.get("fieldManager"):
            cause = ("fieldManager", "Required value: is required for apply patch")
            raise errors.invalid("patchoptions.meta.k8s.io", "PatchOptions", "", [cause])
        wanted, _ = self._read(target, request, request.object())
        wanted.setdefault("metadata", {})["name"] = target.name
        wanted["metadata"].pop("managedFields", None)
        manager, force = request.query["fieldManager"], request.flag("force")
        owned = apply.entry(manager, target, wanted)
        with self.store.lock:
            if not self.store.find(target.resource, target.namespace, target.name):
                return self._create(target, request, clone(wanted), [owned])
            made: list[list[Object]] = []

            def applied(obj: Object) -> Object:
                after, owners = apply.applied(obj, wanted, owned, force)
                made.append(owners)
                return after

            item = self._change(target, request, applied, lambda _before, _after: made[0])
        return listing.one(target, request, item)

    def _change(self, target: Target, request: Request, change: Any, owners: Any = None) -> Item:
        """Change an object, but only the part that this path may change."""
        resource = target.resource

        def part(obj: Object) -> Object:
            before = clone(obj)
            after: Object = clone(change(obj))
            if target.sub == "status":
                after = {**before, "status": after.get("status", {}), "metadata": _meta(target, before, after)}
                return kinds.complete(resource, after)
            if resource.has_status and "status" in before:
                after["status"] = before["status"]
            elif resource.has_status:
                after.pop("status", None)
            return kinds.complete(resource, after)

        def check(before: Object, after: Object) -> None:
            if target.sub != "status":
                kinds.check_update(resource, before, after)

        def updated(before: Object, after: Object) -> list[Object]:
            return apply.updated(request.manager, target, before, after)

        return self.store.change(resource, target.namespace, target.name, part, request.dry, check, owners or updated)

    def _read(self, target: Target, request: Request, obj: Any) -> tuple[Object, list[str]]:
        """The client's object without its kind, and warnings; 400 when it is another kind or cannot be read."""
        resource, wanted = target.resource, target.resource.api_version(target.version)
        if not isinstance(obj, dict):
            raise errors.bad_request("the object provided is not an object")
        kind, version = obj.get("kind", resource.kind), obj.get("apiVersion", wanted)
        if kind != resource.kind or version != wanted:
            told = (
                f"the kind in the data ({version}, {kind}) does not match the expected one ({wanted}, {resource.kind})"
            )
            raise errors.bad_request(told)
        kinds.check_form(resource, obj)
        rest = {name: value for name, value in obj.items() if name not in ("kind", "apiVersion")}
        unknown = [f'unknown field "{path}"' for path in kinds.unknown_fields(resource, rest)]
        if unknown and request.query.get("fieldValidation") == "Strict":
            told = f"strict decoding error: {', '.join(unknown)}"
            raise errors.bad_request(
                f'{resource.kind} in version "{target.version}" cannot be handled as a {resource.kind}: {told}'
            )
        return rest, unknown if request.query.get("fieldValidation") != "Ignore" else []

    @staticmethod
    def _warned(answer: Answer, warnings: list[str]) -> Answer:
        if warnings:
            told = ", ".join(warnings).replace('"', '\\"')
            answer.headers["Warning"] = f'299 - "{told}"'
        return answer

    @staticmethod
    def _options(request: Request) -> Object:
        options = request.object() if request.body else {}
        if "gracePeriodSeconds" in request.query:
            options.setdefault("gracePeriodSeconds", request.number("gracePeriodSeconds"))
        return options

    def _delete(self, target: Target, request: Request) -> Answer:
        options = self._options(request)
        item, gone = self._remove(target, request, options)
        if target.resource is PODS or not gone:
            return listing.one(target, request, item)
        resource = target.resource
        details = {"name": target.name, "group": resource.group, "kind": resource.plural}
        details["uid"] = item.obj["metadata"]["uid"]
        body = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success"}
        return Answer({**body, "details": {key: value for key, value in details.items() if value}})

    def _remove(self, target: Target, request: Request, options: Object) -> tuple[Item, bool]:
        """Delete, or begin to. The object's last state, and whether it is gone."""
        dry = request.dry or options.get("dryRun") == ["All"]
        with self.store.lock:
            item = subresources.remove(self.store, target, options, dry)
            if target.resource is NAMESPACES and not dry:
                for resource in RESOURCES:
                    if resource.namespaced:
                        self.store.delete_all(resource, self.store.items(resource, target.name))
            return item, not self.store.find(target.resource, target.namespace, target.name)


def _meta(target: Target, before: Object, after: Object) -> Object:
    """The metadata after a change of the status: of custom resources nothing else changes."""
    if target.resource.custom:
        version = after["metadata"].get("resourceVersion")
        return {**before["metadata"], **({"resourceVersion": version} if version else {})}
    return dict(after["metadata"])
