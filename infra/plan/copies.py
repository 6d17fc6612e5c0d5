"""Attributes in which a provider repeats what other resources say: those parts are left to the others. Pure.

A role lists the policies attached to it, a security group the rules made one by one; a refresh after the apply finds
them there. What remains when our own are taken away was put there by somebody else.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

Values = Mapping[str, Any]
Known = Mapping[str, list[Values]]  # resource type -> the values of each
PEERS = ("cidr_blocks", "ipv6_cidr_blocks", "prefix_list_ids", "security_groups")
Strip = Callable[[list[Any], Values, Known], list[Any]]


def _managed(items: list[Any], role: Values, known: Known) -> list[Any]:
    ours = {item.get("policy_arn") for item in known.get("aws_iam_role_policy_attachment", ()) if _of_role(item, role)}
    return [item for item in items if item not in ours]


def _inline(items: list[Any], role: Values, known: Known) -> list[Any]:
    ours = {item.get("name") for item in known.get("aws_iam_role_policy", ()) if _of_role(item, role)}
    return [item for item in items if isinstance(item, dict) and item.get("name") and item["name"] not in ours]


def _of_role(item: Values, role: Values) -> bool:
    return item.get("role") in (role.get("name"), role.get("id"))


def _rules(kind: str) -> Strip:
    def strip(items: list[Any], group: Values, known: Known) -> list[Any]:
        ours = {_key(rule, group) for rule in known.get(kind, ()) if rule.get("security_group_id") == group.get("id")}
        return [rule for item in items for rule in single(item) if not ours or _single_key(rule) not in ours]

    return strip


def single(item: Any) -> list[Any]:
    """A rule with many peers as one rule per peer, so that the one that differs is seen."""
    if not isinstance(item, dict):
        return [item]
    found = []
    bare = {**item, **{key: [] for key in PEERS}, "self": False}
    for key in PEERS:
        found += [{**bare, key: [peer]} for peer in item.get(key) or []]
    if item.get("self"):
        found.append({**bare, "self": True})
    return found or [item]


def _single_key(rule: Any) -> tuple[Any, ...]:
    if not isinstance(rule, dict):
        return (rule,)
    peer = (
        "self"
        if rule.get("self")
        else next(
            (
                rule[key][0]
                for key in ("cidr_blocks", "ipv6_cidr_blocks", "prefix_list_ids", "security_groups")
                if rule[key]
            ),
            None,
        )
    )
    return (rule.get("protocol"), *_ports(rule.get("protocol"), rule.get("from_port"), rule.get("to_port")), peer)


def _key(rule: Values, group: Values) -> tuple[Any, ...]:
    """The same for a rule that is a resource of its own."""
    other = rule.get("referenced_security_group_id")
    peer = "self" if other and other == group.get("id") else other
    peer = rule.get("cidr_ipv4") or rule.get("cidr_ipv6") or rule.get("prefix_list_id") or peer
    return (rule.get("ip_protocol"), *_ports(rule.get("ip_protocol"), rule.get("from_port"), rule.get("to_port")), peer)


def _ports(protocol: Any, first: Any, last: Any) -> tuple[int, int]:
    return (0, 0) if protocol == "-1" else (first or 0, last or 0)


def _routes(items: list[Any], table: Values, known: Known) -> list[Any]:
    ours = {
        item.get("destination_cidr_block") or item.get("destination_ipv6_cidr_block")
        for item in known.get("aws_route", ())
        if item.get("route_table_id") == table.get("id")
    }
    return [item for item in items if not isinstance(item, dict) or _destination(item) not in ours]


def _destination(route: Values) -> Any:
    return route.get("cidr_block") or route.get("ipv6_cidr_block") or object()


COPIES: Mapping[tuple[str, str], Strip] = {
    ("aws_iam_role", "managed_policy_arns"): _managed,
    ("aws_iam_role", "inline_policy"): _inline,
    ("aws_security_group", "ingress"): _rules("aws_vpc_security_group_ingress_rule"),
    ("aws_security_group", "egress"): _rules("aws_vpc_security_group_egress_rule"),
    ("aws_route_table", "route"): _routes,
}


def stripped(kind: str, values: Values, known: Known) -> dict[str, Any]:
    """The values without what other resources say."""
    found = dict(values)
    for (of, attribute), strip in COPIES.items():
        if of == kind and isinstance(found.get(attribute), list):
            found[attribute] = strip(found[attribute], values, known)
    return found


RULES = ("aws_vpc_security_group_ingress_rule", "aws_vpc_security_group_egress_rule")


def foreign(kind: str, values: Values, known: Known) -> list[tuple[str, Any]]:
    """(attribute, element) of what is on the resource and nobody's: policies on a role, rules of a group whose rules
    are resources, routes of a table. An apply leaves those alone, so the state comes to know them as if they belonged
    there."""
    bare = stripped(kind, values, known)
    return [(name, item) for name in shared(kind, known) for item in bare.get(name) or ()]


def shared(kind: str, known: Known) -> tuple[str, ...]:
    """The attributes that hold what is ours by resources of their own, and what anybody else adds."""
    if kind == "aws_iam_role":
        return ("managed_policy_arns", "inline_policy")
    if kind == "aws_route_table" and "aws_route" in known:
        return ("route",)
    if kind == "aws_security_group" and any(rule in known for rule in RULES):
        return ("ingress", "egress")
    return ()


def collect(resources: Iterable[tuple[str, Values]]) -> dict[str, list[Values]]:
    """Resources by type."""
    found: dict[str, list[Values]] = {}
    for kind, values in resources:
        found.setdefault(kind, []).append(values)
    return found
