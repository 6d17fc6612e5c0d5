"""Every kind of thing is found by its tag or name in the embedded AWS, and removed with nothing left of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from infra.cloud import aws
from infra.cloud.mending import adopt
from infra.cloud.mending import find as aws_find
from infra.cloud.mending.find import Search
from infra.cloud.mending.kinds import KINDS
from infra.cloud.mending.remove import Remover
from infra.errors import CloudError
from infra.spec.models import Aws
from tests.conftest import Infra
from tests.e2e.faulty_aws import Refusal, serve
from tests.e2e.killing import Server

pytestmark = pytest.mark.engine

REGION = "us-west-2"
SERVICE = {"Service": "ec2.amazonaws.com"}
ASSUME = {"Effect": "Allow", "Principal": SERVICE, "Action": "sts:AssumeRole"}
ALLOW = {"Effect": "Allow", "Action": "s3:ListBucket", "Resource": "*"}


def policy(statement: dict[str, Any]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


class Maker:
    """Makes one of each kind as a killed apply would leave it: tagged, and known to nobody."""

    def __init__(self, session: aws.Session) -> None:
        self.session = session
        self.made: dict[str, str] = {}

    def client(self, service: str) -> Any:
        return self.session.client(service, REGION)

    def tags(self, type_: str) -> list[dict[str, str]]:
        return [{"Key": "infra:cluster", "Value": "lab"}, {"Key": "infra:address", "Value": f"module.m.{type_}.this"}]

    def spec(self, type_: str, name: str) -> list[dict[str, Any]]:
        return [{"ResourceType": name, "Tags": self.tags(type_)}]

    def all(self) -> dict[str, str]:
        self.network()
        self.machines()
        self.storage()
        self.balancer()
        return self.made

    def network(self) -> None:
        ec2, made = self.client("ec2"), self.made
        vpc = ec2.create_vpc(CidrBlock="10.1.0.0/16", TagSpecifications=self.spec("aws_vpc", "vpc"))["Vpc"]["VpcId"]
        subnet = ec2.create_subnet(
            VpcId=vpc, CidrBlock="10.1.1.0/24", TagSpecifications=self.spec("aws_subnet", "subnet")
        )["Subnet"]["SubnetId"]
        gateway = ec2.create_internet_gateway(TagSpecifications=self.spec("aws_internet_gateway", "internet-gateway"))
        made |= {"aws_vpc": vpc, "aws_subnet": subnet}
        made["aws_internet_gateway"] = gateway["InternetGateway"]["InternetGatewayId"]
        ec2.attach_internet_gateway(VpcId=vpc, InternetGatewayId=made["aws_internet_gateway"])
        eip = ec2.allocate_address(Domain="vpc", TagSpecifications=self.spec("aws_eip", "elastic-ip"))
        made["aws_eip"] = eip["AllocationId"]
        nat = ec2.create_nat_gateway(
            SubnetId=subnet, AllocationId=made["aws_eip"], TagSpecifications=self.spec("aws_nat_gateway", "natgateway")
        )
        made["aws_nat_gateway"] = nat["NatGateway"]["NatGatewayId"]
        table = ec2.create_route_table(VpcId=vpc, TagSpecifications=self.spec("aws_route_table", "route-table"))
        made["aws_route_table"] = table["RouteTable"]["RouteTableId"]
        joined = ec2.associate_route_table(SubnetId=subnet, RouteTableId=made["aws_route_table"])
        made["aws_route_table_association"] = joined["AssociationId"]
        gateway_id = made["aws_internet_gateway"]
        table_id = made["aws_route_table"]
        ec2.create_route(RouteTableId=table_id, DestinationCidrBlock="0.0.0.0/0", GatewayId=gateway_id)
        made["aws_route"] = f"r-{table_id}1080289494"  # the number that the provider gives this destination
        endpoint = ec2.create_vpc_endpoint(
            VpcId=vpc,
            ServiceName=f"com.amazonaws.{REGION}.s3",
            RouteTableIds=[made["aws_route_table"]],
            TagSpecifications=self.spec("aws_vpc_endpoint", "vpc-endpoint"),
        )
        made["aws_vpc_endpoint"] = endpoint["VpcEndpoint"]["VpcEndpointId"]
        group = ec2.create_security_group(
            GroupName="g",
            Description="g",
            VpcId=vpc,
            TagSpecifications=self.spec("aws_security_group", "security-group"),
        )
        made["aws_security_group"] = group["GroupId"]
        self.client("logs").create_log_group(
            logGroupName="/infra/lab/flow/x",
            tags={tag["Key"]: tag["Value"] for tag in self.tags("aws_cloudwatch_log_group")},
        )
        made["aws_cloudwatch_log_group"] = "/infra/lab/flow/x"
        self.role()
        log = ec2.create_flow_logs(
            ResourceIds=[vpc],
            ResourceType="VPC",
            TrafficType="REJECT",
            LogGroupName="/infra/lab/flow/x",
            DeliverLogsPermissionArn="arn:aws:iam::123456789012:role/lab-us-west-2-node",
            TagSpecifications=self.spec("aws_flow_log", "vpc-flow-log"),
        )
        made["aws_flow_log"] = log["FlowLogIds"][0]

    def role(self) -> None:
        iam, name = self.client("iam"), f"lab-{REGION}-node"
        iam.create_role(RoleName=name, AssumeRolePolicyDocument=policy(ASSUME), Tags=self.tags("aws_iam_role"))
        iam.put_role_policy(RoleName=name, PolicyName="p", PolicyDocument=policy(ALLOW))
        iam.attach_role_policy(RoleName=name, PolicyArn="arn:aws:iam::aws:policy/AmazonSSMManagedInstanceCore")
        iam.create_instance_profile(InstanceProfileName=name, Tags=self.tags("aws_iam_instance_profile"))
        iam.add_role_to_instance_profile(InstanceProfileName=name, RoleName=name)
        self.made |= {"aws_iam_role": name, "aws_iam_instance_profile": name}

    def machines(self) -> None:
        ec2, made = self.client("ec2"), self.made
        ec2.create_key_pair(KeyName="lab-k", TagSpecifications=self.spec("aws_key_pair", "key-pair"))
        ec2.create_placement_group(
            GroupName="lab-p",
            Strategy="cluster",
            TagSpecifications=self.spec("aws_placement_group", "placement-group"),
        )
        made |= {"aws_key_pair": "lab-k", "aws_placement_group": "lab-p"}
        image = ec2.describe_images(Owners=["099720109477"])["Images"][0]["ImageId"]
        data = {"ImageId": image, "InstanceType": "m5.large"}
        template = ec2.create_launch_template(
            LaunchTemplateName="lab-t",
            LaunchTemplateData=data,
            TagSpecifications=self.spec("aws_launch_template", "launch-template"),
        )
        made["aws_launch_template"] = template["LaunchTemplate"]["LaunchTemplateId"]
        self.client("autoscaling").create_auto_scaling_group(
            AutoScalingGroupName="lab-g",
            MinSize=1,
            MaxSize=1,
            LaunchTemplate={"LaunchTemplateId": made["aws_launch_template"], "Version": "1"},
            VPCZoneIdentifier=made["aws_subnet"],
            Tags=[{**tag, "PropagateAtLaunch": False} for tag in self.tags("aws_autoscaling_group")],
        )
        made["aws_autoscaling_group"] = "lab-g"
        machine = ec2.run_instances(
            **data,
            MinCount=1,
            MaxCount=1,
            SubnetId=made["aws_subnet"],
            TagSpecifications=self.spec("aws_instance", "instance"),
        )
        made["aws_instance"] = machine["Instances"][0]["InstanceId"]

    def storage(self) -> None:
        efs, made = self.client("efs"), self.made
        system = efs.create_file_system(CreationToken="lab-d", Tags=self.tags("aws_efs_file_system"))
        made["aws_efs_file_system"] = system["FileSystemId"]
        target = efs.create_mount_target(FileSystemId=system["FileSystemId"], SubnetId=made["aws_subnet"])
        made["aws_efs_mount_target"] = target["MountTargetId"]
        place = {"LocationConstraint": REGION}
        self.client("s3").create_bucket(Bucket="lab-results", CreateBucketConfiguration=place)
        made["aws_s3_bucket"] = "lab-results"

    def balancer(self) -> None:
        elb, made = self.client("elbv2"), self.made
        balancer = elb.create_load_balancer(
            Name="lab-api", Type="network", Subnets=[made["aws_subnet"]], Tags=self.tags("aws_lb")
        )["LoadBalancers"][0]["LoadBalancerArn"]
        group = elb.create_target_group(
            Name="lab-api", Protocol="TCP", Port=6443, VpcId=made["aws_vpc"], Tags=self.tags("aws_lb_target_group")
        )["TargetGroups"][0]["TargetGroupArn"]
        listener = elb.create_listener(
            LoadBalancerArn=balancer,
            Protocol="TCP",
            Port=6443,
            DefaultActions=[{"Type": "forward", "TargetGroupArn": group}],
            Tags=self.tags("aws_lb_listener"),
        )["Listeners"][0]["ListenerArn"]
        made |= {"aws_lb": balancer, "aws_lb_target_group": group, "aws_lb_listener": listener}


@pytest.fixture
def server(infra: Infra) -> Server:
    return Server.of(infra)


@pytest.fixture
def session(server: Server) -> aws.Session:
    return aws.session(Aws(regions=[REGION], endpoint="local"), server.record.url)


def test_all_are_found_and_removed(server: Server, session: aws.Session) -> None:
    made = Maker(session).all()
    # Rules of their own are of the current provider only, and the embedded AWS keeps no tags on them.
    beyond = {"aws_vpc_security_group_ingress_rule", "aws_vpc_security_group_egress_rule"}
    beyond |= {"aws_vpc_peering_connection"}  # between regions: test_links
    assert set(made) == set(KINDS) - beyond
    said = aws_find.inventory(Search(session, REGION, "lab", {"aws_s3_bucket": ["lab-results"]}))
    assert said.gaps == ()
    there = {item.key: item for item in said.found}
    assert set(made.items()) <= set(there)
    untagged = {type_ for type_, ident in made.items() if not there[type_, ident].tags.get("infra:address")}
    assert untagged == {"aws_s3_bucket", "aws_efs_mount_target", "aws_route_table_association", "aws_route"}
    for type_, ident in made.items():
        assert all(there[type_, ident].keys.get(name) for name in KINDS[type_].key), type_
    mine = there["aws_nat_gateway", made["aws_nat_gateway"]]
    assert mine.keys["allocation_id"] == made["aws_eip"]
    assert mine.vpc == made["aws_vpc"]

    assert aws_find.strangers(Search(session, REGION, "lab"))
    assert aws_find.strangers(Search(session, REGION, "other")) == []

    left = adopt.leftovers(said.found, set(), adopt.Rules("lab"), everything=True)
    remover = Remover(session, REGION, deadline=20, pause=0.1)
    for item in left.remove:
        remover.remove(item.type, item.id)
    remover.remove("aws_s3_bucket", "lab-results")
    assert server.resources() == []
    assert aws_find.strangers(Search(session, REGION, "lab")) == []
    for item in left.remove:  # gone already is no error
        remover.remove(item.type, item.id)


def test_what_does_not_go_in_time_is_said(session: aws.Session) -> None:
    made = Maker(session)
    made.network()
    remover = Remover(session, REGION, deadline=0.3, pause=0.1)
    with pytest.raises(CloudError, match="does not go away"):
        remover.wait(lambda: False, "nat-1")
    with pytest.raises(CloudError):  # AWS refuses: subnets are in it
        remover.remove("aws_vpc", made.made["aws_vpc"])


def test_where_we_may_not_look_is_said(session: aws.Session, server: Server, tmp_path: Path) -> None:
    Maker(session).network()
    denied = Refusal("AccessDenied", "not authorized to perform: elasticloadbalancing:DescribeLoadBalancers", 403)
    refusals = [Refusal(denied.code, denied.message, 403, when=lambda call: call.service == "elasticloadbalancing")]
    with serve(refusals, server.record.url) as faulty:
        behind = aws.session(Aws(regions=[REGION], endpoint="local"), faulty.url)
        said = aws_find.inventory(Search(behind, REGION, "lab"))
    assert len(said.gaps) == 1
    assert said.gaps[0].startswith("not looked at: ")
    assert "aws_vpc" in {item.type for item in said.found}
