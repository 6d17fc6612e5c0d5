"""What the file names must be in it."""

from __future__ import annotations

from collections.abc import Iterator

from infra.errors import Problem
from infra.spec.explain import close, did_you_mean
from infra.spec.models import CONTROL_PLANE
from infra.spec.rules.base import Context, Loc, Rule


class ProfileExists(Rule):
    name = "profile-exists"
    level = "error"
    summary = "Every pool, host and metal group names a profile that is there."
    passes = "pools: {cpu: {profile: cpu}}"
    fails = "pools: {cpu: {profile: cpus}}"

    def check(self, ctx: Context) -> Iterator[Problem]:
        cluster = ctx.cluster
        for section in ("pools", "hosts", "metal"):
            for name, item in getattr(cluster, section).items():
                if item.profile not in cluster.profiles:
                    yield self.found(
                        ctx,
                        (section, name, "profile"),
                        f"{section}.{name} names the profile {item.profile!r}",
                        f"the profiles are: {', '.join(cluster.profiles) or 'none'}",
                        did_you_mean(item.profile, cluster.profiles, f"add it: profiles: {{{item.profile}: {{}}}}"),
                    )


class ProfileUsed(Rule):
    name = "profile-used"
    level = "warning"
    summary = "Every profile is used by some machine."
    passes = "profiles: {cpu: {}, gpu: {}}"
    fails = "profiles: {spare: {}}"

    def check(self, ctx: Context) -> Iterator[Problem]:
        cluster = ctx.cluster
        used = {item.profile for part in (cluster.pools, cluster.hosts, cluster.metal) for item in part.values()}
        used |= {CONTROL_PLANE} if cluster.cloud_plane else set()
        for name in cluster.profiles:
            if name not in used:
                where: Loc = ("profiles", name)
                yield self.found(ctx, where, f"no machine has the profile {name!r}", "", "use it, or remove it")


class RegionListed(Rule):
    name = "region-listed"
    level = "error"
    summary = "Pools, hosts, storage and existing networks are in regions that aws.regions lists."
    passes = "aws: {regions: [us-west-2, us-east-1]}\npools: {cpu: {regions: [us-east-1]}}"
    fails = "aws: {regions: [us-west-2]}\npools: {cpu: {regions: [us-east-1]}}"

    def check(self, ctx: Context) -> Iterator[Problem]:
        if ctx.cluster.aws is None:
            return
        listed = ctx.cluster.aws.regions
        for loc, region in _regions(ctx):
            if region not in listed:
                near = close(region, listed, 0.8)
                yield self.found(
                    ctx,
                    loc,
                    f"{'.'.join(map(str, loc[:2]))} is in {region}",
                    f"aws.regions lists {', '.join(listed)}",
                    f"did you mean: {near}" if near else f"add {region} to aws.regions",
                )


def _regions(ctx: Context) -> Iterator[tuple[Loc, str]]:
    cluster = ctx.cluster
    for name, pool in cluster.pools.items():
        yield from ((("pools", name, "regions", place), region) for place, region in enumerate(pool.regions))
    for name, host in cluster.hosts.items():
        if host.region:
            yield ("hosts", name, "region"), host.region
    for name, storage in cluster.storage.items():
        yield from ((("storage", name, "regions", place), region) for place, region in enumerate(storage.regions))
    for region in cluster.network.existing:
        yield ("network", "existing", region), region


class RegionTwice(Rule):
    name = "region-twice"
    level = "error"
    summary = "No list names a region twice."
    passes = "pools: {cpu: {regions: [us-west-2]}}"
    fails = "pools: {cpu: {regions: [us-west-2, us-west-2]}}"

    def check(self, ctx: Context) -> Iterator[Problem]:
        seen: set[tuple[Loc, str]] = set()
        for loc, region in _regions(ctx):
            key = (loc[:2], region)
            if key in seen and "existing" not in loc:
                yield self.found(
                    ctx, loc, f"{'.'.join(map(str, loc[:2]))} names {region} twice", "", "remove one of them"
                )
            seen.add(key)


class RegionKnown(Rule):
    name = "region-known"
    level = "warning"
    summary = "Regions are ones that the shipped data on AWS knows."
    passes = "aws: {regions: [us-west-2]}"
    fails = "aws: {regions: [us-west-2, us-wset-1]}"

    def check(self, ctx: Context) -> Iterator[Problem]:
        for place, region in enumerate(ctx.cluster.aws.regions if ctx.cluster.aws else []):
            if not ctx.catalog.zones(region):
                yield self.found(
                    ctx,
                    ("aws", "regions", place),
                    f"the region {region} is not known",
                    f"it is not in the data of {ctx.catalog.date}; nothing can be checked about it",
                    did_you_mean(region, ctx.catalog.regions(), "check its name"),
                )


class AutoscaledPoolExists(Rule):
    name = "autoscaled-pool-exists"
    level = "error"
    summary = "kubernetes.autoscale.pools names pools that are there."
    passes = "kubernetes: {autoscale: {pools: [gpu]}}"
    fails = "kubernetes: {autoscale: {pools: [gpus]}}"

    def check(self, ctx: Context) -> Iterator[Problem]:
        kubernetes = ctx.cluster.kubernetes
        for place, pool in enumerate(kubernetes.autoscale.pools if kubernetes and kubernetes.autoscale else []):
            if pool not in ctx.cluster.pools:
                yield self.found(
                    ctx,
                    ("kubernetes", "autoscale", "pools", place),
                    f"kubernetes.autoscale names the pool {pool!r}",
                    f"the pools are: {', '.join(ctx.cluster.pools) or 'none'}",
                    did_you_mean(pool, ctx.cluster.pools, "remove it, or add the pool"),
                )


class AwsNeeded(Rule):
    name = "aws-needed"
    level = "error"
    summary = "Whatever lives in AWS needs the aws section."
    passes = "aws: {regions: [us-west-2]}"
    fails = "aws: null"

    def check(self, ctx: Context) -> Iterator[Problem]:
        cluster = ctx.cluster
        if cluster.aws is not None:
            return
        wants: list[tuple[Loc, str]] = [(("pools", name), f"the pool {name}") for name in cluster.pools]
        wants += [(("hosts", name), f"the host {name}") for name in cluster.hosts]
        wants += [
            (("storage", name), f"the storage {name} ({item.kind})")
            for name, item in cluster.storage.items()
            if item.kind != "nfs"
        ]
        if cluster.kubernetes and not cluster.kubernetes.control_plane.metal:
            wants.append((("kubernetes",), "the control plane of kubernetes"))
        if cluster.state.s3:
            wants.append((("state", "s3"), "the state in S3"))
        for loc, what in wants:
            fix = "add: aws: {regions: [us-west-2]}"
            if loc == ("kubernetes",) and cluster.metal:
                name = next(iter(cluster.metal.values())).hosts[0].short
                fix += f"; or name a machine of yours: kubernetes: {{control_plane: {{metal: [{name}]}}}}"
            yield self.found(ctx, loc, f"{what} is in AWS, and there is no aws section", "", fix)


class SomethingDescribed(Rule):
    name = "something-described"
    level = "warning"
    summary = "The file describes at least one machine or file system."
    passes = "cluster: example"
    fails = "pools: null"

    def check(self, ctx: Context) -> Iterator[Problem]:
        cluster = ctx.cluster
        if not (cluster.pools or cluster.hosts or cluster.metal or cluster.storage or cluster.kubernetes):
            yield self.found(
                ctx,
                ("cluster",),
                f"the cluster {cluster.cluster} has no machines",
                "there are no pools, hosts, metal, storage or kubernetes",
                "add a pool, or start from: infra init",
            )


class ExistingIds(Rule):
    name = "existing-ids"
    level = "error"
    summary = "Existing VPCs and subnets are named by ids of the right kind."
    passes = "network: {existing: {us-west-2: {vpc: {id: vpc-0a1b2c3d}, private: {ids: [subnet-0a1b2c3d]}}}}"
    fails = "network: {existing: {us-west-2: {vpc: {id: subnet-0a1b2c3d}, private: {ids: [subnet-0a1b2c3d]}}}}"

    def check(self, ctx: Context) -> Iterator[Problem]:
        for region, network in ctx.cluster.network.existing.items():
            around: Loc = ("network", "existing", region)
            wanted = [((*around, "vpc", "id"), network.vpc.id, "vpc-")]
            for side in ("private", "public"):
                subnets = getattr(network, side)
                for place, name in enumerate(subnets.ids if subnets else ()):
                    wanted.append(((*around, side, "ids", place), name, "subnet-"))
            for loc, name, prefix in wanted:
                if name is not None and not name.startswith(prefix):
                    what = f"{'.'.join(map(str, loc))} is {name[:60]!r}"
                    yield self.found(ctx, loc, what, f"such an id begins with {prefix}", f"write: {prefix}0123456789")


RULES = (
    ProfileExists,
    ProfileUsed,
    RegionListed,
    RegionTwice,
    RegionKnown,
    AutoscaledPoolExists,
    AwsNeeded,
    SomethingDescribed,
    ExistingIds,
)
