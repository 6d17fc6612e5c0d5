"""EC2 placement groups, which moto lacks altogether."""

from __future__ import annotations

from typing import Any

from infra.local.extensions import put, wrap

STRATEGIES = ("cluster", "spread", "partition")
MAX_PARTITIONS = 7


def placement_groups() -> None:
    """Create-, Describe- and DeletePlacementGroup(s), with tags, filters and the refusal to delete one in use."""
    from moto.ec2.models import EC2Backend
    from moto.ec2.responses import EC2Response
    from moto.ec2.utils import EC2_PREFIX_TO_RESOURCE, EC2_RESOURCE_TO_PREFIX

    EC2_RESOURCE_TO_PREFIX["placement-group"] = "pg"
    EC2_PREFIX_TO_RESOURCE["pg"] = "placement-group"

    @wrap(EC2Backend, "__init__")
    def _(original: Any, self: Any, *args: Any, **kwargs: Any) -> None:
        self.placement_groups = {}
        original(self, *args, **kwargs)

    put(EC2Response, "create_placement_group", _create)
    put(EC2Response, "describe_placement_groups", _describe)
    put(EC2Response, "delete_placement_group", _delete)


def require(backend: Any, name: str) -> Any:
    """The group of that name (or id); the error that AWS gives when there is none."""
    for group in backend.placement_groups.values():
        if name in (group.group_name, group.id):
            return group
    raise _error("InvalidPlacementGroup.Unknown", f"The Placement Group '{name}' is unknown.")


def _group_class() -> Any:
    from moto.ec2.models.core import TaggedEC2Resource
    from moto.ec2.utils import random_id

    class PlacementGroup(TaggedEC2Resource):
        """Attribute names are those that moto's serializer turns into the members of the API's PlacementGroup."""

        def __init__(self, backend: Any, name: str, strategy: str, partitions: int | None, spread: str | None) -> None:
            self.ec2_backend = backend
            self.id = self.group_id = random_id("pg")
            self.group_name = name
            self.strategy = strategy
            self.state = "available"
            self.partition_count = (partitions or 2) if strategy == "partition" else None
            self.spread_level = (spread or "rack") if strategy == "spread" else None
            self.group_arn = (
                f"arn:{backend.partition}:ec2:{backend.region_name}:{backend.account_id}:placement-group/{name}"
            )

        @property
        def tags(self) -> list[dict[str, str]]:
            tags: list[dict[str, str]] = self.get_tags()
            return tags

    return PlacementGroup


_CLASS: list[Any] = []


def _create(self: Any) -> Any:
    from moto.core.responses import ActionResult

    name = self._get_param("GroupName")
    strategy = self._get_param("Strategy") or "cluster"
    partitions = self._get_int_param("PartitionCount")
    tags = self._parse_tag_specification("placement-group").get("placement-group", {})
    if not name:
        raise _error("MissingParameter", "The request must contain the parameter groupName")
    if strategy not in STRATEGIES:
        raise _error("InvalidParameterValue", f"Value ({strategy}) for parameter strategy is invalid.")
    if partitions is not None and (strategy != "partition" or not 1 <= partitions <= MAX_PARTITIONS):
        raise _error("InvalidParameterValue", f"Value ({partitions}) for parameter partitionCount is invalid.")
    backend = self.ec2_backend
    if name in backend.placement_groups:
        raise _error("InvalidPlacementGroup.Duplicate", f"The Placement Group '{name}' already exists.")
    self.error_on_dryrun()
    if not _CLASS:
        _CLASS.append(_group_class())
    group = _CLASS[0](backend, name, strategy, partitions, self._get_param("SpreadLevel"))
    group.add_tags(tags)
    backend.placement_groups[name] = group
    return ActionResult({"PlacementGroup": group})


def _describe(self: Any) -> Any:
    from moto.core.responses import ActionResult
    from moto.ec2.utils import generic_filter

    backend = self.ec2_backend
    names = [*self._get_param("GroupNames", []), *self._get_param("GroupIds", [])]
    groups = [require(backend, name) for name in names] if names else list(backend.placement_groups.values())
    return ActionResult({"PlacementGroups": generic_filter(self._filters_from_querystring(), groups)})


def _delete(self: Any) -> Any:
    from moto.core.responses import EmptyResult

    backend = self.ec2_backend
    group = require(backend, self._get_param("GroupName"))
    self.error_on_dryrun()
    if any(i.placement.group_name == group.group_name and i.state != "terminated" for i in backend.all_instances()):
        raise _error(
            "InvalidPlacementGroup.InUse", f"The placement group {group.group_name} is in use and may not be deleted."
        )
    del backend.placement_groups[group.group_name]
    backend.tags.pop(group.id, None)
    return EmptyResult()


def _error(code: str, message: str) -> Exception:
    from moto.ec2.exceptions import EC2ClientError

    error: Exception = EC2ClientError(code, message)
    return error


PATCHES = (placement_groups,)
