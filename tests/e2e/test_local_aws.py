"""What the embedded AWS answers, asked with boto3: each of our extensions of moto."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError

from infra.local import inventory
from infra.local.endpoint import ACCOUNT
from tests.e2e.local_aws import CANONICAL, REGION, Aws

pytestmark = pytest.mark.engine


def code(error: pytest.ExceptionInfo[ClientError]) -> str:
    return str(error.value.response["Error"]["Code"])


def tags(entries: list[dict[str, str]]) -> dict[str, str]:
    return {entry["Key"]: entry["Value"] for entry in entries}


class TestImages:
    @pytest.mark.parametrize("region", ["us-west-2", "eu-west-1", "ap-southeast-2"])
    def test_canonicals_ubuntu_is_in_every_region(self, aws: Aws, region: str) -> None:
        images = aws("ec2", region).describe_images(
            Owners=[CANONICAL],
            Filters=[
                {"Name": "name", "Values": ["ubuntu/images/hvm-ssd-gp3/ubuntu-noble-24.04-amd64-server-*"]},
                {"Name": "architecture", "Values": ["x86_64"]},
                {"Name": "virtualization-type", "Values": ["hvm"]},
                {"Name": "root-device-type", "Values": ["ebs"]},
                {"Name": "state", "Values": ["available"]},
            ],
        )["Images"]
        newest = max(images, key=lambda image: image["CreationDate"])
        assert newest["Name"].endswith("20250821")
        assert newest["RootDeviceName"] == "/dev/sda1"
        assert newest["BlockDeviceMappings"][0]["Ebs"]["DeleteOnTermination"] is True
        assert newest["OwnerId"] == CANONICAL
        parameter = "/aws/service/canonical/ubuntu/server/24.04/stable/current/amd64/hvm/ebs-gp3/ami-id"
        value = aws("ssm", region).get_parameter(Name=parameter)["Parameter"]["Value"]
        assert value == newest["ImageId"]

    def test_regions_have_their_own_ids_and_zones(self, aws: Aws) -> None:
        def ids(region: str) -> set[str]:
            return {image["ImageId"] for image in aws("ec2", region).describe_images(Owners=[CANONICAL])["Images"]}

        assert not ids("us-west-2") & ids("us-east-1")
        for region, count in (("us-west-2", 4), ("eu-west-1", 3), ("us-east-2", 3)):
            zones = aws("ec2", region).describe_availability_zones()["AvailabilityZones"]
            assert len(zones) == count
            assert {zone["RegionName"] for zone in zones} == {region}


class TestInstanceTypes:
    def test_efa_gpus_and_retired_types(self, aws: Aws) -> None:
        answer = aws("ec2").describe_instance_types(InstanceTypes=["p5.48xlarge", "p3.8xlarge"])["InstanceTypes"]
        types = {entry["InstanceType"]: entry for entry in answer}
        assert types["p5.48xlarge"]["NetworkInfo"]["EfaInfo"]["MaximumEfaInterfaces"] == 32
        assert types["p3.8xlarge"]["GpuInfo"]["Gpus"][0] == {
            "Name": "V100",
            "Manufacturer": "NVIDIA",
            "Count": 4,
            "MemoryInfo": {"SizeInMiB": 16384},
        }
        offers = aws("ec2").describe_instance_type_offerings(
            LocationType="availability-zone", Filters=[{"Name": "instance-type", "Values": ["p3.8xlarge"]}]
        )["InstanceTypeOfferings"]
        assert {offer["Location"][:-1] for offer in offers} == {REGION}


class TestPlacementGroups:
    def test_life_of_one(self, aws: Aws) -> None:
        ec2 = aws("ec2")
        made = ec2.create_placement_group(
            GroupName="c",
            Strategy="cluster",
            TagSpecifications=[{"ResourceType": "placement-group", "Tags": [{"Key": "a", "Value": "b"}]}],
        )["PlacementGroup"]
        assert made["GroupArn"] == f"arn:aws:ec2:{REGION}:{ACCOUNT}:placement-group/c"
        ec2.create_tags(Resources=[made["GroupId"]], Tags=[{"Key": "c", "Value": "d"}])
        found = ec2.describe_placement_groups(GroupNames=["c"])["PlacementGroups"][0]
        assert (found["State"], found["Strategy"], tags(found["Tags"])) == (
            "available",
            "cluster",
            {"a": "b", "c": "d"},
        )
        assert ec2.describe_placement_groups(Filters=[{"Name": "tag:a", "Values": ["b"]}])["PlacementGroups"]
        assert not ec2.describe_placement_groups(Filters=[{"Name": "strategy", "Values": ["spread"]}])[
            "PlacementGroups"
        ]
        ec2.delete_placement_group(GroupName="c")
        with pytest.raises(ClientError) as error:
            ec2.describe_placement_groups(GroupNames=["c"])
        assert code(error) == "InvalidPlacementGroup.Unknown"

    def test_what_is_refused(self, aws: Aws) -> None:
        ec2 = aws("ec2")
        ec2.create_placement_group(GroupName="p", Strategy="partition", PartitionCount=3)
        assert ec2.describe_placement_groups()["PlacementGroups"][0]["PartitionCount"] == 3
        asked: list[tuple[str, dict[str, Any]]] = [
            ("InvalidPlacementGroup.Duplicate", {"GroupName": "p", "Strategy": "cluster"}),
            ("InvalidParameterValue", {"GroupName": "q", "Strategy": "cluster", "PartitionCount": 2}),
            ("InvalidParameterValue", {"GroupName": "q", "Strategy": "partition", "PartitionCount": 9}),
        ]
        for wanted, request in asked:
            with pytest.raises(ClientError) as error:
                ec2.create_placement_group(**request)
            assert code(error) == wanted

    def test_one_in_use_is_not_deleted(self, aws: Aws) -> None:
        ec2 = aws("ec2")
        ec2.create_placement_group(GroupName="c", Strategy="cluster")
        run = {"ImageId": aws.image(), "InstanceType": "c5.9xlarge", "MinCount": 1, "MaxCount": 1}
        with pytest.raises(ClientError) as unknown:
            ec2.run_instances(**run, Placement={"GroupName": "other"})
        assert code(unknown) == "InvalidPlacementGroup.Unknown"
        instance = ec2.run_instances(**run, Placement={"GroupName": "c"})["Instances"][0]
        assert aws.instances()[0]["Placement"]["GroupName"] == "c"
        with pytest.raises(ClientError) as used:
            ec2.delete_placement_group(GroupName="c")
        assert code(used) == "InvalidPlacementGroup.InUse"
        ec2.terminate_instances(InstanceIds=[instance["InstanceId"]])
        ec2.delete_placement_group(GroupName="c")


class TestLaunch:
    def test_all_that_the_template_says_is_on_the_instance(self, aws: Aws) -> None:
        ec2, iam = aws("ec2"), aws("iam")
        subnet = aws.subnets("a")[0]
        vpc = ec2.describe_subnets(SubnetIds=[subnet])["Subnets"][0]["VpcId"]
        group = ec2.create_security_group(GroupName="n", Description="n", VpcId=vpc)["GroupId"]
        ec2.create_key_pair(KeyName="k", KeyType="ed25519")
        profile = iam.create_instance_profile(InstanceProfileName="p")["InstanceProfile"]["Arn"]
        template = aws.template(
            KeyName="k",
            IamInstanceProfile={"Arn": profile},
            EbsOptimized=True,
            Monitoring={"Enabled": True},
            MetadataOptions={"HttpTokens": "required", "HttpPutResponseHopLimit": 2},
            BlockDeviceMappings=[
                {
                    "DeviceName": "/dev/sda1",
                    "Ebs": {"VolumeSize": 100, "VolumeType": "gp3", "Encrypted": True, "Throughput": 250},
                }
            ],
            NetworkInterfaces=[
                {"DeviceIndex": 0, "Groups": [group], "AssociatePublicIpAddress": False, "SubnetId": subnet}
            ],
            InstanceMarketOptions={"MarketType": "spot"},
            TagSpecifications=[
                {"ResourceType": kind, "Tags": [{"Key": "kind", "Value": kind}]} for kind in ("instance", "volume")
            ],
        )
        ec2.run_instances(LaunchTemplate={"LaunchTemplateId": template}, MinCount=1, MaxCount=1)
        instance = aws.instances()[0]
        assert instance["KeyName"] == "k"
        assert instance["IamInstanceProfile"]["Arn"] == profile
        assert instance["EbsOptimized"] is True
        assert instance["Monitoring"]["State"] == "enabled"
        assert instance["MetadataOptions"]["HttpTokens"] == "required"
        assert instance["MetadataOptions"]["HttpPutResponseHopLimit"] == 2
        assert instance["InstanceLifecycle"] == "spot"
        assert [g["GroupId"] for g in instance["SecurityGroups"]] == [group]
        assert "PublicIpAddress" not in instance
        assert tags(instance["Tags"])["kind"] == "instance"
        assert tags(instance["Tags"])["aws:ec2launchtemplate:version"] == "1"
        volumes = ec2.describe_volumes()["Volumes"]
        assert len(volumes) == 1
        assert (volumes[0]["Size"], volumes[0]["VolumeType"], volumes[0]["Throughput"]) == (100, "gp3", 250)
        assert volumes[0]["Encrypted"] is True
        assert tags(volumes[0]["Tags"]) == {"kind": "volume"}
        ec2.terminate_instances(InstanceIds=[instance["InstanceId"]])
        left = {resource.type for resource in inventory.resources()}
        assert not left & {"aws_instance", "aws_ebs_volume", "aws_network_interface"}

    def test_network_cards_of_an_efa_machine(self, aws: Aws) -> None:
        cards = [{"NetworkCardIndex": i, "DeviceIndex": min(i, 1), "InterfaceType": "efa"} for i in range(4)]
        template = aws.template(InstanceType="p5.48xlarge", NetworkInterfaces=cards)
        aws.group(template, DesiredCapacity=1)
        found = aws.instances()[0]["NetworkInterfaces"]
        shown = sorted((c["Attachment"]["NetworkCardIndex"], c["Attachment"]["DeviceIndex"]) for c in found)
        assert shown == [(0, 0), (1, 1), (2, 1), (3, 1)]
        assert {card["InterfaceType"] for card in found} == {"efa"}

    def test_what_does_not_exist_is_refused(self, aws: Aws) -> None:
        run = {"ImageId": aws.image(), "InstanceType": "m5.large", "MinCount": 1, "MaxCount": 1}
        refused: list[tuple[str, dict[str, Any]]] = [
            ("InvalidKeyPair.NotFound", {"KeyName": "nobody"}),
            ("InvalidGroup.NotFound", {"SecurityGroupIds": ["sg-00000000"]}),
            ("InvalidInstanceType.NotFound", {"InstanceType": "m5.enormous"}),
        ]
        for wanted, more in refused:
            with pytest.raises(ClientError) as error:
                aws("ec2").run_instances(**{**run, **more})
            assert code(error) == wanted
        assert aws.instances() == []

    def test_a_templates_tags_stay_out_of_its_versions_and_can_change(self, aws: Aws) -> None:
        ec2 = aws("ec2")
        made = ec2.create_launch_template(
            LaunchTemplateName="t",
            LaunchTemplateData={"InstanceType": "m5.large", "UserData": "YQ=="},
            TagSpecifications=[{"ResourceType": "launch-template", "Tags": [{"Key": "a", "Value": "b"}]}],
        )["LaunchTemplate"]["LaunchTemplateId"]
        ec2.create_tags(Resources=[made], Tags=[{"Key": "a", "Value": "c"}])
        assert tags(ec2.describe_launch_templates()["LaunchTemplates"][0]["Tags"]) == {"a": "c"}
        ec2.create_launch_template_version(
            LaunchTemplateId=made, SourceVersion="1", LaunchTemplateData={"ImageId": aws.image()}
        )
        versions = ec2.describe_launch_template_versions(LaunchTemplateId=made)["LaunchTemplateVersions"]
        assert [v["LaunchTemplateData"].get("TagSpecifications", []) for v in versions] == [[], []]
        assert [v["LaunchTemplateData"]["UserData"] for v in versions] == ["YQ==", "YQ=="]
        ec2.run_instances(LaunchTemplate={"LaunchTemplateId": made, "Version": "2"}, MinCount=2, MaxCount=2)
        assert len(aws.instances()) == 2


class TestGroups:
    def test_instances_are_spread_and_tagged(self, aws: Aws) -> None:
        template = aws.template()
        group = aws.group(
            template,
            DesiredCapacity=4,
            Tags=[
                {"Key": "seen", "Value": "1", "PropagateAtLaunch": True},
                {"Key": "hidden", "Value": "1", "PropagateAtLaunch": False},
            ],
        )
        zones = [instance["AvailabilityZone"] for instance in group["Instances"]]
        assert sorted(zones) == [REGION + "a", REGION + "a", REGION + "b", REGION + "b"]
        assert group["Instances"][0]["LaunchTemplate"]["Version"] == "1"
        found = tags(aws.instances()[0]["Tags"])
        assert found["seen"] == "1"
        assert "hidden" not in found
        assert found["aws:autoscaling:groupName"] == "g"

    def test_an_update_keeps_what_it_does_not_name(self, aws: Aws) -> None:
        policy = {
            "LaunchTemplate": {
                "LaunchTemplateSpecification": {"LaunchTemplateId": aws.template(), "Version": "1"},
                "Overrides": [{"InstanceType": "m5.large"}, {"InstanceType": "m5.xlarge"}],
            },
            "InstancesDistribution": {"OnDemandBaseCapacity": 1, "OnDemandPercentageAboveBaseCapacity": 0},
        }
        before = aws.group(MixedInstancesPolicy=policy, MaxInstanceLifetime=604800, DesiredCapacity=3)
        assert "LaunchTemplate" not in before
        lifecycles = sorted(instance.get("InstanceLifecycle", "on-demand") for instance in aws.instances())
        assert lifecycles == ["on-demand", "spot", "spot"]
        aws("autoscaling").update_auto_scaling_group(AutoScalingGroupName="g", MaxSize=9)
        after = aws.described_group()
        assert after["MaxSize"] == 9
        assert {k: v for k, v in after.items() if k != "MaxSize"} == {k: v for k, v in before.items() if k != "MaxSize"}
        aws("autoscaling").update_auto_scaling_group(
            AutoScalingGroupName="g", DefaultCooldown=10, TerminationPolicies=["OldestInstance"], CapacityRebalance=True
        )
        changed = aws.described_group()
        assert (changed["DefaultCooldown"], changed["TerminationPolicies"]) == (10, ["OldestInstance"])
        assert changed["CapacityRebalance"] is True

    def test_bounds_are_kept(self, aws: Aws) -> None:
        template = aws.template()
        scaling = aws("autoscaling")
        aws.group(template, MinSize=1, MaxSize=3)
        refused: list[tuple[str, dict[str, Any]]] = [
            ("set_desired_capacity", {"DesiredCapacity": 4}),
            ("set_desired_capacity", {"DesiredCapacity": 0}),
            ("update_auto_scaling_group", {"DesiredCapacity": 4}),
            ("update_auto_scaling_group", {"MinSize": 5}),
        ]
        for call, request in refused:
            with pytest.raises(ClientError) as error:
                getattr(scaling, call)(AutoScalingGroupName="g", **request)
            assert code(error) == "ValidationError"
        scaling.update_auto_scaling_group(AutoScalingGroupName="g", MaxSize=1)
        assert aws.described_group()["DesiredCapacity"] == 1
        assert len(aws.instances()) == 1

    def test_a_taken_name_and_a_template_that_cannot_launch_are_refused(self, aws: Aws) -> None:
        template = aws.template(KeyName="nobody")
        with pytest.raises(ClientError) as broken:
            aws.group(template)
        assert code(broken) == "ValidationError"
        assert "nobody" in str(broken.value)
        assert aws("autoscaling").describe_auto_scaling_groups()["AutoScalingGroups"] == []
        aws("ec2").delete_launch_template(LaunchTemplateId=template)
        template = aws.template()
        aws.group(template)
        with pytest.raises(ClientError) as taken:
            aws.group(template)
        assert code(taken) == "AlreadyExists"

    def test_a_group_with_instances_is_deleted_by_force_alone(self, aws: Aws) -> None:
        aws.group(aws.template(), NewInstancesProtectedFromScaleIn=True)
        with pytest.raises(ClientError) as error:
            aws("autoscaling").delete_auto_scaling_group(AutoScalingGroupName="g")
        assert code(error) == "ResourceInUse"
        aws("autoscaling").delete_auto_scaling_group(AutoScalingGroupName="g", ForceDelete=True)
        assert aws.instances() == []

    def test_activities_tell_what_happened(self, aws: Aws) -> None:
        scaling = aws("autoscaling")
        aws.group(aws.template(), DesiredCapacity=1)
        first = aws.instances()[0]["InstanceId"]
        scaling.terminate_instance_in_auto_scaling_group(InstanceId=first, ShouldDecrementDesiredCapacity=False)
        assert [i["InstanceId"] for i in aws.instances()] != [first]
        scaling.set_desired_capacity(AutoScalingGroupName="g", DesiredCapacity=0)
        activities = scaling.describe_scaling_activities(AutoScalingGroupName="g")["Activities"]
        words = [activity["Description"].split(":")[0] for activity in reversed(activities)]
        assert sorted(words) == ["Launching a new EC2 instance"] * 2 + ["Terminating EC2 instance"] * 2
        assert {activity["StatusCode"] for activity in activities} == {"Successful"}
        page = scaling.describe_scaling_activities(AutoScalingGroupName="g", MaxRecords=3)
        assert len(page["Activities"]) == 3
        rest = scaling.describe_scaling_activities(AutoScalingGroupName="g", MaxRecords=3, NextToken=page["NextToken"])
        assert len(rest["Activities"]) == 1

    def test_an_instance_terminated_outside_is_replaced(self, aws: Aws) -> None:
        aws.group(aws.template())
        before = {i["InstanceId"] for i in aws.instances()}
        aws("ec2").terminate_instances(InstanceIds=[min(before)])
        after = {i["InstanceId"] for i in aws.instances()}
        assert len(after) == 2
        assert len(after & before) == 1


class TestRefresh:
    def test_instances_are_replaced_by_the_present_template(self, aws: Aws) -> None:
        ec2, scaling = aws("ec2"), aws("autoscaling")
        template = aws.template()
        aws.group(template)
        before = {i["InstanceId"] for i in aws.instances()}
        ec2.create_launch_template_version(
            LaunchTemplateId=template, SourceVersion="1", LaunchTemplateData={"InstanceType": "m5.xlarge"}
        )
        scaling.update_auto_scaling_group(
            AutoScalingGroupName="g", LaunchTemplate={"LaunchTemplateId": template, "Version": "2"}
        )
        assert {i["InstanceId"] for i in aws.instances()} == before
        scaling.start_instance_refresh(AutoScalingGroupName="g", Preferences={"MinHealthyPercentage": 50})
        refresh = scaling.describe_instance_refreshes(AutoScalingGroupName="g")["InstanceRefreshes"][0]
        assert (refresh["Status"], refresh["PercentageComplete"]) == ("Successful", 100)
        after = aws.instances()
        assert not {i["InstanceId"] for i in after} & before
        assert {i["InstanceType"] for i in after} == {"m5.xlarge"}

    def test_protected_instances_hold_it_up(self, aws: Aws) -> None:
        scaling = aws("autoscaling")
        group = aws.group(aws.template(), NewInstancesProtectedFromScaleIn=True)
        scaling.start_instance_refresh(AutoScalingGroupName="g")
        assert (
            scaling.describe_instance_refreshes(AutoScalingGroupName="g")["InstanceRefreshes"][0]["InstancesToUpdate"]
            == 2
        )
        with pytest.raises(ClientError) as busy:
            scaling.start_instance_refresh(AutoScalingGroupName="g")
        assert code(busy) == "InstanceRefreshInProgress"
        scaling.cancel_instance_refresh(AutoScalingGroupName="g")
        with pytest.raises(ClientError) as none:
            scaling.cancel_instance_refresh(AutoScalingGroupName="g")
        assert code(none) == "ActiveInstanceRefreshNotFound"
        scaling.start_instance_refresh(AutoScalingGroupName="g")
        scaling.set_instance_protection(
            AutoScalingGroupName="g",
            InstanceIds=[i["InstanceId"] for i in group["Instances"]],
            ProtectedFromScaleIn=False,
        )
        refresh = scaling.describe_instance_refreshes(AutoScalingGroupName="g")["InstanceRefreshes"][0]
        assert refresh["Status"] == "Successful"


class TestRefusals:
    """What is not emulated is said at once, with a 400 that no SDK retries."""

    @pytest.mark.parametrize(
        ("service", "call", "request_", "wanted"),
        [
            ("ec2", "describe_capacity_reservations", {}, "UnsupportedOperation"),
            ("autoscaling", "describe_account_limits", {}, "InvalidAction"),
            ("ssm", "list_ops_metadata", {}, "UnknownOperationException"),
            ("efs", "describe_account_preferences", {}, "UnknownOperationException"),
            ("pricing", "describe_services", {}, "UnknownOperationException"),
            ("fms", "list_policies", {}, "UnknownOperationException"),
        ],
    )
    def test_an_unknown_action(self, aws: Aws, service: str, call: str, request_: dict[str, Any], wanted: str) -> None:
        with pytest.raises(ClientError) as error:
            getattr(aws(service), call)(**request_)
        assert code(error) == wanted
        assert error.value.response["ResponseMetadata"]["HTTPStatusCode"] == 400
        assert "does not emulate" in str(error.value)

    def test_a_filter_that_is_not_known(self, aws: Aws) -> None:
        aws("ec2").run_instances(ImageId=aws.image(), InstanceType="m5.large", MinCount=1, MaxCount=1)
        with pytest.raises(ClientError) as error:
            aws("ec2").describe_instances(Filters=[{"Name": "hypervisor", "Values": ["xen"]}])
        assert code(error) == "UnsupportedOperation"
        assert "hypervisor" in str(error.value)

    def test_a_failure_of_the_server_itself(self, aws: Aws) -> None:
        with pytest.raises(ClientError) as error:
            aws("autoscaling").suspend_processes(AutoScalingGroupName="nobody")
        assert code(error) == "InternalFailure"
        assert error.value.response["ResponseMetadata"]["HTTPStatusCode"] == 400
        assert "KeyError" in str(error.value)


class TestSmallThings:
    def test_tags_with_brackets_can_be_looked_for(self, aws: Aws) -> None:
        address = 'module.network.aws_subnet.private["us-west-2a"]'
        subnet = aws.subnets("a")[0]
        aws("ec2").create_tags(Resources=[subnet], Tags=[{"Key": "infra:address", "Value": address}])
        wanted = [{"Name": "tag:infra:address", "Values": [address]}]
        assert [s["SubnetId"] for s in aws("ec2").describe_subnets(Filters=wanted)["Subnets"]] == [subnet]
        assert [
            t["ResourceId"] for t in aws("ec2").describe_tags(Filters=[{"Name": "value", "Values": [address]}])["Tags"]
        ] == [subnet]

    def test_an_address_is_of_a_vpc(self, aws: Aws) -> None:
        asked = aws("ec2").describe_account_attributes(AttributeNames=["supported-platforms"])["AccountAttributes"]
        assert [[v["AttributeValue"] for v in a["AttributeValues"]] for a in asked] == [["VPC"]]

    def test_awss_own_policies_can_be_attached(self, aws: Aws) -> None:
        iam = aws("iam")
        iam.create_role(RoleName="r", AssumeRolePolicyDocument="{}")
        arn = "arn:aws:iam::aws:policy/AmazonSSMManagedInstanceCore"
        iam.attach_role_policy(RoleName="r", PolicyArn=arn)
        assert iam.list_attached_role_policies(RoleName="r")["AttachedPolicies"][0]["PolicyArn"] == arn
        assert [r.type for r in inventory.resources()] == ["aws_iam_role"]

    def test_a_deleted_nat_gateway_gives_back_what_it_took(self, aws: Aws) -> None:
        ec2 = aws("ec2")
        address = ec2.allocate_address(Domain="vpc")["AllocationId"]
        gateway = ec2.create_nat_gateway(SubnetId=aws.subnets("a")[0], AllocationId=address)["NatGateway"]
        owned = [r.owner for r in inventory.resources() if r.type == "aws_network_interface"]
        assert owned == [gateway["NatGatewayId"]]
        ec2.delete_nat_gateway(NatGatewayId=gateway["NatGatewayId"])
        assert "AssociationId" not in ec2.describe_addresses()["Addresses"][0]
        assert not [r for r in inventory.resources() if r.type in ("aws_network_interface", "aws_nat_gateway")]

    def test_an_endpoints_routes_follow_its_tables(self, aws: Aws) -> None:
        ec2 = aws("ec2")
        vpc = ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
        first, second, third = (ec2.create_route_table(VpcId=vpc)["RouteTable"]["RouteTableId"] for _ in "abc")
        asked = {"VpcId": vpc, "ServiceName": f"com.amazonaws.{REGION}.s3", "RouteTableIds": [first, second]}
        endpoint = ec2.create_vpc_endpoint(**asked)["VpcEndpoint"]["VpcEndpointId"]

        def routed() -> set[str]:
            tables = ec2.describe_route_tables()["RouteTables"]
            return {t["RouteTableId"] for t in tables if endpoint in [r.get("GatewayId") for r in t["Routes"]]}

        assert routed() == {first, second}
        ec2.modify_vpc_endpoint(VpcEndpointId=endpoint, AddRouteTableIds=[third], RemoveRouteTableIds=[first])
        assert routed() == {second, third}
        with pytest.raises(ClientError) as error:
            ec2.modify_vpc_endpoint(VpcEndpointId=endpoint, AddRouteTableIds=["rtb-0", first])
        assert code(error) == "InvalidRouteTableID.NotFound"
        assert routed() == {second, third}
        ec2.delete_route_table(RouteTableId=second)
        ec2.delete_vpc_endpoints(VpcEndpointIds=[endpoint])
        assert routed() == set()
        assert not [r for r in inventory.resources() if r.type == "aws_vpc_endpoint"]

    def test_dhcp_options_keep_their_tags(self, aws: Aws) -> None:
        made = aws("ec2").create_dhcp_options(
            DhcpConfigurations=[{"Key": "domain-name", "Values": ["x"]}],
            TagSpecifications=[{"ResourceType": "dhcp-options", "Tags": [{"Key": "a", "Value": "b"}]}],
        )["DhcpOptions"]["DhcpOptionsId"]
        found = aws("ec2").describe_dhcp_options(DhcpOptionsIds=[made])["DhcpOptions"][0]
        assert tags(found["Tags"]) == {"a": "b"}

    def test_a_file_system_changes_and_loses_its_policy(self, aws: Aws) -> None:
        efs = aws("efs")
        system = efs.create_file_system(CreationToken="x")["FileSystemId"]
        efs.update_file_system(FileSystemId=system, ThroughputMode="elastic")
        assert efs.describe_file_systems()["FileSystems"][0]["ThroughputMode"] == "elastic"
        efs.put_backup_policy(FileSystemId=system, BackupPolicy={"Status": "ENABLED"})
        efs.put_file_system_policy(FileSystemId=system, Policy="{}")
        efs.delete_file_system_policy(FileSystemId=system)
        with pytest.raises(ClientError):
            efs.describe_file_system_policy(FileSystemId=system)

    @pytest.mark.parametrize(
        ("action", "more"),
        [
            ("describe_file_system_policy", {}),
            ("describe_backup_policy", {}),
            ("describe_lifecycle_configuration", {}),
            ("describe_mount_targets", {}),
            ("put_file_system_policy", {"Policy": "{}"}),
            ("update_file_system", {"ThroughputMode": "elastic"}),
            ("delete_file_system", {}),
        ],
    )
    def test_a_file_system_that_is_gone(self, aws: Aws, action: str, more: dict[str, Any]) -> None:
        efs = aws("efs")
        system = efs.create_file_system(CreationToken=f"gone-{action}")["FileSystemId"]
        efs.delete_file_system(FileSystemId=system)
        with pytest.raises(ClientError) as error:
            getattr(efs, action)(FileSystemId=system, **more)
        assert error.value.response["Error"]["Code"] == "FileSystemNotFound"

    def test_a_role_that_is_not_in_an_instance_profile(self, aws: Aws) -> None:
        iam = aws("iam")
        iam.create_instance_profile(InstanceProfileName="bare")
        iam.create_role(RoleName="bare", AssumeRolePolicyDocument="{}")
        with pytest.raises(ClientError) as error:
            iam.remove_role_from_instance_profile(InstanceProfileName="bare", RoleName="bare")
        assert error.value.response["Error"]["Code"] == "NoSuchEntity"

    def test_conditional_writes(self, aws: Aws) -> None:
        s3 = aws("s3")
        s3.create_bucket(Bucket="state", CreateBucketConfiguration={"LocationConstraint": REGION})
        s3.put_bucket_versioning(Bucket="state", VersioningConfiguration={"Status": "Enabled"})
        s3.put_object(Bucket="state", Key="lock", Body=b"1", IfNoneMatch="*")
        with pytest.raises(ClientError) as error:
            s3.put_object(Bucket="state", Key="lock", Body=b"2", IfNoneMatch="*")
        assert code(error) == "PreconditionFailed"
        s3.delete_object(Bucket="state", Key="lock")
        s3.put_object(Bucket="state", Key="lock", Body=b"3", IfNoneMatch="*")


class TestInventory:
    def test_only_what_somebody_asked_for_has_no_owner(self, aws: Aws) -> None:
        assert inventory.resources() == []
        aws.group(aws.template(), DesiredCapacity=1, Tags=[{"Key": "a", "Value": "b", "PropagateAtLaunch": True}])
        asked = [(r.type, r.region) for r in inventory.resources() if not r.owner]
        assert asked == [
            ("aws_autoscaling_group", REGION),
            ("aws_launch_template", REGION),
            ("aws_subnet", REGION),
            ("aws_subnet", REGION),
            ("aws_vpc", REGION),
        ]
        instance = next(r for r in inventory.resources() if r.type == "aws_instance")
        assert instance.owner == "g"
        assert instance.tags["a"] == "b"
        assert {r.owner for r in inventory.resources() if r.type in ("aws_ebs_volume", "aws_network_interface")} == {
            instance.id
        }
        inventory.reset()
        assert inventory.resources() == []
