"""infra image against the embedded AWS: what is there, which one machines start from, and what may go."""

from __future__ import annotations

import json
from typing import Any

import pytest

from infra.image import sbom
from infra.image.ledger import Image, Pointer, tags
from tests.conftest import Infra
from tests.e2e import embedded
from tests.e2e.aws import Hand
from tests.e2e.faulty_aws import Refusal

pytestmark = pytest.mark.engine

LAB = """\
version: 1
cluster: demo
aws: {regions: [us-west-2, us-east-1], endpoint: local}
profiles:
  gpu: {run_list: ["role[gpu-node]"], nvidia: {driver: "580", cuda: "12.9"}}
  cpu: {run_list: ["role[cpu-node]"]}
pools:
  gpu: {profile: gpu, instance_types: [g5.xlarge], size: {max: 2}, regions: [us-west-2, us-east-1]}
  cpu: {profile: cpu, instance_types: [m5.large], size: {max: 2}}
"""
OLD, NEW, LATEST = ("1" * 64, "2" * 64, "3" * 64)
PACKAGES = "dpkg\t\tcurl\t7.81\tamd64\npip\ttf\tnumpy\t1.26\n"


class Baker:
    """Makes images as a bake leaves them, without the baking."""

    def __init__(self, infra: Infra) -> None:
        embedded.start(infra.env)
        self.infra = infra
        self.hands = {region: Hand(infra, region) for region in ("us-west-2", "us-east-1")}
        self.account = self.hands["us-west-2"].client("sts").get_caller_identity()["Account"]

    def base(self, region: str) -> str:
        names = [{"Name": "name", "Values": ["*jammy*amd64*20250822"]}]
        found: list[dict[str, Any]] = self.hands[region].ec2.describe_images(Filters=names)["Images"]
        return str(found[0]["ImageId"])

    def image(self, digest: str, day: int, region: str = "us-west-2", **facts: Any) -> Image:
        """An AMI with its tags in one region; the same digest and day elsewhere is a copy."""
        ec2 = self.hands[region].ec2
        base = self.base(region)
        builder = ec2.run_instances(ImageId=base, MinCount=1, MaxCount=1, InstanceType="m5.large")["Instances"][0]
        profile = facts.get("profile", "gpu")
        name = f"demo-{profile}-{digest[:12]}-202611{day:02}000000"
        ami = ec2.create_image(InstanceId=builder["InstanceId"], Name=name)["ImageId"]
        ec2.terminate_instances(InstanceIds=[builder["InstanceId"]])
        disks = ec2.describe_images(ImageIds=[ami])["Images"][0]["BlockDeviceMappings"]
        known: dict[str, Any] = {
            "cluster": "demo",
            "profile": profile,
            "layers": {"system": "a" * 64, "research": digest},
            "base": base,
            "versions": {"os": "ubuntu-22.04", "nvidia.driver": "580"},
            "who": "ada@laptop",
            "created": f"2026-11-{day:02}T00:00:00Z",
            "smoke": "passed, 1 skipped",
            "snapshots": tuple(disk["Ebs"]["SnapshotId"] for disk in disks),
        }
        image = Image(id=ami, region=region, name=name, digest=digest, **{**known, **facts})
        pairs = [{"Key": key, "Value": value} for key, value in tags(image).items()]
        ec2.create_tags(Resources=[ami, *image.snapshots], Tags=pairs)
        return image

    def packages(self, image: Image, text: str) -> str:
        """Keeps an SBOM as a bake does; its URL."""
        s3 = self.hands["us-west-2"].client("s3")
        bucket = f"demo-infra-{self.account}"
        where = {"CreateBucketConfiguration": {"LocationConstraint": "us-west-2"}}
        if bucket not in [item["Name"] for item in s3.list_buckets()["Buckets"]]:
            s3.create_bucket(Bucket=bucket, **where)
        key = f"sboms/{image.digest}.cdx.json"
        s3.put_object(Bucket=bucket, Key=key, Body=sbom.make(image, sbom.parse(text)).encode())
        return f"s3://{bucket}/{key}"

    def pointer(self, region: str = "us-west-2", profile: str = "gpu") -> dict[str, Any]:
        ssm = self.hands[region].client("ssm")
        said: dict[str, Any] = json.loads(ssm.get_parameter(Name=f"/infra/demo/images/{profile}")["Parameter"]["Value"])
        return said

    def point(self, image: Image, pinned: bool = False) -> None:
        pointer = Pointer(image.region, image.profile, image.id, image.digest, pinned, "ada@laptop", "2026-11-20")
        self.hands[image.region].client("ssm").put_parameter(
            Name=f"/infra/demo/images/{image.profile}", Value=pointer.text(), Type="String", Overwrite=True
        )

    def there(self, region: str = "us-west-2") -> set[str]:
        found = self.hands[region].ec2.describe_images(Owners=["self"])["Images"]
        return {item["ImageId"] for item in found}


@pytest.fixture
def baker(infra: Infra) -> Baker:
    infra.write(LAB)
    return Baker(infra)


def digest_of(infra: Infra, profile: str) -> str:
    from infra import policy
    from infra.spec.load import load

    return policy.of(load(infra.folder / "cluster.yaml"), profile).digest


def test_nothing_yet_and_no_embedded_aws(infra: Infra) -> None:
    infra.write(LAB)
    assert "infra local up" in infra("image", "list", code=1).err
    infra("local", "up")
    assert "no images yet" in infra("image", "list").out
    assert "no images yet" in infra("image", "tree").out
    assert infra("image", "list", "--json").json["images"] == []
    assert "no images" in infra("image", "prune").out
    assert "infra image list" in infra("image", "show", "nosuch", code=1).err


def test_list_show_tree_and_diff(infra: Infra, baker: Baker) -> None:
    old = baker.image(OLD, 1, versions={"os": "ubuntu-22.04", "nvidia.driver": "575"})
    copy = baker.image(OLD, 1, "us-east-1", versions=old.versions, base=old.base)
    new = baker.image(NEW, 20, parent=old.id)
    url = baker.packages(new, PACKAGES.replace("1.26", "2.0") + "pip\ttf\tjax\t0.4\n")
    baker.hands["us-west-2"].ec2.create_tags(Resources=[new.id], Tags=[{"Key": "infra:sbom", "Value": url}])
    url = baker.packages(old, PACKAGES)
    baker.hands["us-west-2"].ec2.create_tags(Resources=[old.id], Tags=[{"Key": "infra:sbom", "Value": url}])
    baker.point(old)
    ec2 = baker.hands["us-west-2"].ec2
    tagged = [{"ResourceType": "instance", "Tags": [{"Key": "infra:host", "Value": "dev"}]}]
    ec2.run_instances(ImageId=new.id, MinCount=1, MaxCount=1, InstanceType="m5.large", TagSpecifications=tagged)

    shown = infra("image", "list").out
    for word in ("us-west-2", "us-east-1", old.id, copy.id, new.id, "promoted", "host dev (1 machine)", OLD[:12]):
        assert word in shown
    listed = {item["id"]: item for item in infra("image", "list", "--json").json["images"]}
    assert listed[old.id]["promoted"] == "promoted"
    assert listed[new.id]["uses"][0]["name"] == "dev"
    assert listed[copy.id]["region"] == "us-east-1"
    only = infra("image", "list", "--region", "us-east-1", "--json").json["images"]
    assert [item["id"] for item in only] == [copy.id]

    for name in (new.id, new.name, NEW[:6]):
        assert infra("image", "show", name, "--json").json["id"] == new.id
    assert infra("image", "show", "gpu", "--json").json["id"] == old.id
    found = infra("image", "show", new.id, "--json").json
    assert len(found["packages"]) == 3
    assert [move["name"] for move in found["changes"]["versions"]] == ["nvidia.driver"]
    text = infra("image", "show", new.id).out
    assert "+ pip tf: jax 0.4" in text
    assert "~ pip tf: numpy 1.26 → 2.0" in text
    assert "575 → 580" in text
    assert "curl 7.81" in infra("image", "show", new.id, "--packages").out

    trees = infra("image", "tree", "--json").json["roots"]
    assert trees[0]["base"]
    assert trees[0]["children"][0]["children"][0]["images"][0]["id"] == new.id
    drawn = infra("image", "tree").out
    assert "Canonical ubuntu-22.04" in drawn
    assert drawn.index(old.id) < drawn.index(new.id)

    different = infra("image", "diff", "gpu", new.id, "--json", code=2).json
    assert {(move["action"], move["name"]) for move in different["packages"]} == {
        ("added", "jax"),
        ("changed", "numpy"),
    }
    assert "~ pip tf: numpy 1.26 → 2.0" in infra("image", "diff", old.id, NEW[:5], code=2).out
    assert infra("image", "diff", old.id, old.id, "--json").json["different"] is False


def test_promote_pin_and_back(infra: Infra, baker: Baker) -> None:
    file = digest_of(infra, "gpu")
    old = baker.image(OLD, 1)
    here, there = baker.image(file, 20), baker.image(file, 20, "us-east-1")
    cpu = baker.image(NEW, 3, profile="cpu")

    said = infra("image", "promote", "gpu").out
    assert "none" in said
    assert here.id in said
    assert (baker.pointer()["image"], baker.pointer("us-east-1")["image"]) == (here.id, there.id)
    assert baker.pointer()["pinned"] is False
    again = infra("image", "promote", "gpu", "--json").json["promotions"]
    assert [item["moved"] for item in again] == [False, False]

    refused = infra("image", "promote", "gpu", "--to", OLD[:8], code=1).err
    assert "us-east-1: no image of gpu" in refused
    assert baker.pointer()["image"] == here.id, "all regions or none"
    said = infra("image", "promote", "gpu", "--to", old.id, "--region", "us-west-2").out
    assert "pinned" in said
    assert (baker.pointer()["image"], baker.pointer()["pinned"]) == (old.id, True)
    assert "pinned" in infra("image", "list").out
    infra("image", "promote", "gpu")
    assert (baker.pointer()["image"], baker.pointer()["pinned"]) == (here.id, False)

    assert "an image of cpu" in infra("image", "promote", "gpu", "--to", cpu.id, code=1).err
    assert "no profile 'gpuu'" in infra("image", "promote", "gpuu", code=1).err
    assert "infra image bake cpu" in infra("image", "promote", "cpu", code=1).err
    failed = baker.image(LATEST, 21, smoke="failed: docker")
    no = infra("image", "promote", "gpu", "--to", failed.id, "--region", "us-west-2", "--json", code=1).json
    assert "did not pass its smoke test" in no["error"]["problems"][0]["what"]
    foreign = baker.image(LATEST, 22, cluster="other")
    assert "image of the cluster other" in infra("image", "promote", "gpu", "--to", foreign.id, code=1).err
    assert "infra image list" in infra("image", "promote", "gpu", "--to", "ami-0123456789abcdef0", code=1).err


def test_revoke_and_undo(infra: Infra, baker: Baker) -> None:
    file = digest_of(infra, "gpu")
    here, there = baker.image(file, 20), baker.image(file, 20, "us-east-1")
    baker.point(here)
    assert "needs a reason" in infra("image", "revoke", here.id, code=1).err
    why = "CVE-2026-1: containers can get out, 100 % of them"
    said = infra("image", "revoke", here.id, "--why", why).out
    assert "promoted in us-west-2" in said
    listed = {item["id"]: item["revoked"] for item in infra("image", "list", "--json").json["images"]}
    assert listed == {here.id: why, there.id: why}, "its copies are no better"
    refused = infra("image", "promote", "gpu", code=1).err
    assert f"revoked: {why}" in refused
    assert "--undo" in refused
    blocked = infra("plan", code=1).err
    assert why in blocked
    done = infra("image", "revoke", "gpu", "--undo", "--json").json
    assert [item["revoked"] for item in done["images"]] == ["", ""]
    infra("image", "promote", "gpu")


def test_prune(infra: Infra, baker: Baker) -> None:
    ec2 = baker.hands["us-west-2"].ec2
    made = [baker.image(f"{number:x}" * 64, number) for number in range(1, 9)]
    copy = baker.image("1" * 64, 1, "us-east-1")
    baker.point(made[2])
    ec2.modify_image_attribute(
        ImageId=made[3].id, OperationType="add", UserIds=["111122223333"], Attribute="launchPermission"
    )
    data = {"ImageId": made[4].id, "InstanceType": "m5.large"}
    ec2.create_launch_template(LaunchTemplateName="by-hand", LaunchTemplateData=data)
    groups = baker.hands["us-west-2"].groups
    template = {"LaunchTemplateName": "by-hand", "Version": "1"}
    groups.create_auto_scaling_group(
        AutoScalingGroupName="theirs", MinSize=0, MaxSize=1, LaunchTemplate=template, AvailabilityZones=["us-west-2a"]
    )
    ec2.create_launch_template_version(LaunchTemplateName="by-hand", LaunchTemplateData={**data, "ImageId": made[5].id})

    assert "nobody is there to say yes" in infra("image", "prune", "--keep", "1", code=1).err
    listing = infra("image", "prune", "--keep", "1", "--json").json
    reasons = {item["image"]["id"]: item["reason"] for item in listing["kept"]}
    assert reasons[made[2].id] == "promoted in us-west-2"
    assert reasons[made[3].id] == "shared with 111122223333"
    assert reasons[made[4].id] == "in use: group theirs"
    assert reasons[made[5].id] == "in use: template by-hand"
    assert "newest 1 of gpu" in reasons[made[7].id]
    assert "newest 1 of gpu in us-east-1" in reasons[copy.id]
    assert {item["image"]["id"] for item in listing["chosen"]} == {made[0].id, made[1].id, made[6].id}
    assert listing["outcomes"] == []
    assert len(baker.there()) == 8, "listing removes nothing"

    assert infra("image", "prune", "--older-than", "100000", "--yes").out.count("goes") == 0
    said = infra("image", "prune", "--keep", "1", "--yes").out
    assert said.count("removed") == 3
    assert baker.there() == {image.id for image in (made[2], made[3], made[4], made[5], made[7])}
    snapshots = {item["SnapshotId"] for item in ec2.describe_snapshots(OwnerIds=["self"])["Snapshots"]}
    assert not snapshots & set(made[0].snapshots)
    assert set(made[2].snapshots) <= snapshots
    assert "nothing to remove" in infra("image", "prune", "--keep", "1").out


def test_one_that_aws_refuses_does_not_stop_the_others(infra: Infra, baker: Baker) -> None:
    first, second = baker.image(OLD, 1), baker.image(NEW, 2)
    refusal = Refusal(
        "OperationNotPermitted",
        "deregistration protection is on",
        times=1,
        when=lambda call: call.action == "DeregisterImage",
    )
    with embedded.refusing(infra.env, [refusal]):
        ran = infra("image", "prune", "--keep", "0", "--yes", code=1)
    assert "1 of 2 images could not be removed" in ran.all or "was not removed" in ran.all
    assert "deregistration protection" in ran.all
    assert len(baker.there() & {first.id, second.id}) == 1


def test_destroy_and_drift_leave_images_alone(infra: Infra, baker: Baker) -> None:
    infra("apply", "--yes")
    image = baker.image(OLD, 1)
    baker.packages(image, PACKAGES)
    baker.point(image)
    assert infra("drift", "--json").json["drift"] is False
    done = infra("destroy", "--yes-i-mean", "demo", "--json").json
    assert all(not item["unknown"] for item in done["left"])
    assert image.id in baker.there()
    assert baker.pointer()["image"] == image.id
    assert any("images" in note for note in done["notes"])
