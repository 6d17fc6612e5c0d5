"""EC2: small corrections of what moto answers."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any

from infra.local.extensions import put, wrap


def vpc_only_account() -> None:
    """Accounts have had no EC2-Classic since 2013; told otherwise, provider 3.x makes a classic, untaggable EIP."""
    from moto.ec2.responses.account_attributes import AccountAttributes

    @wrap(AccountAttributes, "describe_account_attributes")
    def _(original: Any, self: Any) -> Any:
        answer = original(self)
        for attribute in answer.result["AccountAttributes"]:
            if attribute["AttributeName"] == "supported-platforms":
                attribute["AttributeValues"] = [{"AttributeValue": "VPC"}]
        wanted = self._get_param("AttributeNames", [])
        if wanted:
            kept = [a for a in answer.result["AccountAttributes"] if a["AttributeName"] in wanted]
            answer.result["AccountAttributes"] = kept
        return answer


class FilterPatterns:
    """The patterns of EC2's filters: ``*`` and ``?`` (a backslash before one makes it plain), but no brackets."""

    @staticmethod
    @lru_cache(maxsize=4096)
    def translate(pattern: str) -> str:
        # moto hands over an escaped wild card as [?] or [*]
        tokens = re.findall(r"\[[?*]\]|\\[*?\\]|.", pattern, re.DOTALL)
        special = {"*": ".*", "?": "."}
        parts = [special.get(t) or re.escape(t.strip("[]\\") if len(t) > 1 else t) for t in tokens]
        return f"(?s:{''.join(parts)})\\Z"

    @classmethod
    def fnmatch(cls, value: str, pattern: str) -> bool:
        return re.match(cls.translate(pattern), str(value)) is not None


def filter_patterns() -> None:
    """moto takes brackets in a filter for a set of characters; a tag such as ``subnet.x["us-west-2a"]`` has some."""
    from moto.ec2 import utils

    put(utils, "fnmatch", FilterPatterns)


def one_resource_tags() -> None:
    """A resource's own tags, without matching a pattern against every tag of the region (each Describe does that)."""
    from moto.ec2.models.tags import TagBackend
    from moto.ec2.utils import EC2_PREFIX_TO_RESOURCE, get_prefix

    @wrap(TagBackend, "describe_tags")
    def _(original: Any, self: Any, filters: dict[str, list[str]] | None = None) -> Any:
        if not filters or set(filters) != {"resource-id"} or any(c in "".join(filters["resource-id"]) for c in "*?\\"):
            return original(self, filters)
        return [
            {
                "resource_id": resource,
                "key": key,
                "value": value,
                "resource_type": EC2_PREFIX_TO_RESOURCE.get(get_prefix(resource), ""),
            }
            for resource in filters["resource-id"]
            for key, value in self.tags.get(resource, {}).items()
        ]


def detailed_monitoring() -> None:
    """MonitorInstances and UnmonitorInstances: ``aws_instance`` calls them when ``monitoring`` changes."""
    from moto.core.responses import ActionResult
    from moto.ec2.responses import EC2Response

    def change(state: str) -> Any:
        def method(self: Any) -> Any:
            instances = self.ec2_backend.get_multi_instances_by_id(self._get_param("InstanceIds", []))
            for instance in instances:
                instance.monitoring_state = state
            entries = [{"InstanceId": i.id, "Monitoring": {"State": state}} for i in instances]
            return ActionResult({"InstanceMonitorings": entries})

        return method

    put(EC2Response, "monitor_instances", change("enabled"))
    put(EC2Response, "unmonitor_instances", change("disabled"))


def dhcp_option_tags() -> None:
    """CreateDhcpOptions with tags: moto drops them, and the next plan would add them again."""
    from moto.ec2.responses import EC2Response

    @wrap(EC2Response, "create_dhcp_options")
    def _(original: Any, self: Any) -> Any:
        answer = original(self)
        tags = self._parse_tag_specification("dhcp-options").get("dhcp-options", {})
        answer.result["DhcpOptions"].add_tags(tags)
        return answer


def nat_gateway_deletion() -> None:
    """A deleted NAT gateway gives back its interface and its address; in moto both stay behind for ever."""
    from moto.ec2.models.nat_gateways import NatGatewayBackend

    @wrap(NatGatewayBackend, "delete_nat_gateway")
    def _(original: Any, self: Any, nat_gateway_id: str) -> Any:
        if nat_gateway_id not in self.nat_gateways:
            from moto.ec2.exceptions import EC2ClientError

            raise EC2ClientError("NatGatewayNotFound", f"The Nat Gateway {nat_gateway_id} was not found")
        gateway = original(self, nat_gateway_id)
        for address in self.addresses:
            if address.eni is gateway._eni:
                address.eni = address.association_id = None
        self.enis.pop(gateway._eni.id, None)
        return gateway


def instance_pages() -> None:
    """DescribeInstances gives up to 1,000 at once when no page size is asked for; moto's pages have 100 groups."""
    from moto.ec2.responses import EC2Response

    @wrap(EC2Response, "describe_instances")
    def _(original: Any, self: Any) -> Any:
        if not self._get_param("MaxResults"):
            self.params["MaxResults"] = 1000
        return original(self)


PATCHES = (
    vpc_only_account,
    filter_patterns,
    one_resource_tags,
    detailed_monitoring,
    dhcp_option_tags,
    nat_gateway_deletion,
    instance_pages,
)
