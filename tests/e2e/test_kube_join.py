"""A cluster's machines find each other: what an apply tells them, SSM of the embedded AWS, real systemd, SSH.

It ends where containers begin. kubeadm is a stand-in that records what it is told (a test machine has no kernel of its
own to run containers on, and no package registry has a kube-apiserver), so no API server comes of it.
"""

from __future__ import annotations

import base64
import json
import re
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml

from tests.bed import Bed
from tests.bed.relay import relay
from tests.conftest import Infra
from tests.e2e import embedded
from tests.e2e.aws import Hand
from tests.e2e.bring_rig import Rig, until
from tests.e2e.kube_rig import PACKAGES, prepare, read
from tests.ssm import Ssm, serve
from tests.unit.kube_machine import CHEF, authority

pytestmark = pytest.mark.engine
LAB = """\
version: 1
cluster: lab
aws: {{regions: [us-west-2], endpoint: local}}
network: {{zones: 1, nat: none, flow_logs: false}}
chef: {{url: {client.path}, sha256: {client.sha256}}}
profiles: {{box: {{}}}}
pools:
  cpu: {{profile: box, instance_types: [m5.large], size: {{min: 0, max: 2}}, labels: {{"lab/queue": batch}}}}
metal:
  rack: {{profile: box, user: ops, labels: {{"lab/queue": mine}},
    hosts: [{{name: {box.name}, address: {box.address}, host_key: {box.host_key}}}]}}
kubernetes: {{version: "1.36"}}
"""


def told(user_data: str) -> dict[str, Any]:
    """The place that cloud-init would write."""
    config = yaml.safe_load(base64.b64decode(user_data))
    (file,) = config["write_files"]
    assert file["path"] == "/etc/infra/place.json"
    return dict(json.loads(file["content"]))


def test_machines_join_as_far_as_kubeadm(infra: Infra, bed: Bed, tmp_path: Path) -> None:
    rig = Rig.of(infra, bed, tmp_path, 3)
    plane, node, box = rig.machines
    infra.write(LAB.format(client=rig.client, box=box))
    infra("apply", "--yes", "--only", "control-plane", "--only", "pools.cpu", timeout=300)
    server = urlsplit(embedded.start(infra.env))
    assert server.hostname and server.port
    hand = Hand(infra)
    ssm, ec2 = hand.client("ssm"), hand.ec2
    with relay((server.hostname, server.port), host=bed.gateway) as way, serve(Ssm(), bed.gateway) as metadata:
        url = bed.packages(PACKAGES)
        for machine in (plane, node, box):
            prepare(machine, url, metadata.url)
        for machine in (plane, node):  # from an image, which has its policy
            machine.run("mkdir -p /var/lib/infra/policy/current/bin")
            machine.put(CHEF / "bin/aws", "/var/lib/infra/policy/current/bin/aws")
        raw, ca = authority(tmp_path)
        plane.put(raw.decode(), "/ca.pem")
        plane.put(ca, "/ca.hash")
        for machine in (node, box):
            machine.put(raw.decode(), f"/lab/{ca}")

        # The control plane: what Terraform tells it, and what it then publishes.
        (found,) = [
            item["InstanceId"]
            for group in ec2.describe_instances(Filters=[{"Name": "tag:infra:control-plane", "Values": ["true"]}])[
                "Reservations"
            ]
            for item in group["Instances"]
        ]
        data = ec2.describe_instance_attribute(InstanceId=found, Attribute="userData")["UserData"]["Value"]
        place = told(data)
        api = place["api"]
        assert place == {
            "region": "us-west-2",
            "cluster": "lab",
            "home": "us-west-2",
            "role": "control-plane",
            "api": api,
        }
        assert re.fullmatch(r"lab-api[\w.-]+:6443", api)
        settings = {"cluster": {"kind": "ClusterConfiguration"}, "kubelet": {"kind": "KubeletConfiguration"}}
        plane.put(json.dumps(settings), "/etc/infra/kubeadm.json")
        here = {"endpoint": f"http://{way.host}:{way.port}"}
        plane.put(json.dumps(place | here), "/etc/infra/place.json")
        plane.run("systemctl enable --now infra-control-plane.service")
        until(lambda: plane.run("test -e /var/lib/infra/kube/done", check=False).code == 0)
        text = ssm.get_parameter(Name="/infra/lab/join", WithDecryption=True)["Parameter"]["Value"]
        join = json.loads(text)
        assert (join["endpoint"], join["ca"]) == (api, ca)
        assert (
            "admin of"
            in ssm.get_parameter(Name="/infra/lab/control-plane/admin.conf", WithDecryption=True)["Parameter"]["Value"]
        )
        plane.run("systemctl start infra-kube-renew.service")
        assert ssm.get_parameter(Name="/infra/lab/join", WithDecryption=True)["Parameter"]["Value"] == text

        # A machine of the pool, at its start; the token comes later than the machine.
        ssm.delete_parameter(Name="/infra/lab/join")
        (template,) = ec2.describe_launch_template_versions(LaunchTemplateName="lab-cpu")["LaunchTemplateVersions"]
        place = told(template["LaunchTemplateData"]["UserData"])
        assert (place["role"], place["labels"], place["taints"]) == ("node", {"lab/queue": "batch"}, [])
        node.put(json.dumps(place | here), "/etc/infra/place.json")
        node.run("systemctl enable infra-join.service")
        node.reboot()
        until(lambda: "nothing is published" in node.run("journalctl -u infra-join -o cat", check=False).out)
        ssm.put_parameter(Name="/infra/lab/join", Value=text, Type="SecureString")
        until(lambda: "this machine is a node" in node.run("journalctl -u infra-join -o cat", check=False).out)
        config = read(node, "/config")
        assert config["discovery"]["bootstrapToken"]["caCertHashes"] == [ca]
        assert config["nodeRegistration"]["kubeletExtraArgs"][1]["value"] == "aws:///us-west-2b/i-1"
        assert join["token"] not in node.run("journalctl -o cat; cat /did").out
        node.run("systemctl restart infra-join.service")
        until(lambda: node.run("journalctl -u infra-join -o cat", check=False).out.count("is a node") == 2)
        assert node.get("/did").decode().count("join --config") == 1, "it joined twice"

        # A machine on the floor, at the end of its bootstrap.
        refused = rig("bootstrap", box.name, code=1)
        assert "did not join the cluster lab" in refused.err and "cannot be resolved here" in refused.err
        assert rig.node(box)["converged"], "the bootstrap itself was done"
        box.run(f"echo {plane.address} {api.split(':')[0]} >>/etc/hosts")
        plane.run("systemd-run --unit=api systemd-socket-activate -l 6443 --inetd -a cat")
        (row,) = rig("bootstrap", box.name, "--json").json["nodes"]
        assert (row["state"], row["kubernetes"]) == ("nothing", "joined")
        config = read(box, "/config")
        assert config["nodeRegistration"]["kubeletExtraArgs"] == [{"name": "node-labels", "value": "lab/queue=mine"}]
        (row,) = rig("bootstrap", box.name, "--json").json["nodes"]
        assert row["kubernetes"] == "there" and box.get("/did").decode().count("join --config") == 1
        assert box.run("ls /run/infra").out.count("invitation") == 0
