"""Instance refresh, which moto lacks: the group's instances are replaced by ones from its present template."""

from __future__ import annotations

from typing import Any

from infra.local import autoscaling_group as model
from infra.local.extensions import put

ACTIVE = ("Pending", "InProgress", "Cancelling")


def instance_refresh() -> None:
    """Start-, Describe- and CancelInstanceRefresh(es). Replacing takes no time here, unless protection holds it up."""
    from moto.autoscaling.responses import AutoScalingResponse

    put(AutoScalingResponse, "start_instance_refresh", _start)
    put(AutoScalingResponse, "describe_instance_refreshes", _describe)
    put(AutoScalingResponse, "cancel_instance_refresh", _cancel)


def _start(self: Any) -> Any:
    from moto.core.responses import ActionResult
    from moto.core.utils import utcnow
    from moto.moto_api._internal import mock_random

    group = model.require(self.autoscaling_backend, self._get_param("AutoScalingGroupName"))
    _advance(group)
    if group.refreshes and group.refreshes[-1]["Status"] in ACTIVE:
        raise model.error(
            "InstanceRefreshInProgress",
            "An Instance Refresh is already in progress and blocks the execution of this Instance Refresh.",
        )
    desired = self._get_param("DesiredConfiguration")
    if desired:
        model.update(self.autoscaling_backend, {"AutoScalingGroupName": group.name, **desired}, {})
    refresh = {
        "InstanceRefreshId": str(mock_random.uuid4()),
        "AutoScalingGroupName": group.name,
        "Status": "InProgress",
        "StartTime": utcnow(),
        "Preferences": self._get_param("Preferences", {}),
        "old": [state.instance.id for state in group.instance_states],
        "total": len(group.instance_states),
    }
    group.refreshes.append(refresh)
    _advance(group)
    return ActionResult({"InstanceRefreshId": refresh["InstanceRefreshId"]})


def _describe(self: Any) -> Any:
    from moto.core.responses import ActionResult

    group = model.require(self.autoscaling_backend, self._get_param("AutoScalingGroupName"))
    wanted = self._get_param("InstanceRefreshIds", [])
    _advance(group)
    shown = [
        {k: v for k, v in refresh.items() if k not in ("old", "total")}
        for refresh in reversed(group.refreshes)
        if not wanted or refresh["InstanceRefreshId"] in wanted
    ]
    return ActionResult({"InstanceRefreshes": shown})


def _cancel(self: Any) -> Any:
    from moto.core.responses import ActionResult
    from moto.core.utils import utcnow

    group = model.require(self.autoscaling_backend, self._get_param("AutoScalingGroupName"))
    _advance(group)
    if not group.refreshes or group.refreshes[-1]["Status"] not in ACTIVE:
        raise model.error(
            "ActiveInstanceRefreshNotFound",
            f"No in progress or pending Instance Refresh found for Auto Scaling group {group.name}",
        )
    refresh = group.refreshes[-1]
    refresh.update(Status="Cancelled", EndTime=utcnow(), StatusReason="Cancelled due to user request.")
    return ActionResult({"InstanceRefreshId": refresh["InstanceRefreshId"]})


def _advance(group: Any) -> None:
    """Replace what may be replaced, and close the refresh when nothing is left to do."""
    from moto.core.utils import utcnow

    if not group.refreshes or group.refreshes[-1]["Status"] not in ACTIVE:
        return
    refresh = group.refreshes[-1]
    preferences = refresh["Preferences"] or {}
    for state in [s for s in group.instance_states if s.instance.id in refresh["old"]]:
        if preferences.get("SkipMatching") and _matches(group, state):
            refresh["old"].remove(state.instance.id)
        elif state.protected_from_scale_in and preferences.get("ScaleInProtectedInstances") != "Refresh":
            if preferences.get("ScaleInProtectedInstances") == "Ignore":
                refresh["old"].remove(state.instance.id)
        else:
            refresh["old"].remove(state.instance.id)
            cause = f"instance refresh {refresh['InstanceRefreshId']} replaces instance {state.instance.id}"
            model.terminate(group, [state], cause)
            model.launch(group, 1, cause)
    here = {state.instance.id for state in group.instance_states}
    left = [identity for identity in refresh["old"] if identity in here]
    refresh["InstancesToUpdate"] = len(left)
    refresh["PercentageComplete"] = 100 if not left else 100 * (refresh["total"] - len(left)) // refresh["total"]
    if left:
        refresh["StatusReason"] = f"Waiting for instances protected from scale in: {', '.join(left)}"
    else:
        refresh.update(Status="Successful", EndTime=utcnow())
        refresh.pop("StatusReason", None)


def _matches(group: Any, state: Any) -> bool:
    """Whether an instance is what the group would launch now."""
    template = group.ec2_launch_template
    if template is None:
        return False
    version = template.get_version(group.launch_template_version)
    launched = getattr(state.instance, "launched_from", None) or {}
    return launched.get("LaunchTemplateId") == template.id and launched.get("Version") == str(version.number)


PATCHES = (instance_refresh,)
