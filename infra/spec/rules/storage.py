"""File systems: where they are mounted, and from where they can be reached."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator

from infra.errors import Problem
from infra.spec.rules.base import Context, Rule

# Hidden by a mount, the machine would not work: these, all that is in the first ones, and all that they are in.
WHOLLY = ("/bin", "/boot", "/dev", "/etc", "/lib", "/lib32", "/lib64", "/proc", "/run", "/sbin", "/sys", "/snap")
THEMSELVES = (
    "/opt",
    "/root",
    "/tmp",
    "/usr",
    "/usr/bin",
    "/usr/lib",
    "/usr/local",
    "/usr/local/bin",
    "/usr/sbin",
    "/usr/share",
    "/var",
    "/var/cache",
    "/var/lib",
    "/var/lib/containerd",
    "/var/lib/docker",
    "/var/lib/etcd",
    "/var/lib/kubelet",
    "/var/log",
    "/var/run",
    "/var/tmp",
)


class MountPath(Rule):
    name = "mount-path"
    level = "error"
    summary = "Mount points are written plainly: no .., no //, no / at the end."
    passes = "storage: {data: {efs: {}, mount: /data}}"
    fails = "storage: {data: {efs: {}, mount: /data/../home}}"

    def check(self, ctx: Context) -> Iterator[Problem]:
        for name, storage in ctx.cluster.storage.items():
            plain = posixpath.normpath(storage.mount).replace("//", "/")
            if plain != storage.mount:
                yield self.found(
                    ctx,
                    ("storage", name, "mount"),
                    f"storage.{name} is mounted at {storage.mount!r}",
                    "it is another name of a path",
                    f"write: mount: {plain}",
                )


class MountSystem(Rule):
    name = "mount-system"
    level = "error"
    summary = "No mount hides a folder of the system; /home may be one."
    passes = "storage: {home: {nfs: {host: nfs.lab, export: /export/home}, mount: /home}}"
    fails = "storage: {tools: {nfs: {host: nfs.lab, export: /export/usr}, mount: /usr}}"

    def check(self, ctx: Context) -> Iterator[Problem]:
        for name, storage in ctx.cluster.storage.items():
            mount = posixpath.normpath(storage.mount).replace("//", "/")
            inside = any(mount == folder or mount.startswith(f"{folder}/") for folder in WHOLLY)
            if mount == "/" or inside or mount in THEMSELVES:
                yield self.found(
                    ctx,
                    ("storage", name, "mount"),
                    f"storage.{name} would hide {mount}",
                    "the system itself is there",
                    f"mount it at /home or at a folder of its own, such as /{name}",
                )


class MountTwice(Rule):
    name = "mount-twice"
    level = "error"
    summary = "On no machine are two file systems mounted at the same place."
    passes = (
        "aws: {regions: [us-west-2, us-east-1]}\nstorage:\n"
        "  west: {efs: {}, mount: /data, regions: [us-west-2]}\n  east: {efs: {}, mount: /data, regions: [us-east-1]}"
    )
    fails = "storage: {one: {efs: {}, mount: /data}, two: {efs: {}, mount: /data}}"

    def check(self, ctx: Context) -> Iterator[Problem]:
        items = list(ctx.cluster.storage.items())
        for place, (name, storage) in enumerate(items):
            for other, before in items[:place]:
                regions, theirs = (set(ctx.cluster.storage_regions(item)) for item in (storage, before))
                if posixpath.normpath(storage.mount) == posixpath.normpath(before.mount) and (
                    "nfs" in (storage.kind, before.kind) or regions & theirs
                ):
                    yield self.found(
                        ctx,
                        ("storage", name, "mount"),
                        f"storage.{other} and storage.{name} are both mounted at {storage.mount}",
                        "one would hide the other",
                        f"give one another place, such as /{name}",
                    )


class EfsRegions(Rule):
    name = "efs-regions"
    level = "warning"
    summary = "An EFS is in every region that has machines."
    passes = (
        "aws: {regions: [us-west-2, us-east-1]}\npools: {cpu: {regions: [us-east-1]}}\n"
        "storage: {data: {efs: {}, mount: /data, regions: [us-west-2, us-east-1]}}"
    )
    fails = (
        "aws: {regions: [us-west-2, us-east-1]}\npools: {cpu: {regions: [us-east-1]}}\n"
        "storage: {data: {efs: {}, mount: /data}}"
    )

    def check(self, ctx: Context) -> Iterator[Problem]:
        cluster = ctx.cluster
        machines: dict[str, list[str]] = {}
        for group in ctx.groups:
            for region in group.regions if group.loc[0] in ("pools", "hosts") and group.most else ():
                machines.setdefault(region, []).append(group.label)
        for name, storage in cluster.storage.items():
            if storage.kind != "efs":
                continue
            have = cluster.storage_regions(storage)
            served = {
                region
                for other in cluster.storage.values()
                if other.kind == "efs" and other.mount == storage.mount
                for region in cluster.storage_regions(other)
            }
            missing = [region for region in machines if region not in served]
            if missing:
                groups = sorted({label for region in missing for label in machines[region]})
                every = [*have, *missing]
                yield self.found(
                    ctx,
                    ("storage", name),
                    f"storage.{name} is in {', '.join(have)}, and {', '.join(groups)} also in {', '.join(missing)}",
                    f"an EFS is of one region: {storage.mount} is not mounted there",
                    f"write: regions: [{', '.join(every)}] (a file system of its own in each: contents are not shared)",
                )


class DiskRoom(Rule):
    name = "disk-room"
    level = "warning"
    summary = "Root disks hold the system: 20 GB, with NVIDIA's driver and CUDA 40 GB."
    passes = "pools: {gpu: {disk: 100GB}}"
    fails = "pools: {gpu: {disk: 20GB}}"

    def check(self, ctx: Context) -> Iterator[Problem]:
        for section in ("pools", "hosts"):
            for name, item in getattr(ctx.cluster, section).items():
                profile = ctx.profile(item.profile)
                wants = 40 if profile and profile.nvidia else 20
                if item.disk < wants:
                    yield self.found(
                        ctx,
                        (section, name, "disk"),
                        f"{section}.{name} has a root disk of {item.disk} GB",
                        "system, driver, CUDA and container images do not fit" if wants == 40 else "it fills up soon",
                        f"write: disk: {wants}GB or more",
                    )


RULES = (MountPath, MountSystem, MountTwice, EfsRegions, DiskRoom)
