"""Auto Scaling: groups that keep what an update does not mention, stay within their bounds and spread over zones."""

from __future__ import annotations

from typing import Any

from infra.local import autoscaling_group as model
from infra.local.extensions import put, wrap

KEPT = {
    "DefaultCooldown": "default_cooldown",
    "PlacementGroup": "placement_group",
    "TerminationPolicies": "termination_policies",
    "CapacityRebalance": "capacity_rebalance",
    "MaxInstanceLifetime": "max_instance_lifetime",
    "DefaultInstanceWarmup": "default_instance_warmup",
    "DesiredCapacityType": "desired_capacity_type",
    "Context": "context",
}
"""Members that moto accepts and forgets, in Create-, in UpdateAutoScalingGroup, or in both."""


def group_creation() -> None:
    """A taken name is refused (moto would lose the old group's instances), and so is a template that cannot launch.

    AWS tries the launch template when the group is made; without that the provider waits ten minutes for capacity.
    """
    from moto.autoscaling.responses import AutoScalingResponse

    @wrap(AutoScalingResponse, "create_auto_scaling_group")
    def _(original: Any, self: Any) -> Any:
        name = self._get_param("AutoScalingGroupName")
        backend = self.autoscaling_backend
        if name in backend.autoscaling_groups:
            raise model.error(
                "AlreadyExists",
                f"AutoScalingGroup by this name already exists - A group with the name {name} already exists",
            )
        minimum, maximum = self._get_int_param("MinSize", 0), self._get_int_param("MaxSize", 0)
        model.check_bounds(minimum, maximum, self._get_int_param("DesiredCapacity", minimum))
        backend.pending_members = {a: self._get_param(m) for m, a in KEPT.items() if self._get_param(m) is not None}
        return original(self)


def group_update() -> None:
    """Only what the request names changes: moto drops the mixed-instances policy when MaxSize alone is given."""
    from moto.autoscaling.responses import AutoScalingResponse

    def method(self: Any) -> Any:
        from moto.core.responses import EmptyResult

        model.update(self.autoscaling_backend, self._get_params(), KEPT)
        return EmptyResult()

    put(AutoScalingResponse, "update_auto_scaling_group", method)


def group_capacity() -> None:
    """Instances have all that the template says, are spread over the zones, and the oldest go first."""
    from moto.autoscaling.models import FakeAutoScalingGroup

    @wrap(FakeAutoScalingGroup, "__init__")
    def _(original: Any, self: Any, *args: Any, **kwargs: Any) -> None:
        self.activities = []
        self.refreshes = []
        backend = kwargs["autoscaling_backend"]
        for name, value in vars(backend).pop("pending_members", {}).items():
            setattr(self, name, value)
        original(self, *args, **kwargs)

    def set_desired_capacity(self: Any, new_capacity: int | None) -> None:
        self.desired_capacity = self.min_size if new_capacity is None else new_capacity
        model.reconcile(self)

    def replace(self: Any, count_needed: int, propagated_tags: dict[str, str]) -> None:
        model.launch(self, count_needed, "an instance was taken out of service in response to an EC2 health check")

    put(FakeAutoScalingGroup, "set_desired_capacity", set_desired_capacity)
    put(FakeAutoScalingGroup, "replace_autoscaling_group_instances", replace)
    put(FakeAutoScalingGroup, "launch_template", property(model.plain_template))


def instance_template() -> None:
    """A group's instance shows the template version that it was launched from, not the template's present default."""
    from moto.autoscaling.models import InstanceState

    def launch_template(self: Any) -> Any:
        return getattr(self.instance, "launched_from", None)

    put(InstanceState, "launch_template", property(launch_template))


def capacity_requests() -> None:
    """SetDesiredCapacity and TerminateInstanceInAutoScalingGroup refuse what is out of the group's bounds."""
    from moto.autoscaling.responses import AutoScalingResponse

    @wrap(AutoScalingResponse, "set_desired_capacity")
    def _(original: Any, self: Any) -> Any:
        group = model.require(self.autoscaling_backend, self._get_param("AutoScalingGroupName"))
        desired = self._get_int_param("DesiredCapacity", 0)
        for bound, kind in ((group.min_size, "below min"), (group.max_size, "above max")):
            if (desired < bound) if kind == "below min" else (desired > bound):
                raise model.error(
                    "ValidationError",
                    f"New SetDesiredCapacity value {desired} is {kind} value {bound} for the AutoScalingGroup.",
                )
        return original(self)

    @wrap(AutoScalingResponse, "terminate_instance_in_auto_scaling_group")
    def _(original: Any, self: Any) -> Any:
        identity = self._get_param("InstanceId")
        group = model.group_of(self.autoscaling_backend, identity)
        if group is None:
            raise model.error("ValidationError", f"Instance Id not found - No managed instance found for {identity}")
        decrement = self._get_bool_param("ShouldDecrementDesiredCapacity", False)
        if decrement and group.desired_capacity <= group.min_size:
            raise model.error(
                "ValidationError",
                f"Currently, desiredSize equals minSize ({group.min_size}). Terminating instance without "
                "replacement will violate group's min size constraint.",
            )
        answer = original(self)
        cause = "an instance was taken out of service in response to a user request"
        model.record(group, f"Terminating EC2 instance: {identity}", cause)
        return answer


def group_deletion() -> None:
    """A group with instances is not deleted unless forced; its policies and hooks go with it."""
    from moto.autoscaling.responses import AutoScalingResponse

    @wrap(AutoScalingResponse, "delete_auto_scaling_group")
    def _(original: Any, self: Any) -> Any:
        backend = self.autoscaling_backend
        group = model.require(backend, self._get_param("AutoScalingGroupName"))
        if group.instance_states and not self._get_bool_param("ForceDelete", False):
            raise model.error(
                "ResourceInUse",
                "You cannot delete an AutoScalingGroup while there are instances or pending Spot instance request(s) "
                "still in the group.",
            )
        for state in group.instance_states:
            state.protected_from_scale_in = False
        answer = original(self)
        for store in (backend.policies, backend.lifecycle_hooks):
            for key in [k for k, v in store.items() if v.auto_scaling_group_name == group.name]:
                del store[key]
        return answer


def scaling_activities() -> None:
    """DescribeScalingActivities: what was launched and terminated, newest first; moto's list is always empty."""
    from moto.autoscaling.responses import AutoScalingResponse

    def method(self: Any) -> Any:
        from moto.core.responses import ActionResult

        name = self._get_param("AutoScalingGroupName")
        wanted = self._get_param("ActivityIds", [])
        groups = [g for g in self.autoscaling_backend.autoscaling_groups.values() if not name or g.name == name]
        found = [a for g in groups for a in reversed(g.activities) if not wanted or a["ActivityId"] in wanted]
        found.sort(key=lambda activity: activity["StartTime"], reverse=True)
        start = int(self._get_param("NextToken") or 0)
        end = start + (self._get_int_param("MaxRecords") or 100)
        return ActionResult({"Activities": found[start:end], "NextToken": str(end) if end < len(found) else None})

    put(AutoScalingResponse, "describe_scaling_activities", method)


def plain_hooks() -> None:
    """A lifecycle hook has the role and the notification target that it was given; moto shows the same two for all."""
    from moto.autoscaling.models import LifecycleHook
    from moto.autoscaling.responses import AutoScalingResponse

    @wrap(LifecycleHook, "__init__")
    def _(original: Any, self: Any, *args: Any, **kwargs: Any) -> None:
        original(self, *args, **kwargs)
        self.role_arn = self.notification_target_arn = self.notification_metadata = None

    @wrap(AutoScalingResponse, "put_lifecycle_hook")
    def _(original: Any, self: Any) -> Any:
        answer = original(self)
        group, name = self._get_param("AutoScalingGroupName"), self._get_param("LifecycleHookName")
        hook = self.autoscaling_backend.lifecycle_hooks[f"{group}_{name}"]
        hook.role_arn = self._get_param("RoleARN")
        hook.notification_target_arn = self._get_param("NotificationTargetARN")
        hook.notification_metadata = self._get_param("NotificationMetadata")
        return answer


PATCHES = (
    group_creation,
    group_update,
    group_capacity,
    instance_template,
    capacity_requests,
    group_deletion,
    scaling_activities,
    plain_hooks,
)
