"""Role-based access control, as far as a test must judge it: which requests would have been refused.

The server itself lets everybody do everything; this looks afterwards at what was asked.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from tests.kube.server import Seen

_VERBS = {"POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}
Raw = Mapping[str, Any]


def refused(seen: Iterable[Seen], objects: Iterable[Raw], account: str, agent: str = "infra/") -> list[str]:
    """``verb resource namespace/name`` of every request of that agent that the account's roles do not allow."""
    roles = _roles(list(objects), account)
    found = {_asked(one) for one in seen if one.agent.startswith(agent) and one.path.startswith(("/api/", "/apis/"))}
    return sorted(" ".join(filter(None, asked)) for asked in found if not _allowed(asked, roles))


def _roles(objects: list[Raw], account: str) -> list[tuple[str, Raw]]:
    """(namespace, or "" for all; rule) of everything that the account is bound to."""
    by_name = {(item["kind"], item["metadata"]["name"]): item for item in objects if item["kind"].endswith("Role")}
    return [
        (item["metadata"].get("namespace", ""), rule)
        for item in objects
        if item["kind"].endswith("RoleBinding") and any(one["name"] == account for one in item["subjects"])
        for rule in by_name[item["roleRef"]["kind"], item["roleRef"]["name"]]["rules"]
    ]


def _asked(one: Seen) -> tuple[str, str, str, str, str]:
    """(verb, group, resource with its subresource, namespace, name)."""
    parts = one.path.strip("/").split("/")
    group = "" if parts[0] == "api" else parts[1]
    rest = parts[2:] if parts[0] == "api" else parts[3:]
    namespace = ""
    if rest[0] == "namespaces" and len(rest) > 2:
        namespace, rest = rest[1], rest[2:]
    name = rest[1] if len(rest) > 1 else ""
    resource = "/".join([rest[0], *rest[2:]])
    read = ("watch" if one.query.get("watch") else "get" if name else "list") if one.method == "GET" else ""
    return read or _VERBS[one.method], group, resource, namespace, name


def _allowed(asked: tuple[str, str, str, str, str], roles: list[tuple[str, Raw]]) -> bool:
    verb, group, resource, namespace, name = asked
    return any(
        where in ("", namespace)
        and verb in rule["verbs"]
        and group in rule["apiGroups"]
        and resource in rule["resources"]
        and ("resourceNames" not in rule or name in rule["resourceNames"])
        for where, rule in roles
    )
