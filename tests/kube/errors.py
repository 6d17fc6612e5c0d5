"""What the API answers when it says no: a ``Status`` object, word for word as clients match on it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

Cause = dict[str, str]


class ApiError(Exception):
    """An answer other than success. ``retry_after`` is in seconds and becomes the header as well."""

    def __init__(
        self, code: int, reason: str, message: str, details: dict[str, Any] | None = None, retry_after: int = 0
    ) -> None:
        super().__init__(message)
        self.code = code
        self.retry_after = retry_after
        if retry_after:
            details = {**(details or {}), "retryAfterSeconds": retry_after}
        self.status: dict[str, Any] = {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": message,
            "reason": reason,
            **({"details": details} if details else {}),
            "code": code,
        }


def _details(resource: str, name: str, causes: Sequence[Cause] = ()) -> dict[str, Any]:
    """``resource`` is ``plural`` or ``plural.group``."""
    plural, _, group = resource.partition(".")
    found: dict[str, Any] = {"name": name, "group": group, "kind": plural, "causes": list(causes)}
    return {key: value for key, value in found.items() if value}


def bad_request(message: str) -> ApiError:
    return ApiError(400, "BadRequest", message)


def unauthorized() -> ApiError:
    return ApiError(401, "Unauthorized", "Unauthorized")


def forbidden(resource: str, name: str, why: str) -> ApiError:
    return ApiError(403, "Forbidden", f'{resource} "{name}" is forbidden: {why}', _details(resource, name))


def not_found(resource: str, name: str) -> ApiError:
    return ApiError(404, "NotFound", f'{resource} "{name}" not found', _details(resource, name))


def no_such_path() -> ApiError:
    return ApiError(404, "NotFound", "the server could not find the requested resource")


def method_not_allowed() -> ApiError:
    return ApiError(405, "MethodNotAllowed", "the server does not allow this method on the requested resource")


def already_exists(resource: str, name: str) -> ApiError:
    return ApiError(409, "AlreadyExists", f'{resource} "{name}" already exists', _details(resource, name))


def conflict(resource: str, name: str, why: str = "") -> ApiError:
    why = why or "the object has been modified; please apply your changes to the latest version and try again"
    message = f'Operation cannot be fulfilled on {resource} "{name}": {why}'
    return ApiError(409, "Conflict", message, _details(resource, name))


def apply_conflict(causes: Sequence[Cause]) -> ApiError:
    lines = "\n".join(f"- {cause['field']}" for cause in causes)
    by = causes[0]["message"]
    message = f"Apply failed with {len(causes)} conflict{'s' if len(causes) > 1 else ''}: {by}:\n{lines}"
    return ApiError(409, "Conflict", message, {"causes": list(causes)})


def expired(message: str) -> ApiError:
    return ApiError(410, "Expired", message)


def unsupported(content: str, accepted: str) -> ApiError:
    message = f"the body of the request was in an unknown format - accepted media types include: {accepted}"
    return ApiError(415, "UnsupportedMediaType", message, {"causes": [{"message": f"got {content}"}]})


def invalid(resource: str, kind: str, name: str, causes: Sequence[tuple[str, str]]) -> ApiError:
    """``causes``: (field, what is wrong with it)."""
    group = resource.partition(".")[2]
    what = f"{kind}.{group}" if group else kind
    told = ", ".join(f"{field}: {why}" for field, why in causes)
    told = f"[{told}]" if len(causes) > 1 else told
    details = {
        "name": name,
        **({"group": group} if group else {}),
        "kind": kind,
        "causes": [{"reason": "FieldValueInvalid", "message": why, "field": field} for field, why in causes],
    }
    return ApiError(422, "Invalid", f'{what} "{name}" is invalid: {told}', details)


def too_many(message: str, causes: Sequence[Cause] = (), retry_after: int = 0) -> ApiError:
    return ApiError(429, "TooManyRequests", message, {"causes": list(causes)} if causes else None, retry_after)


def too_large_version(asked: int, current: int) -> ApiError:
    details = {"causes": [{"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}]}
    message = f"Timeout: Too large resource version: {asked}, current: {current}"
    return ApiError(504, "Timeout", message, details, 1)
