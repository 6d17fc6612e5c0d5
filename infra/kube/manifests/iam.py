"""What the autoscaler may do in AWS, as a policy document: look at everything, change the groups that are its own."""

from __future__ import annotations

from typing import Any

from infra.spec.models import Cluster

LOOKS = (
    "autoscaling:DescribeAutoScalingGroups",
    "autoscaling:DescribeAutoScalingInstances",
    "autoscaling:DescribeScalingActivities",
    "autoscaling:DescribeTags",
    "ec2:DescribeImages",
    "ec2:DescribeInstanceTypes",
    "ec2:DescribeInstances",
    "ec2:DescribeLaunchTemplateVersions",
    "ec2:DescribeSpotInstanceRequests",
    "ec2:DescribeSubnets",
)
"""AWS knows no resource for what only describes, so these are for all of them."""
CHANGES = ("autoscaling:SetDesiredCapacity", "autoscaling:TerminateInstanceInAutoScalingGroup")


def document(cluster: Cluster, account: str = "*") -> dict[str, Any]:
    """The policy; ``account`` "*" is the one that it is in, whichever that is."""
    regions = cluster.aws.regions if cluster.aws else []
    tag = f"autoscaling:ResourceTag/k8s.io/cluster-autoscaler/{cluster.cluster}"
    changes = {
        "Sid": "ScaleOwnGroups",
        "Effect": "Allow",
        "Action": list(CHANGES),
        "Resource": [
            f"arn:{_partition(region)}:autoscaling:{region}:{account}:autoScalingGroup:*:autoScalingGroupName/*"
            for region in regions
        ],
        "Condition": {"StringEquals": {tag: "owned"}},
    }
    looks = {"Sid": "SeeGroups", "Effect": "Allow", "Action": list(LOOKS), "Resource": "*"}
    return {"Version": "2012-10-17", "Statement": [looks, changes]}


def _partition(region: str) -> str:
    return "aws-cn" if region.startswith("cn-") else "aws-us-gov" if region.startswith("us-gov-") else "aws"
