"""EC2 peerings of VPCs: what each side sees of them, when they are refused, and what ends them."""

from __future__ import annotations

import copy
import ipaddress
from typing import Any

from infra.local.extensions import put, wrap

LIVE = ("initiating-request", "pending-acceptance", "provisioning", "active")


def both_sides() -> None:
    """moto shows the requester's tags on both sides, ignores every filter, and finds nothing wrong with an id that is
    not there. AWS keeps tags for each side."""
    from moto.ec2.exceptions import InvalidVPCPeeringConnectionIdError
    from moto.ec2.models.vpc_peering_connections import VPCPeeringConnection
    from moto.ec2.responses.vpc_peering_connections import VPCPeeringConnections
    from moto.ec2.utils import generic_filter

    class Seen(VPCPeeringConnection):
        """A peering as one side sees it."""

        def get_filter_value(self, filter_name: str, method_name: str | None = None) -> Any:
            known = {
                "vpc-peering-connection-id": self.id,
                "status-code": self._status.code,
                "status-message": self._status.message,
            }
            for side, vpc in (("requester", self.vpc), ("accepter", self.peer_vpc)):
                known |= {
                    f"{side}-vpc-info.vpc-id": vpc.id,
                    f"{side}-vpc-info.cidr-block": vpc.cidr_block,
                    f"{side}-vpc-info.owner-id": vpc.owner_id,
                }
            if filter_name in known:
                return known[filter_name]
            return super().get_filter_value(filter_name, "DescribeVpcPeeringConnections")

    def describe(self: Any) -> Any:
        from moto.core.responses import ActionResult

        backend = self.ec2_backend
        wanted = self._get_param("VpcPeeringConnectionIds", [])
        for ident in wanted:
            if ident not in backend.vpc_pcxs:
                raise InvalidVPCPeeringConnectionIdError(ident)
        seen = []
        for ident, peering in backend.vpc_pcxs.items():
            if not wanted or ident in wanted:
                view = copy.copy(peering)
                view.__class__ = Seen
                view.ec2_backend = backend
                seen.append(view)
        found = generic_filter(self._filters_from_querystring(), seen)
        return ActionResult({"VpcPeeringConnections": found})

    put(VPCPeeringConnections, "describe_vpc_peering_connections", describe)


def refusals() -> None:
    """Two VPCs have one peering at most, one of overlapping networks fails, and an ended one cannot be ended again."""
    from moto.ec2.exceptions import EC2ClientError, InvalidVPCPeeringConnectionStateTransitionError
    from moto.ec2.models import EC2Backend

    @wrap(EC2Backend, "create_vpc_peering_connection")
    def _(original: Any, self: Any, vpc: Any, peer_vpc: Any, tags: Any = None) -> Any:
        for other in self.vpc_pcxs.values():
            if other._status.code in LIVE and {other.vpc.id, other.peer_vpc.id} == {vpc.id, peer_vpc.id}:
                raise EC2ClientError(
                    "VpcPeeringConnectionAlreadyExists",
                    f"A VPC peering connection between {vpc.id} and {peer_vpc.id} already exists: {other.id}",
                )
        made = original(self, vpc, peer_vpc, tags)
        if ipaddress.ip_network(vpc.cidr_block).overlaps(ipaddress.ip_network(peer_vpc.cidr_block)):
            made._status.code = "failed"
            made._status.message = "Failed due to incorrect VPC-ID, Account ID, or overlapping CIDR range"
        return made

    @wrap(EC2Backend, "delete_vpc_peering_connection")
    def _(original: Any, self: Any, vpc_pcx_id: str) -> Any:
        if self.get_vpc_peering_connection(vpc_pcx_id)._status.code not in LIVE:
            raise InvalidVPCPeeringConnectionStateTransitionError(vpc_pcx_id)
        return original(self, vpc_pcx_id)


def end_with_vpc() -> None:
    """A VPC that goes takes its peerings along, and routes to a peering that is not active are black holes."""
    from moto.ec2.models import EC2Backend
    from moto.ec2.models.route_tables import Route

    @wrap(EC2Backend, "delete_vpc")
    def _(original: Any, self: Any, vpc_id: str) -> Any:
        gone = original(self, vpc_id)
        for peering in self.vpc_pcxs.values():
            if vpc_id in (peering.vpc.id, peering.peer_vpc.id) and peering._status.code in LIVE:
                peering._status.deleted(deleter_id=self.account_id)
        return gone

    def state(self: Any) -> str:
        return "blackhole" if self.vpc_pcx is not None and self.vpc_pcx._status.code != "active" else "active"

    put(Route, "state", property(state))


PATCHES = (both_sides, refusals, end_with_vpc)
