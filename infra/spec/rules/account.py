"""What only the account knows; silent without credentials."""

from __future__ import annotations

from collections.abc import Iterator

from infra.errors import Problem
from infra.spec.facts import QUOTA_CODES, quota_key
from infra.spec.rules.base import Context, Loc, Rule


class QuotaEnough(Rule):
    name = "quota-enough"
    level = "warning"
    summary = "The account's vCPU quotas allow all pools at their maximum."
    passes = "cluster: example"
    fails = "pools: {cpu: {size: {max: 10000}}}\nnetwork: {cidr: 10.40.0.0/16}"

    def check(self, ctx: Context) -> Iterator[Problem]:
        wanted: dict[tuple[str, str], int] = {}
        places: dict[tuple[str, str], Loc] = {}
        for group in ctx.groups:
            pool = ctx.cluster.pools.get(str(group.loc[1])) if group.loc[0] == "pools" else None
            if pool and pool.capacity.kind == "block":
                continue
            market = "spot" if pool and pool.capacity.kind == "spot" else "on-demand"
            kinds = [kind for kind in map(ctx.kind, group.types) if kind]
            for region in group.regions if kinds else ():
                largest = max(kinds, key=lambda kind: kind.vcpus)
                place = (region, quota_key(largest, market))
                wanted[place] = wanted.get(place, 0) + group.most * largest.vcpus
                places.setdefault(place, group.loc)
        for (region, key), vcpus in wanted.items():
            quota = ctx.facts.quotas.get(region, {}).get(key)
            if quota is None:
                continue
            used = ctx.facts.used.get(region, {}).get(key, 0)
            if vcpus + used > quota:
                others = f", and others use {used}" if used else ""
                yield self.found(
                    ctx,
                    places[region, key],
                    f"in {region} up to {vcpus} vCPUs ({key}) are wanted, and the quota is {quota}{others}",
                    "AWS refuses machines above it",
                    f"ask for more: aws service-quotas request-service-quota-increase --service-code ec2 --region "
                    f"{region} --quota-code {QUOTA_CODES.get(key, 'CODE')} --desired-value {vcpus + used}",
                )


class KeyPairFree(Rule):
    name = "key-pair-free"
    level = "error"
    summary = "No key pair of the account has a name that this cluster would give one."
    passes = "cluster: example"
    fails = "cluster: taken"

    def check(self, ctx: Context) -> Iterator[Problem]:
        for region, names in ctx.facts.key_pairs.items():
            for user in ctx.cluster.access.users:
                name = f"{ctx.cluster.cluster}-{user}"
                if name in names:
                    yield self.found(
                        ctx,
                        ("access", "users", user),
                        f"{region} has a key pair {name!r} that is not this cluster's",
                        "AWS would refuse a second one of that name",
                        f"remove it (aws ec2 delete-key-pair --region {region} --key-name {name}), or rename the user",
                    )


RULES = (QuotaEnough, KeyPairFree)
