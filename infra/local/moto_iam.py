"""What moto's IAM lacks."""

from __future__ import annotations

import json
from typing import Any

from infra.local.extensions import wrap


def managed_policies() -> None:
    """AWS's own managed policies, loaded at the first request that needs one (moto: all at the start, or none)."""
    from moto.iam import models
    from moto.iam.aws_managed_policies import aws_managed_policies_data

    def load(self: Any) -> None:
        if self.aws_managed_policies:
            return
        for name, data in json.loads(aws_managed_policies_data).items():
            policy = models.AWSManagedPolicy.from_data(name, self.account_id, self.region_name, data)
            self.aws_managed_policies.append(policy)
            self.managed_policies[policy.arn] = policy

    for name in ("attach_role_policy", "get_policy", "get_policy_version", "attach_group_policy", "attach_user_policy"):

        @wrap(models.IAMBackend, name)
        def _(original: Any, self: Any, *args: Any, **kwargs: Any) -> Any:
            if any(":iam::aws:policy/" in str(value) for value in [*args, *kwargs.values()]):
                load(self)
            return original(self, *args, **kwargs)

    @wrap(models.IAMBackend, "list_policies")
    def _(original: Any, self: Any, marker: Any, max_items: Any, only_attached: Any, prefix: Any, scope: str) -> Any:
        if scope != "Local":
            load(self)
        return original(self, marker, max_items, only_attached, prefix, scope)


PATCHES = (managed_policies,)
