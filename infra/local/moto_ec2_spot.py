"""EC2: the spot request of a machine that Auto Scaling or RunInstances bought as spot; moto has none for those."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from infra.local.extensions import put, wrap

STATUS = {
    "fulfilled": "Your Spot request is fulfilled.",
    "marked-for-termination": "Your Spot Instance is marked for termination.",
    "instance-terminated-no-capacity": (
        "Your Spot instance was terminated because there is no Spot capacity available that matches your request."
    ),
    "instance-terminated-by-user": "Your Spot Instance was terminated by the user.",
}


def spot_requests() -> None:
    """DescribeSpotInstanceRequests: also those behind machines of groups; DescribeInstances names them."""
    from moto.ec2.models.instances import Instance
    from moto.ec2.responses import EC2Response

    def identity(self: Any) -> str | None:
        return "sir-" + self.id[-8:] if getattr(self, "lifecycle", None) == "spot" else None

    put(Instance, "spot_instance_request_id", property(identity))

    @wrap(EC2Response, "describe_spot_instance_requests")
    def _(original: Any, self: Any) -> Any:
        from moto.core.responses import ActionResult

        filters, names = self._filters_from_querystring(), self._get_param("SpotInstanceRequestIds", [])
        backend = self.ec2_backend
        owned = {one.instance.id for one in backend.spot_instance_requests.values()}
        asked = original(self).result["SpotInstanceRequests"] if owned else []
        bought = [one for one in backend.all_instances() if one.lifecycle == "spot" and one.id not in owned]
        shown = [_shown(one) for one in bought if not names or one.spot_instance_request_id in names]
        return ActionResult({"SpotInstanceRequests": [*asked, *(one for one in shown if _fits(one, filters))]})


def _shown(instance: Any) -> dict[str, Any]:
    gone = instance._state.name not in ("pending", "running", "stopping", "stopped")
    code = "fulfilled"
    if gone:
        taken = getattr(instance, "taken_back", False)
        code = "instance-terminated-no-capacity" if taken else "instance-terminated-by-user"
    elif getattr(instance, "noticed_at", None) is not None:
        code = "marked-for-termination"
    return {
        "SpotInstanceRequestId": instance.spot_instance_request_id,
        "InstanceId": instance.id,
        "State": "closed" if gone else "active",
        "Status": {"Code": code, "Message": STATUS[code], "UpdateTime": datetime.now(UTC)},
        "Type": "one-time",
        "CreateTime": instance.launch_time,
        "InstanceInterruptionBehavior": "terminate",
        "LaunchedAvailabilityZone": instance.placement.zone,
        "ProductDescription": "Linux/UNIX",
        "LaunchSpecification": {"ImageId": instance.image_id, "InstanceType": instance.instance_type},
    }


def _fits(shown: dict[str, Any], filters: dict[str, list[str]]) -> bool:
    from moto.ec2.exceptions import EC2ClientError

    values = {
        "instance-id": shown["InstanceId"],
        "launched-availability-zone": shown["LaunchedAvailabilityZone"],
        "spot-instance-request-id": shown["SpotInstanceRequestId"],
        "state": shown["State"],
        "status-code": shown["Status"]["Code"],
        "type": shown["Type"],
    }
    for name in filters:
        if name not in values:
            raise EC2ClientError("InvalidParameterValue", f"The filter '{name}' is invalid")
    return all(values[name] in wanted for name, wanted in filters.items())


PATCHES = (spot_requests,)
