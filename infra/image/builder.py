"""Where and on what a bake runs: Canonical's image, the builder's instance type, its subnet, who may reach it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from infra.cloud.aws import Session, translated
from infra.cloud.project.images import ARCHITECTURES, CANONICAL, RELEASES, architecture
from infra.errors import CloudError
from infra.image.parent import Base
from infra.spec.models import CONTROL_PLANE, Cluster

SLACK = 30  # GB beside what the base image has: a driver, two CUDA toolkits and their build need about 25
WHO_AM_I = "https://checkip.amazonaws.com"

# A machine with a GPU lets the smoke test run a real kernel; one of Turing takes the open and the proprietary module.
WITH_GPU = {"x86_64": "g4dn.xlarge", "arm64": "g5g.xlarge"}
WITHOUT = {"x86_64": "m5.xlarge", "arm64": "m6g.xlarge"}


@dataclass(frozen=True, slots=True)
class Place:
    """Where a builder is started, and the networks that may reach its SSH."""

    subnet: str
    vpc: str
    ssh_from: tuple[str, ...]


def types_of(cluster: Cluster, profile: str) -> list[str]:
    """The instance types that machines of the profile may have."""
    pools = [kind for pool in cluster.pools.values() if pool.profile == profile for kind in pool.instance_types]
    if profile == CONTROL_PLANE and (plane := cluster.cloud_plane):
        pools.append(plane.instance_type)
    return pools + [host.instance_type for host in cluster.hosts.values() if host.profile == profile]


def regions_of(cluster: Cluster, profile: str) -> list[str]:
    """Where the profile's machines are, in the cluster's order of regions."""
    wanted = {name for pool in cluster.pools.values() if pool.profile == profile for name in cluster.pool_regions(pool)}
    wanted |= {name for host in cluster.hosts.values() if host.profile == profile for name in cluster.host_region(host)}
    wanted |= {cluster.aws.home} if profile == CONTROL_PLANE and cluster.aws and cluster.cloud_plane else set()
    ordered = list(cluster.aws.regions) if cluster.aws else []
    return [name for name in ordered if name in wanted] or ordered[:1]


def architecture_of(cluster: Cluster, profile: str) -> str:
    found = [architecture(kind) for kind in types_of(cluster, profile)]
    return found[0] if found else "x86_64"


def builder_type(cluster: Cluster, profile: str) -> str:
    """What the image is built on, unless the user names one."""
    kinds = WITH_GPU if cluster.profiles[profile].nvidia is not None else WITHOUT
    return kinds[architecture_of(cluster, profile)]


def base(session: Session, region: str, system: str, arch: str) -> Base:
    """Canonical's newest image. Raises CloudError when there is none."""
    release = f"ubuntu-{RELEASES[system]}-{ARCHITECTURES[arch]}-server-*"
    names = [f"ubuntu/images/{disk}/{release}" for disk in ("hvm-ssd", "hvm-ssd-gp3")]
    filters = [{"Name": "name", "Values": names}, {"Name": "state", "Values": ["available"]}]
    with translated("ec2:DescribeImages", region, session.profile):
        said = session.client("ec2", region).describe_images(Owners=[CANONICAL], Filters=filters)
    found = sorted(said["Images"], key=lambda item: str(item["CreationDate"]))
    if not found:
        raise CloudError(
            f"Canonical has no image of {system} for {arch} in {region}",
            where=f"{region}: {release}",
            why="its base image is gone, or not in this region yet",
            fix="take another os in the profile, or another region: --region",
        )
    return described(found[-1])


def described(item: dict[str, Any]) -> Base:
    """An image as a base, from EC2's description of it."""
    root = item.get("RootDeviceName") or "/dev/sda1"
    sizes = [d["Ebs"].get("VolumeSize", 8) for d in item.get("BlockDeviceMappings", ()) if d.get("DeviceName") == root]
    return Base(item["ImageId"], item.get("Name", ""), root, int(sizes[0]) if sizes else 8)


def image_there(session: Session, region: str, ident: str) -> Base:
    """The parent as EC2 knows it now. Raises CloudError when it was deregistered meanwhile."""
    with translated("ec2:DescribeImages", region, session.profile):
        filters = [{"Name": "image-id", "Values": [ident]}]
        said = session.client("ec2", region).describe_images(Filters=filters)
    if not said["Images"]:
        raise CloudError(
            f"the base image {ident} is not there any more",
            where=region,
            why="it was deregistered, or is no longer shared with this account",
            fix="run the same command again: it looks for the newest one",
        )
    return described(said["Images"][0])


def place(session: Session, cluster: Cluster, region: str, subnet: str = "") -> Place:
    """A subnet with a way in from here: the one named, the cluster's public one, else the default VPC's.

    Raises CloudError when there is none.
    """
    ec2 = session.client("ec2", region)
    public = {"Name": "map-public-ip-on-launch", "Values": ["true"]}
    ours = [{"Name": "tag:infra:cluster", "Values": [cluster.cluster]}, public]
    default = [{"Name": "default-for-az", "Values": ["true"]}]
    for filters in [[{"Name": "subnet-id", "Values": [subnet]}]] if subnet else [ours, default]:
        with translated("ec2:DescribeSubnets", region, session.profile):
            found = ec2.describe_subnets(Filters=filters)["Subnets"]
        found = [item for item in found if item["State"] == "available"]
        if found:
            best = max(found, key=lambda item: (int(item["AvailableIpAddressCount"]), str(item["SubnetId"])))
            return Place(best["SubnetId"], best["VpcId"], _ssh_from(session, cluster))
    if subnet:
        raise CloudError(f"there is no subnet {subnet} in {region}", where="--subnet", fix="name one of that region")
    raise CloudError(
        f"there is no subnet in {region} that a builder could be reached in",
        where=region,
        why="the cluster has no public subnet there yet, and the account has no default VPC",
        fix="infra apply first, or name one with a public route: --subnet subnet-…; "
        "or make a default VPC: aws ec2 create-default-vpc",
    )


def gate(session: Session, region: str, place: Place, name: str, marks: Mapping[str, str]) -> str:
    """A security group that lets SSH in, with the bake's tags from its first moment on; its id.

    Packer's own has no tags in the older versions: nobody could find it after a crash.
    """
    ec2 = session.client("ec2", region)
    pairs = [{"Key": key, "Value": value} for key, value in marks.items()]
    with translated("ec2:CreateSecurityGroup", region, session.profile):
        made = ec2.create_security_group(
            GroupName=name,
            Description="SSH to the builder of an image, while it is baked",
            VpcId=place.vpc,
            TagSpecifications=[{"ResourceType": "security-group", "Tags": pairs}],
        )
    with translated("ec2:AuthorizeSecurityGroupIngress", region, session.profile):
        ranges = [{"CidrIp": network} for network in place.ssh_from]
        rule = {"IpProtocol": "tcp", "FromPort": 22, "ToPort": 22, "IpRanges": ranges}
        ec2.authorize_security_group_ingress(GroupId=made["GroupId"], IpPermissions=[rule])
    return str(made["GroupId"])


def _ssh_from(session: Session, cluster: Cluster) -> tuple[str, ...]:
    """The networks of access.ssh_from; when nobody may come in otherwise, only the address that we come from."""
    named = tuple(str(network) for network in cluster.access.ssh_from)
    if named:
        return named
    if session.endpoint is not None:
        return ("127.0.0.1/32",)  # not AWS: nobody comes in through this
    import urllib.request
    from ipaddress import ip_address

    try:
        with urllib.request.urlopen(WHO_AM_I, timeout=10) as answer:
            return (f"{ip_address(answer.read(64).decode('ascii', 'replace').strip())}/32",)
    except (OSError, ValueError) as error:
        raise CloudError(
            "nobody may reach the builder's SSH: access.ssh_from is empty, and our own address is not to be had",
            where=WHO_AM_I,
            why=str(error),
            fix="name the network that you come from: access: {ssh_from: […]}",
        ) from error
