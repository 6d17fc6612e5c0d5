"""EC2 gateway endpoints: their routes stand in the route tables that the endpoint has at the moment."""

from __future__ import annotations

from typing import Any

from infra.local.extensions import wrap


def routes_follow_tables() -> None:
    """moto writes an endpoint's routes when it is made, and never again: tables that ModifyVpcEndpoint adds get none,
    those that it removes keep theirs, and DeleteVpcEndpoints fails at the first table without one."""
    from moto.ec2.models import EC2Backend
    from moto.ec2.utils import generate_route_id

    @wrap(EC2Backend, "modify_vpc_endpoint")
    def _(original: Any, self: Any, vpc_id: str, **asked: Any) -> None:
        endpoint = self.describe_vpc_endpoints(vpc_end_point_ids=[vpc_id])[0]
        for table in asked.get("add_route_tables") or []:
            self.get_route_table(table)  # a table that is not there is refused before anything changes
        before = list(endpoint.route_table_ids)
        original(self, vpc_id=vpc_id, **asked)
        prefix_list = endpoint.destination_prefix_list_id
        if not prefix_list:
            return
        for table in set(before) - set(endpoint.route_table_ids):
            drop(self, table, prefix_list)
        for table in endpoint.route_table_ids:
            if table not in before:
                self.create_route(table, None, gateway_id=endpoint.id, destination_prefix_list_id=prefix_list)

    @wrap(EC2Backend, "delete_vpc_endpoints")
    def _(original: Any, self: Any, vpce_ids: list[str] | None = None) -> None:
        for endpoint in [self.vpc_end_points[name] for name in vpce_ids or [] if name in self.vpc_end_points]:
            if str(endpoint.vpc_endpoint_type or "Gateway").lower() != "interface":
                endpoint.vpc_endpoint_type = endpoint.vpc_endpoint_type or "Gateway"
                for table in endpoint.route_table_ids:
                    drop(self, table, endpoint.destination_prefix_list_id)
                endpoint.route_table_ids = []
        original(self, vpce_ids)

    def drop(backend: Any, table: str, prefix_list: str | None) -> None:
        """Take the route away; a table that is gone took it along, and somebody may have removed it by hand."""
        if table in backend.route_tables and prefix_list:
            backend.route_tables[table]._routes.pop(generate_route_id(table, prefix_list), None)


PATCHES = (routes_follow_tables,)
