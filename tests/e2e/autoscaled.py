"""A small world for the autoscaler: an embedded AWS with the groups of a cluster.yaml, an API server, and machines that
join. The groups are those that ``terraform/modules/pool`` makes (see group.tf), made here by boto3, which is faster."""

from __future__ import annotations

import contextlib
import functools
import os
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import pytest

from infra.autoscale.controller.loop import Controller
from infra.autoscale.controller.settings import Settings
from infra.cloud import aws as driver
from infra.cloud.fleets import PATIENCE, Fleets
from infra.cloud.project.machines import resources
from infra.kube.api import Limits, connect
from infra.kube.manifests import autoscaler, bundle
from infra.local import capacity, control
from infra.local.endpoint import session_arguments
from infra.orchestration.offers import price
from infra.spec.load import load
from infra.spec.models import Cluster, Pool
from tests.e2e.kubectl import Kubectl
from tests.kube import KubeServer
from tests.kube.machines import Machines
from tests.kube.rights import refused
from tests.kube.worker import Worker

TAG = "k8s.io/cluster-autoscaler/"
CANONICAL = "099720109477"


class Time:
    """The real clock; ``ahead`` of it by so many seconds."""

    def __init__(self) -> None:
        self.ahead = 0.0

    def now(self) -> float:
        return time.time() + self.ahead

    def wait(self, seconds: float) -> bool:
        return True


@dataclass
class World:
    """Everything of one test. ``zones``: so many of each region are used."""

    cluster: Cluster
    url: str
    kube: KubeServer
    kubectl: Kubectl
    machines: Machines
    zones: int = 2

    @property
    def regions(self) -> list[str]:
        assert self.cluster.aws is not None
        return list(self.cluster.aws.regions)

    @functools.cached_property
    def fleets(self) -> Fleets:
        return self.fleets_at(self.url)

    def fleets_at(self, url: str, now: Callable[[], float] = time.time) -> Fleets:
        """AWS as it is at another URL."""
        assert self.cluster.aws is not None
        return Fleets(driver.session(self.cluster.aws, url, PATIENCE), self.cluster.cluster, self.regions, now)

    def controller(self, clock: Time, fleets: Fleets | None = None, **settings: Any) -> Controller:
        api = connect(self.kubectl.config, limits=Limits(deadline=5.0, pause=0.05))
        return Controller(api, fleets or self.fleets, price, clock, Settings(identity="test", **settings))

    def limits(self, *given: dict[str, Any], **more: float) -> None:
        capacity.write(capacity.parse({"limits": list(given), **more}, "the test"))

    def launched(self) -> list[tuple[str, str]]:
        """(type, zone) of every machine that this AWS ever had in these regions, those that are gone included."""
        found = []
        for region in self.regions:
            for reservation in self.machines.client("ec2", region).describe_instances()["Reservations"]:
                found += [
                    (one["InstanceType"], one["Placement"]["AvailabilityZone"]) for one in reservation["Instances"]
                ]
        return sorted(found)

    def make_groups(self) -> None:
        for region in self.regions:
            ec2 = self.machines.client("ec2", region)
            vpc = ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
            subnets = {}
            for number, zone in enumerate(f"{region}{letter}" for letter in "abc"[: self.zones]):
                cidr = f"10.0.{number}.0/24"
                made = ec2.create_subnet(VpcId=vpc, CidrBlock=cidr, AvailabilityZone=zone)
                subnets[zone] = made["Subnet"]["SubnetId"]
            images = ec2.describe_images(
                Owners=[CANONICAL],
                Filters=[{"Name": "name", "Values": ["ubuntu/images/hvm-ssd/ubuntu-jammy-22.04-amd64-*"]}],
            )["Images"]
            for name, pool in self.cluster.pools.items():
                if region in self.cluster.pool_regions(pool):
                    self._make_pool(region, name, pool, subnets, images[0]["ImageId"])

    def _make_pool(self, region: str, name: str, pool: Pool, subnets: dict[str, str], image: str) -> None:
        full = f"{self.cluster.cluster}-{name}"
        for kind in pool.instance_types:
            data = {"ImageId": image, "InstanceType": kind}
            template = self.machines.client("ec2", region).create_launch_template(
                LaunchTemplateName=f"{full}.{kind}", LaunchTemplateData=data
            )["LaunchTemplate"]["LaunchTemplateId"]
            told = {
                "infra:pool-max": str(pool.size.max),
                f"{TAG}enabled": "true",
                f"{TAG}{self.cluster.cluster}": "owned",
                **{f"{TAG}node-template/label/{key}": value for key, value in pool.labels.items()},
                **{f"{TAG}node-template/taint/{one.key}": f"{one.value}:{one.effect}" for one in pool.taints},
                **{f"{TAG}node-template/resources/{key}": text for key, text in resources(pool, None)[kind].items()},
            }
            tags = [{"Key": key, "Value": value, "PropagateAtLaunch": False} for key, value in told.items()]
            tags.append({"Key": "infra:pool", "Value": name, "PropagateAtLaunch": True})
            used = {"LaunchTemplateId": template, "Version": "1"}
            source: dict[str, Any] = {"LaunchTemplate": used}
            if pool.capacity.kind == "spot":
                launch = {"LaunchTemplateSpecification": used, "Overrides": [{"InstanceType": kind}]}
                share = {"OnDemandPercentageAboveBaseCapacity": 0}
                source = {"MixedInstancesPolicy": {"LaunchTemplate": launch, "InstancesDistribution": share}}
            for zone, subnet in subnets.items():
                self.machines.client("autoscaling", region).create_auto_scaling_group(
                    AutoScalingGroupName=f"{full}.{kind}.{zone}",
                    MinSize=0,
                    MaxSize=pool.size.max,
                    VPCZoneIdentifier=subnet,
                    NewInstancesProtectedFromScaleIn=True,
                    Tags=tags,
                    **source,
                )


@contextlib.contextmanager
def world(text: str, folder: Path, **machines: Any) -> Iterator[World]:
    """The world of a cluster.yaml, on an embedded AWS of its own."""
    with embedded(folder) as url, world_at(url, text, folder, **machines) as found:
        yield found


@contextlib.contextmanager
def embedded(folder: Path) -> Iterator[str]:
    """The URL of an embedded AWS; nothing of the user's own AWS is in the environment meanwhile."""
    with pytest.MonkeyPatch.context() as patch, contextlib.ExitStack() as stack:
        patch.setenv("INFRA_LOCAL_DIR", str(folder / "aws"))
        for name in [name for name in os.environ if name.startswith("AWS_")]:
            patch.delenv(name)
        url = control.up().url
        stack.callback(control.down)
        yield url


@contextlib.contextmanager
def world_at(url: str, text: str, folder: Path, zones: int = 2, **machines: Any) -> Iterator[World]:
    """The world of a cluster.yaml on an embedded AWS that runs, where others may have theirs, too."""
    cluster = load(folder / "cluster.yaml", text=text).cluster
    assert cluster.aws is not None
    session, lock = boto3.Session(), threading.Lock()
    with contextlib.ExitStack() as stack:

        @functools.cache
        def client(service: str, region: str) -> Any:
            with lock:  # a session makes one client at a time
                made: Any = session.client(service, **session_arguments(region, url))
            stack.callback(made.close)
            return made

        kube = stack.enter_context(KubeServer())
        double = Machines(kube, client, cluster.cluster, cluster.aws.regions, **machines)
        found = World(cluster, url, kube, Kubectl.of(kube, folder), double, zones)
        found.make_groups()
        stack.enter_context(Worker(kube))
        stack.enter_context(double)
        yield found
        # As a pod it may do no more than the manifests grant it.
        beyond = refused(kube.seen, bundle.objects(cluster), autoscaler.NAME)
        assert not beyond, beyond
