"""Reading a Terraform plan (the documented JSON of ``terraform show -json``) as our Changes. Pure."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from infra.plan.about import about
from infra.plan.differences import differences, empty
from infra.plan.drift import GONE
from infra.plan.drift import drift as drift  # of a plan's JSON too
from infra.plan.model import Action, Change
from infra.plan.words import title

_ACTIONS: dict[tuple[str, ...], Action] = {
    ("create",): "create",
    ("update",): "update",
    ("delete",): "delete",
    ("delete", "create"): "replace",
    ("create", "delete"): "replace",
    ("read",): "read",
    ("forget",): "forget",
}

# What is lost with the thing, for the kinds whose loss cannot be undone.
HOLDS_DATA = {
    "aws_efs_file_system": "every file on it is lost",
    "aws_s3_bucket": "every object in it must be gone first",
    "aws_ebs_volume": "everything on the volume is lost",
    "aws_instance": "everything on its disk is lost",
    "aws_kms_key": "what it encrypted can no longer be read",
}

_WHY = {
    "replace_because_tainted": "its last creation was not finished",
    "replace_by_request": "asked for",
    "delete_because_no_resource_config": "no longer in cluster.yaml",
    "delete_because_no_module": "no longer in cluster.yaml",
    "delete_because_each_key": "no longer in cluster.yaml",
    "delete_because_count_index": "fewer are wanted",
    "delete_because_wrong_repetition": "no longer in cluster.yaml",
    "read_because_config_unknown": "known only during the apply",
    "read_because_dependency_pending": "known only during the apply",
}
_REFRESH = "its machines are replaced in turn, 90 % stay in service"
_PROTECTED = "its machines are replaced, each when it is no longer protected"
_MOST = 4
_WORLD = ("actions", "before", "after", "after_unknown", "importing")


def changes(shown: dict[str, Any]) -> list[Change]:
    """Every resource that the plan would touch, in Terraform's order."""
    gone = {item["address"] for item in shown.get("resource_drift", []) if item["change"]["actions"] == ["delete"]}
    items = shown.get("resource_changes", [])
    templates = {_home(item): _values(item) for item in items if item["type"] == "aws_launch_template"}
    found = [_change(item, item["address"] in gone, templates.get(_home(item), {})) for item in items]
    return [change for change in found if change is not None]


def _home(item: dict[str, Any]) -> str:
    """The module call that a resource is in."""
    return str(item["address"]).rpartition(f"{item['type']}.")[0]


def _values(item: dict[str, Any]) -> dict[str, Any]:
    """What a resource becomes, or was when it goes."""
    return item["change"].get("after") or item["change"].get("before") or {}


def world(shown: dict[str, Any]) -> dict[str, str]:
    """For each resource that would be touched, a digest of what it is and what it becomes.

    Two plans with equal worlds do the same things to the same things.
    """
    return {
        item["address"]: _digest([item["change"].get(key) for key in _WORLD])
        for item in shown.get("resource_changes", [])
        if item["change"]["actions"] not in (["no-op"], ["read"]) or item["change"].get("importing")
    }


def renamed(shown: dict[str, Any], names: dict[str, str]) -> dict[str, Any]:
    """The plan with ids replaced by names, wherever they stand: an image that is baked first has no id yet."""
    text = json.dumps(shown)
    for ident, name in names.items():
        text = text.replace(ident, json.dumps(name)[1:-1])
    found: dict[str, Any] = json.loads(text)
    return found


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:16]


def _change(item: dict[str, Any], gone: bool, template: dict[str, Any]) -> Change | None:
    change = item["change"]
    action = _ACTIONS.get(tuple(change["actions"]))
    if change.get("importing") and action is None:
        action = "import"
    if action is None or item.get("mode") == "data":
        return None
    reasons = [GONE] if gone and action == "create" else _reasons(item, action)
    if change.get("importing"):
        reasons = [f"adopted: it exists as {change['importing'].get('id')}", *reasons]
    # What was never finished holds nothing yet.
    unfinished = item.get("action_reason") == "replace_because_tainted"
    lost = HOLDS_DATA.get(item["type"], "") if action in ("delete", "replace") and not unfinished else ""
    said = about(item["type"], _values(item), template)
    return Change(item["address"], item["type"], action, title(item["address"]), tuple(reasons), lost, about=said)


def _reasons(item: dict[str, Any], action: Action) -> list[str]:
    change = item["change"]
    why = _WHY.get(item.get("action_reason", ""), "")
    if action == "create":
        return (
            [why or "new in cluster.yaml"] if not item.get("deposed") else ["left over from an unfinished replacement"]
        )
    if action == "delete":
        return [why or "no longer wanted"]
    moved = moves(change)
    forced = {".".join(map(str, path[:1])) for path in change.get("replace_paths", [])}
    if action == "replace" and forced:
        first = [f"{text} forces a new one" for name, text in moved if name in forced]
        return first or [f"{name} forces a new one" for name in sorted(forced)]
    texts = [text for _, text in moved]
    if len(texts) > _MOST:
        texts = [*texts[:_MOST], f"and {len(texts) - _MOST} more"]
    return [*([why] if why else []), *_effect(item["type"], change), *texts]


def _effect(kind: str, change: dict[str, Any]) -> list[str]:
    """What an update in place does to machines that run."""
    moved = {item.name for item in differences(change)}
    before, after = change.get("before") or {}, change.get("after") or {}
    if kind == "aws_instance" and "instance_type" in moved and before.get("instance_state") != "stopped":
        return ["it is stopped and started"]
    refreshed = kind == "aws_autoscaling_group" and moved & {"launch_template", "mixed_instances_policy"}
    if not refreshed or not after.get("instance_refresh") or before.get("desired_capacity") == 0:
        return []
    return [_PROTECTED if after.get("protect_from_scale_in") else _REFRESH]


def moves(change: dict[str, Any]) -> list[tuple[str, str]]:
    """What differs: (top-level attribute, ``path before → after``) per leaf; sensitive values hidden.

    What becomes known only after the apply is left out when something known moves: it follows from that.
    """
    found = differences(change)
    known = [item for item in found if not item.late]
    return [(item.name, item.text()) for item in known or found if known or not empty(item.before)]
