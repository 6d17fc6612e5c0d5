"""What moto's IAM lacks."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

from infra.local.extensions import wrap


def managed_policies() -> None:
    """AWS's own managed policies, each made when asked for (moto: none, or 1,582 with every reset, in 0.7 s)."""
    from moto.iam import models

    for name in ("attach_role_policy", "get_policy", "get_policy_version", "attach_group_policy", "attach_user_policy"):

        @wrap(models.IAMBackend, name)
        def _(original: Any, self: Any, *args: Any, **kwargs: Any) -> Any:
            for value in [*args, *kwargs.values()]:
                if ":iam::aws:policy/" in str(value):
                    _make(self, value)
            return original(self, *args, **kwargs)

    @wrap(models.IAMBackend, "list_policies")
    def _(original: Any, self: Any, marker: Any, max_items: Any, only_attached: Any, prefix: Any, scope: str) -> Any:
        if scope != "Local" and not only_attached:
            for arn in _documents(self.partition):
                _make(self, arn)
        return original(self, marker, max_items, only_attached, prefix, scope)


def absent_roles() -> None:
    """RemoveRoleFromInstanceProfile of a role that is not in it: IAM says so, moto fails over its list."""
    from moto.iam.exceptions import NotFoundException
    from moto.iam.models import IAMBackend

    @wrap(IAMBackend, "remove_role_from_instance_profile")
    def _(original: Any, self: Any, profile_name: str, role_name: str) -> None:
        if all(role.name != role_name for role in self.get_instance_profile(profile_name).roles):
            raise NotFoundException(f"Role {role_name} is not in instance profile {profile_name}.")
        original(self, profile_name, role_name)


@cache
def _documents(partition: str) -> dict[str, tuple[str, Any]]:
    """arn -> name and moto's entry."""
    from moto.iam.aws_managed_policies import aws_managed_policies_data

    entries = json.loads(aws_managed_policies_data)
    return {f"arn:{partition}:iam::aws:policy{entry['Path']}{name}": (name, entry) for name, entry in entries.items()}


def _make(backend: Any, arn: str) -> None:
    from moto.iam.models import AWSManagedPolicy

    known = _documents(backend.partition).get(arn)
    if known is None or arn in backend.managed_policies:
        return
    name, entry = known
    policy = AWSManagedPolicy.from_data(name, backend.account_id, backend.region_name, entry)
    backend.aws_managed_policies.append(policy)
    backend.managed_policies[arn] = policy


PATCHES = (managed_policies, absent_roles)
