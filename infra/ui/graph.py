"""What ``infra graph`` shows of a cluster: panels of cards. Content only; ``graph_svg`` draws it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from infra.spec import catalog, gpus
from infra.spec.addresses import plan_addresses
from infra.spec.models import Cluster, Host, Metal, Pool, Storage
from infra.spec.names import fold

Kind = Literal["pool", "host", "control", "metal", "efs", "s3", "nfs"]


@dataclass(frozen=True, slots=True)
class Card:
    """One thing of the file. ``machines`` is (now, at most); ``tip`` is told when somebody points at it."""

    kind: Kind
    title: str
    lines: tuple[str, ...]
    pills: tuple[str, ...] = ()
    profile: str | None = None
    machines: tuple[int, int] | None = None
    tip: str = ""


@dataclass(frozen=True, slots=True)
class Zone:
    name: str
    public: str
    private: str


@dataclass(frozen=True, slots=True)
class Panel:
    """A region, or the metal."""

    title: str
    subtitle: str
    pills: tuple[str, ...]
    zones: tuple[Zone, ...]
    cards: tuple[Card, ...]


@dataclass(frozen=True, slots=True)
class Scene:
    """The whole picture: ``kubernetes`` is a band above the panels, ``shared`` a row of cards below them."""

    title: str
    facts: tuple[str, ...]
    kubernetes: tuple[str, ...]
    panels: tuple[Panel, ...]
    shared: tuple[Card, ...]
    profiles: tuple[tuple[str, str], ...]


def scene(cluster: Cluster) -> Scene:
    """The picture of a cluster that has no errors."""
    regions = cluster.aws.regions if cluster.aws else []
    panels = [_region(cluster, region) for region in regions]
    if cluster.metal:
        panels.append(_metal_panel(cluster))
    shared = [_storage(name, item) for name, item in cluster.storage.items() if item.kind != "efs"]
    return Scene(
        title=cluster.cluster,
        facts=tuple(_facts(cluster)),
        kubernetes=tuple(_kubernetes(cluster)),
        panels=tuple(panels),
        shared=tuple(shared),
        profiles=tuple((name, _profile(cluster, name)) for name in cluster.profiles),
    )


def _facts(cluster: Cluster) -> Iterable[str]:
    if cluster.aws is None:
        yield "no cloud"
    elif cluster.local:
        yield "embedded AWS"
    elif cluster.aws.endpoint:
        yield f"AWS at {cluster.aws.endpoint}"
    access = cluster.access
    if cluster.aws:
        yield f"SSH from {', '.join(access.ssh_from)}" if access.ssh_from else "no open SSH port: through SSM"
    if access.users:
        yield f"users {', '.join(access.users)}"
    if cluster.state.s3:
        yield f"state in s3://{cluster.state.s3.bucket}"


def _kubernetes(cluster: Cluster) -> Iterable[str]:
    kube = cluster.kubernetes
    if kube is None:
        return
    yield f"Kubernetes {kube.version}"
    yield f"pods {kube.pod_cidr}"
    yield f"services {kube.service_cidr}"
    if cluster.api:
        yield f"control plane {', '.join(fold(host.short for _, host in cluster.plane_hosts))} at {cluster.api}"
    if kube.autoscale and kube.autoscale.pools:
        yield f"autoscales {', '.join(kube.autoscale.pools)}"


def _profile(cluster: Cluster, name: str) -> str:
    profile = cluster.profiles[name]
    parts = [profile.os.replace("-", " ").title()]
    if profile.nvidia:
        parts.append(f"driver {profile.nvidia.driver}, CUDA {profile.nvidia.cuda}")
    if profile.docker:
        parts.append(f"Docker {profile.docker.version}")
    if profile.image:
        parts.append(profile.image)
    return " · ".join([*parts, *profile.run_list])


def _region(cluster: Cluster, region: str) -> Panel:
    network, existing = cluster.network, cluster.network.existing.get(region)
    pills = ["home"] if cluster.aws and region == cluster.aws.home else []
    zones: tuple[Zone, ...] = ()
    if existing:
        subtitle = f"existing VPC {existing.vpc.id or ''}".strip()
    else:
        nets = plan_addresses(cluster)[region]
        subtitle = f"VPC {nets.vpc}"
        pills.append({"one": "1 NAT", "per-zone": "NAT per zone", "none": "no NAT"}[network.nat])
        names = catalog.zones(region)
        zones = tuple(
            Zone(names[place] if place < len(names) else f"zone {place + 1}", public, private)
            for place, (public, private) in enumerate(zip(nets.public, nets.private, strict=True))
        )
    cards = [
        *_control(cluster, region),
        *(_pool(cluster, name, pool) for name, pool in cluster.pools.items() if region in cluster.pool_regions(pool)),
        *(_host(cluster, name, host) for name, host in cluster.hosts.items() if region in cluster.host_region(host)),
        *(
            _storage(name, item)
            for name, item in cluster.storage.items()
            if item.kind == "efs" and region in cluster.storage_regions(item)
        ),
    ]
    return Panel(region, subtitle, tuple(pills), zones, tuple(cards))


def _control(cluster: Cluster, region: str) -> Iterable[Card]:
    kube = cluster.kubernetes
    plane = cluster.cloud_plane
    if kube is None or plane is None or cluster.aws is None or region != cluster.aws.home:
        return
    yield Card(
        "control",
        "control plane",
        (
            f"{plane.instance_type} · {hardware([plane.instance_type])}",
            f"API server and etcd, Kubernetes {kube.version}",
        ),
        machines=(plane.count, plane.count),
        tip=f"control plane\n{plane.count} × {plane.instance_type}\ndisk {plane.disk} GB",
    )


def _pool(cluster: Cluster, name: str, pool: Pool) -> Card:
    size, scaled = pool.size, cluster.autoscaled(name)
    now = size.min if scaled or size.desired is None else size.desired
    pills: list[str] = [pool.capacity.kind]
    pills += [word for word, wanted in (("EFA", pool.efa), (pool.placement or "", pool.placement)) if wanted]
    pills += [word for word, wanted in (("autoscaled", scaled), ("public", pool.subnets == "public")) if wanted]
    tip = [
        f"pool {name}",
        f"profile {pool.profile}",
        *pool.instance_types,
        f"{size.min} to {size.max} machines in each of: {', '.join(cluster.pool_regions(pool))}",
        f"capacity {pool.capacity.kind} {pool.capacity.reservation or ''}".strip(),
        f"disk {pool.disk} GB, {pool.subnets} subnets",
        *(f"label {key}={value}" for key, value in pool.labels.items()),
        *(f"taint {taint.key}={taint.value}:{taint.effect}" for taint in pool.taints),
    ]
    lines = (", ".join(pool.instance_types), hardware(pool.instance_types))
    return Card("pool", name, lines, tuple(pills), pool.profile, (now, size.max), "\n".join(tip))


def _host(cluster: Cluster, name: str, host: Host) -> Card:
    public = host.subnets == "public" or (host.subnets is None and bool(cluster.access.ssh_from))
    tip = [
        f"host {name}",
        f"profile {host.profile}",
        f"{host.count} × {host.instance_type}",
        f"disk {host.disk} GB, {'public' if public else 'private'} subnets",
        *(f"label {key}={value}" for key, value in host.labels.items()),
    ]
    lines = (" · ".join(filter(None, (host.instance_type, hardware([host.instance_type])))),)
    pills = ("public",) if public else ()
    return Card("host", name, lines, pills, host.profile, (host.count, host.count), "\n".join(tip))


def _metal_panel(cluster: Cluster) -> Panel:
    count = sum(len(metal.hosts) for metal in cluster.metal.values())
    cards = tuple(_metal(name, metal) for name, metal in cluster.metal.items())
    return Panel("metal", f"{count} machine{'' if count == 1 else 's'}, over SSH", (), (), cards)


def _metal(name: str, metal: Metal) -> Card:
    model = gpus.by_name(metal.gpus.model) if metal.gpus else None
    title = model.title if model else metal.gpus.model if metal.gpus else ""
    first, last = metal.hosts[0].name, metal.hosts[-1].name
    names = first if len(metal.hosts) == 1 else f"{metal.hosts[0].short} … {last}"
    if len(metal.hosts) == 2:
        names = f"{first}, {last}"
    tip = [
        f"metal {name}",
        f"profile {metal.profile}",
        *(f"{host.name}{f' {host.address}' if host.address else ''}:{host.port}" for host in metal.hosts[:12]),
        *([f"and {len(metal.hosts) - 12} more"] if len(metal.hosts) > 12 else []),
        *(f"label {key}={value}" for key, value in metal.labels.items()),
    ]
    gpu = f"{metal.gpus.count} × {title} each" if metal.gpus else "no GPUs named"
    login = f"login {metal.user}" + (f" through {metal.jump}" if metal.jump else "")
    count = len(metal.hosts)
    lines = (names, gpu, " · ".join([login, *([metal.cidr] if metal.cidr else [])]))
    return Card("metal", name, lines, (), metal.profile, (count, count), "\n".join(tip))


def _storage(name: str, item: Storage) -> Card:
    if item.nfs:
        lines = (f"{item.nfs.host}:{item.nfs.export}", "NFS, already there")
        return Card("nfs", name, lines, (item.mount,), tip=f"NFS {lines[0]}\nmounted at {item.mount}")
    if item.s3:
        facts = ["versioned"] if item.s3.versioned else []
        facts += [f"expires after {item.s3.expire_days} days"] if item.s3.expire_days else []
        lines = (f"s3://{item.s3.bucket}", " · ".join(["S3", *facts]))
        return Card("s3", name, lines, (item.mount,), tip=f"S3 bucket {item.s3.bucket}\nmounted at {item.mount}")
    throughput = item.efs.throughput if item.efs else "elastic"
    facts = ["EFS", throughput] + (["daily backup"] if item.efs and item.efs.backup else [])
    return Card("efs", name, (" · ".join(facts),), (item.mount,), tip=f"EFS {name}\nmounted at {item.mount}")


def hardware(types: Sequence[str]) -> str:
    """``4–8 × V100 · 32–64 vCPU · 244–488 GB`` for the types of a pool; what is not known is left out."""
    kinds = [kind for kind in map(catalog.instance, types) if kind]
    if not kinds:
        return ""
    parts = []
    names = list(dict.fromkeys(gpu.name for kind in kinds for gpu in kind.gpus))
    if names:
        parts.append(f"{_range([kind.gpu_count for kind in kinds])} × {'/'.join(names)}")
    parts.append(f"{_range([kind.vcpus for kind in kinds])} vCPU")
    parts.append(f"{_range([round(kind.memory_mib / 1024) for kind in kinds])} GiB")
    return " · ".join(parts)


def _range(numbers: Sequence[int]) -> str:
    low, high = min(numbers), max(numbers)
    return str(low) if low == high else f"{low}–{high}"
