"""Names that AWS, Kubernetes or the operating system would refuse."""

from __future__ import annotations

import re
from collections.abc import Iterator

from infra.errors import Problem
from infra.spec.rules.base import Context, Loc, Rule

# Accounts that Ubuntu's images and our cookbooks bring along.
_ACCOUNTS = """
root daemon bin sys sync games man lp mail news uucp proxy www-data backup list irc gnats nobody systemd-network
systemd-resolve systemd-timesync messagebus syslog uuidd tcpdump tss landscape pollinate sshd fwupd-refresh usbmux
lxd admin sudo docker ubuntu ec2-user ssm-user ec2-instance-connect nvidia-persistenced etcd kube infra
"""
SYSTEM_USERS = frozenset(_ACCOUNTS.split())


class ClusterNameFree(Rule):
    name = "cluster-name"
    level = "error"
    summary = "The cluster's name does not begin as names that AWS keeps for itself."
    passes = "cluster: research"
    fails = "cluster: sg-lab"

    def check(self, ctx: Context) -> Iterator[Problem]:
        name = ctx.cluster.cluster
        refused = {"sg-": "a security group's", "internal-": "a load balancer's"}
        for prefix, whose in refused.items():
            if name.startswith(prefix) and ctx.cluster.aws:
                yield self.found(
                    ctx,
                    ("cluster",),
                    f"the cluster's name begins with {prefix!r}",
                    f"AWS refuses it at the beginning of {whose} name, and ours begin with the cluster's",
                    f"did you mean: {name.removeprefix(prefix) or 'lab'}",
                )


class UserReserved(Rule):
    name = "user-reserved"
    level = "error"
    summary = "No user has the name of a system account."
    passes = "cluster: example"
    fails = (
        "access: {users: {ubuntu: {keys: "
        '["ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIFrORCiFghWA5IVhIrl+Sfz3oMUZ5NRhtPQ7MAB7L40P"]}}}'
    )

    def check(self, ctx: Context) -> Iterator[Problem]:
        for name in ctx.cluster.access.users:
            if name in SYSTEM_USERS:
                yield self.found(
                    ctx,
                    ("access", "users", name),
                    f"{name!r} is an account of the system",
                    "its keys and rights would be changed on every machine",
                    "choose a person's name",
                )


class BucketName(Rule):
    name = "bucket-name"
    level = "error"
    summary = "Buckets have names that S3 accepts."
    passes = "storage: {results: {s3: {bucket: example-results}, mount: /results}}"
    fails = "storage: {results: {s3: {bucket: Example_Results}, mount: /results}}"

    def check(self, ctx: Context) -> Iterator[Problem]:
        for loc, bucket in buckets(ctx):
            why = bucket_problem(bucket)
            if why:
                better = re.sub(r"[^a-z0-9]+", "-", bucket.lower()).strip("-")[:63]
                fix = f"did you mean: {better}" if len(better) > 2 and not bucket_problem(better) else "choose another"
                yield self.found(ctx, loc, f"S3 refuses the bucket name {bucket!r}", why, fix)


class BucketDots(Rule):
    name = "bucket-dots"
    level = "warning"
    summary = "Bucket names have no dots."
    passes = "storage: {results: {s3: {bucket: example-results}, mount: /results}}"
    fails = "storage: {results: {s3: {bucket: example.results}, mount: /results}}"

    def check(self, ctx: Context) -> Iterator[Problem]:
        for loc, bucket in buckets(ctx):
            if "." in bucket and not bucket_problem(bucket):
                yield self.found(
                    ctx,
                    loc,
                    f"the bucket name {bucket!r} has a dot",
                    "the certificate of S3 does not cover it, so that HTTPS to it fails in many clients",
                    f"did you mean: {bucket.replace('.', '-')}",
                )


class BucketTwice(Rule):
    name = "bucket-twice"
    level = "error"
    summary = "No bucket is named twice; that of the state holds no data."
    passes = "storage: {results: {s3: {bucket: example-results}, mount: /results}}"
    fails = (
        "state: {s3: {bucket: example-results, region: us-west-2}}\n"
        "storage: {results: {s3: {bucket: example-results}, mount: /results}}"
    )

    def check(self, ctx: Context) -> Iterator[Problem]:
        first: dict[str, Loc] = {}
        for loc, bucket in buckets(ctx):
            if bucket in first:
                state = first[bucket][0] == "state"
                other = "that of the state" if state else ".".join(map(str, first[bucket][:2]))
                yield self.found(
                    ctx,
                    loc,
                    f"the bucket {bucket!r} is also {other}",
                    "data and state would be removed together" if state else "each storage makes a bucket of its own",
                    "give it another bucket",
                )
            first.setdefault(bucket, loc)


class BucketRoom(Rule):
    name = "bucket-room"
    level = "error"
    summary = "A bucket of several regions has room for their names: the further ones add -<region> to it."
    passes = (
        "aws: {regions: [us-west-2, us-east-1]}\n"
        "storage: {results: {s3: {bucket: example-results}, mount: /results, regions: [us-west-2, us-east-1]}}"
    )
    fails = (
        "aws: {regions: [us-west-2, us-east-1]}\n"
        f"storage: {{results: {{s3: {{bucket: example-{'results' * 7}}}, mount: /r, regions: [us-west-2, us-east-1]}}}}"
    )

    def check(self, ctx: Context) -> Iterator[Problem]:
        for name, storage in ctx.cluster.storage.items():
            further = ctx.cluster.storage_regions(storage)[1:]
            if storage.s3 is None or not further:
                continue
            longest = f"{storage.s3.bucket}-{max(further, key=len)}"
            if len(longest) > _BUCKET:
                yield self.found(
                    ctx,
                    ("storage", name, "s3", "bucket"),
                    f"the bucket name {longest!r} has {len(longest)} characters",
                    f"S3 takes {_BUCKET}; the bucket of each region but the first ends with the region's name",
                    f"shorten it to {len(storage.s3.bucket) - len(longest) + _BUCKET} characters",
                )


def buckets(ctx: Context) -> Iterator[tuple[Loc, str]]:
    if ctx.cluster.state.s3:
        yield ("state", "s3", "bucket"), ctx.cluster.state.s3.bucket
    for name, storage in ctx.cluster.storage.items():
        if storage.s3:
            yield ("storage", name, "s3", "bucket"), storage.s3.bucket


def bucket_problem(name: str) -> str:
    """Why S3 refuses a bucket's name of 3 to 63 characters; empty when it accepts it."""
    if not re.fullmatch(r"[a-z0-9.-]+", name):
        return "it is lower-case letters, digits, dashes and dots"
    if not (name[0].isalnum() and name[-1].isalnum()):
        return "it begins and ends with a letter or a digit"
    if ".." in name:
        return "it has no two dots side by side"
    if re.fullmatch(r"[0-9]+(\.[0-9]+){3}", name):
        return "it does not look like an IP address"
    for prefix in ("xn--", "sthree-", "amzn-s3-demo-"):
        if name.startswith(prefix):
            return f"AWS keeps names that begin with {prefix} for itself"
    for suffix in ("-s3alias", "--ol-s3", ".mrap", "--x-s3", "--table-s3", "-an"):
        if name.endswith(suffix):
            return f"AWS keeps names that end with {suffix} for itself"
    return ""


_PART = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?")
_PREFIX = re.compile(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*")
_BUCKET = 63  # characters of a bucket's name
_TAG_KEY = 128 - len("k8s.io/cluster-autoscaler/node-template/label/")
_MAX_TAGS = 50 - 14  # of 50 tags on a group, so many are ours


class LabelSyntax(Rule):
    name = "label-syntax"
    level = "error"
    summary = "Labels and taints are as Kubernetes writes them: [prefix/]name, values of at most 63 characters."
    passes = "pools: {cpu: {labels: {lab/queue: batch}}}"
    fails = 'pools: {cpu: {labels: {"lab queue": batch}}}'

    def check(self, ctx: Context) -> Iterator[Problem]:
        for loc, key, value in labels(ctx):
            why = label_problem(key, value)
            if why:
                shown = f"{key}={value}" if value else key
                yield self.found(
                    ctx, loc, f"Kubernetes refuses {shown[:90]!r}", why, "change it, such as lab/queue: batch"
                )


class LabelReserved(Rule):
    name = "label-reserved"
    level = "error"
    summary = "Labels do not use the names that Kubernetes keeps for itself."
    passes = "pools: {cpu: {labels: {node.kubernetes.io/lab: batch}}}"
    fails = "pools: {cpu: {labels: {kubernetes.io/role: batch}}}"

    def check(self, ctx: Context) -> Iterator[Problem]:
        for loc, key, _ in labels(ctx):
            prefix = key.rpartition("/")[0]
            kept = re.search(r"(^|\.)(kubernetes|k8s)\.io$", prefix)
            free = re.search(r"(^|\.)(node|kubelet)\.kubernetes\.io$", prefix)
            if kept and not free and "taints" not in loc:
                yield self.found(
                    ctx,
                    loc,
                    f"the label {key[:90]!r} is one of Kubernetes' own",
                    "a kubelet may not give it to its own node, which would then not join",
                    "use a prefix of your own, such as lab/queue, or node.kubernetes.io/",
                )


class LabelRoom(Rule):
    name = "label-room"
    level = "error"
    summary = "A pool's labels and taints fit the tags of its Auto Scaling group: 128 characters, 50 tags."
    passes = "pools: {cpu: {labels: {lab/queue: batch}}}"
    fails = f"pools: {{cpu: {{labels: {{{'a' * 60}.example/{'b' * 40}: batch}}}}}}"

    def check(self, ctx: Context) -> Iterator[Problem]:
        for loc, key, _ in labels(ctx):
            if loc[0] == "pools" and len(key) > _TAG_KEY:
                yield self.found(
                    ctx,
                    loc,
                    f"the label or taint {key[:40]}… has {len(key)} characters",
                    f"for scaling from zero it becomes a tag's key of 128 characters, of which {_TAG_KEY} are free",
                    "shorten it",
                )
        for name, pool in ctx.cluster.pools.items():
            count = len(pool.labels) + len(pool.taints)
            if count > _MAX_TAGS:
                yield self.found(
                    ctx,
                    ("pools", name),
                    f"the pool {name} has {count} labels and taints",
                    f"each becomes a tag of its Auto Scaling group, which has room for {_MAX_TAGS}",
                    "remove some",
                )


class TaintTwice(Rule):
    name = "taint-twice"
    level = "error"
    summary = "A pool has each taint key once."
    passes = "pools: {cpu: {taints: [{key: lab/gpu}]}}"
    fails = "pools: {cpu: {taints: [{key: lab/gpu}, {key: lab/gpu, effect: NoExecute}]}}"

    def check(self, ctx: Context) -> Iterator[Problem]:
        for name, pool in ctx.cluster.pools.items():
            keys = [taint.key for taint in pool.taints]
            for place, key in enumerate(keys):
                if key in keys[:place]:
                    yield self.found(
                        ctx,
                        ("pools", name, "taints", place),
                        f"the pool {name} has the taint {key!r} twice",
                        "the autoscaler learns a group's taints from tags, which hold one value for a key",
                        "keep the one with the stronger effect",
                    )


def labels(ctx: Context) -> Iterator[tuple[Loc, str, str]]:
    """Every label and taint: where it stands, key, value."""
    for section in ("pools", "hosts", "metal"):
        for name, item in getattr(ctx.cluster, section).items():
            for key, value in item.labels.items():
                yield (section, name, "labels", key), key, value
    for name, pool in ctx.cluster.pools.items():
        for place, taint in enumerate(pool.taints):
            yield ("pools", name, "taints", place), taint.key, taint.value


def label_problem(key: str, value: str) -> str:
    prefix, slash, name = key.rpartition("/")
    if slash and (len(prefix) > 253 or not _PREFIX.fullmatch(prefix)):
        return f"the prefix {prefix[:40]!r} is not a DNS name of lower-case letters, digits, dashes and dots"
    if not _PART.fullmatch(name):
        return "the name is at most 63 letters, digits, dashes, dots and underscores, between letters or digits"
    if value and not _PART.fullmatch(value):
        return "the value is at most 63 letters, digits, dashes, dots and underscores, between letters or digits"
    return ""


RULES = (
    ClusterNameFree,
    UserReserved,
    BucketName,
    BucketDots,
    BucketTwice,
    BucketRoom,
    LabelSyntax,
    LabelReserved,
    LabelRoom,
    TaintTwice,
)
