"""Clients of an embedded AWS of one file's tests."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config

from infra.local import control
from infra.local.endpoint import session_arguments

REGION = "us-west-2"
CANONICAL = "099720109477"


class Aws:
    """Clients of one server; every test gets it empty."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._clients: dict[tuple[str, str], Any] = {}

    def __call__(self, service: str, region: str = REGION) -> Any:
        key = (service, region)
        if key not in self._clients:
            config = Config(retries={"total_max_attempts": 1}, read_timeout=30)
            self._clients[key] = boto3.client(service, config=config, **session_arguments(region, self.url))  # type: ignore[call-overload]
        return self._clients[key]

    def close(self) -> None:
        for client in self._clients.values():
            client.close()

    def image(self) -> str:
        found = self("ec2").describe_images(
            Owners=[CANONICAL],
            Filters=[{"Name": "name", "Values": ["ubuntu/images/hvm-ssd*/ubuntu-jammy-22.04-amd64-server-*"]}],
        )["Images"]
        return max(found, key=lambda image: image["CreationDate"])["ImageId"]

    def subnets(self, zones: str = "ab") -> list[str]:
        ec2 = self("ec2")
        vpc = ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
        return [
            ec2.create_subnet(VpcId=vpc, CidrBlock=f"10.0.{i}.0/24", AvailabilityZone=REGION + zone)["Subnet"][
                "SubnetId"
            ]
            for i, zone in enumerate(zones)
        ]

    def template(self, **data: Any) -> str:
        data = {"ImageId": self.image(), "InstanceType": "m5.large", **data}
        made = self("ec2").create_launch_template(LaunchTemplateName="t", LaunchTemplateData=data)
        return made["LaunchTemplate"]["LaunchTemplateId"]

    def group(self, template: str | None = None, **more: Any) -> dict[str, Any]:
        source = (
            {} if "MixedInstancesPolicy" in more else {"LaunchTemplate": {"LaunchTemplateId": template, "Version": "1"}}
        )
        asked = {
            "MinSize": 0,
            "MaxSize": 6,
            "DesiredCapacity": 2,
            "VPCZoneIdentifier": ",".join(self.subnets()),
            **source,
            **more,
        }
        self("autoscaling").create_auto_scaling_group(AutoScalingGroupName="g", **asked)
        return self.described_group()

    def described_group(self) -> dict[str, Any]:
        return self("autoscaling").describe_auto_scaling_groups(AutoScalingGroupNames=["g"])["AutoScalingGroups"][0]

    def instances(self) -> list[dict[str, Any]]:
        running = [{"Name": "instance-state-name", "Values": ["pending", "running"]}]
        reservations = self("ec2").describe_instances(Filters=running)["Reservations"]
        return [instance for reservation in reservations for instance in reservation["Instances"]]


@contextlib.contextmanager
def started(folder: Path) -> Iterator[Aws]:
    """The embedded AWS of that folder, for a while; nothing of the user's own AWS is in the environment meanwhile."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("INFRA_LOCAL_DIR", str(folder))
        for name in [name for name in os.environ if name.startswith("AWS_")]:
            patch.delenv(name)
        found = Aws(control.up().url)
        yield found
        found.close()
        control.down()
