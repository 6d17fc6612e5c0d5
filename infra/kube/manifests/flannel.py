"""flannel: the pods' network, VXLAN over cloud and metal alike.

The MTU is one for the whole cluster where packets leave a VPC. VXLAN adds 50 bytes; a packet that is then too large
for a link on the way is lost without a word, because the ICMP answer goes to the node and not to the pod. So:

- one VPC, or metal alone: not set, each node takes its network card's (9001 in a VPC, so 8951 for pods; 1500 on the
  floor, so 1450);
- several regions: 1500, the most that every way between regions carries (a peering and a transit gateway take 8500);
- cloud and metal: 1400, which passes AWS's VPN (1446 at most, less with some ciphers) and WireGuard (1420).

What needs large packets (NCCL over EFA or sockets) uses the host's network and does not see any of this.
"""

from __future__ import annotations

import json

from infra.files import digest
from infra.kube.manifests import images
from infra.kube.manifests.objects import (
    EVERYWHERE,
    LINUX,
    Raw,
    account,
    daemon_set,
    from_field,
    host,
    mount,
    needs,
    role,
    rule,
    settings,
    thing,
)
from infra.spec.models import Cluster

NAMESPACE = "kube-flannel"
PORT = 8472
"""UDP: VXLAN. Machines of a cluster reach each other on every port; a firewall before metal must let it through."""
HEALTH_PORT = 8081
BETWEEN_REGIONS, WITH_METAL = 1500, 1400


def mtu(cluster: Cluster) -> int | None:
    """The largest packet between nodes, VXLAN's 50 bytes included; None is each network card's own."""
    regions = cluster.aws.regions if cluster.aws else []
    if regions and cluster.metal:
        return WITH_METAL
    return BETWEEN_REGIONS if len(regions) > 1 else None


def objects(cluster: Cluster) -> list[Raw]:
    assert cluster.kubernetes is not None
    outer = mtu(cluster)
    backend: Raw = {"Type": "vxlan", "Port": PORT, **({"MTU": outer} if outer else {})}
    network = {"Network": cluster.kubernetes.pod_cidr, "EnableNFTables": False, "Backend": backend}
    plugins = [
        {"type": "flannel", "delegate": {"hairpinMode": True, "isDefaultGateway": True}},
        {"type": "portmap", "capabilities": {"portMappings": True}},
    ]
    cni = {"name": "cbr0", "cniVersion": "0.3.1", "plugins": plugins}
    data = {"cni-conf.json": _json(cni), "net-conf.json": _json(network)}
    namespace = thing("Namespace", "v1", NAMESPACE)
    namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] = "privileged"
    rules = [
        rule([""], ["pods"], ["get"]),
        rule([""], ["nodes"], ["get", "list", "watch"]),
        rule([""], ["nodes/status"], ["patch"]),
    ]
    return [
        namespace,
        account("flannel", NAMESPACE),
        *role("flannel", rules, namespace=NAMESPACE),
        settings("kube-flannel-cfg", data, NAMESPACE),
        daemon_set("kube-flannel", _pod(), NAMESPACE, {"infra/settings": digest(data)}),
    ]


def _pod() -> Raw:
    conf = mount("conf", "/etc/kube-flannel")
    copy_plugin = {
        "name": "install-cni-plugin",
        "image": images.FLANNEL_CNI,
        "command": ["cp", "-f", "/flannel", "/opt/cni/bin/flannel"],
        "volumeMounts": [mount("cni-bin", "/opt/cni/bin")],
    }
    copy_conf = {
        "name": "install-cni",
        "image": images.FLANNEL,
        "command": ["/opt/bin/install-conf", "/etc/kube-flannel/cni-conf.json", "/etc/cni/net.d/10-flannel.conflist"],
        "volumeMounts": [mount("cni", "/etc/cni/net.d"), conf],
    }
    health = {"periodSeconds": 10, "initialDelaySeconds": 5}
    flanneld = {
        "name": "kube-flannel",
        "image": images.FLANNEL,
        "command": ["/opt/bin/flanneld", "--ip-masq", "--kube-subnet-mgr", f"--healthz-port={HEALTH_PORT}"],
        "env": [from_field("POD_NAME", "metadata.name"), from_field("POD_NAMESPACE", "metadata.namespace")],
        "resources": needs("100m", "50Mi", "500Mi"),
        "ports": [{"name": "health", "containerPort": HEALTH_PORT, "protocol": "TCP"}],
        "livenessProbe": {"httpGet": {"path": "/healthz", "port": "health"}, **health, "periodSeconds": 30},
        "readinessProbe": {"httpGet": {"path": "/readyz", "port": "health"}, **health},
        "securityContext": {"privileged": False, "capabilities": {"add": ["NET_ADMIN", "NET_RAW"]}},
        "volumeMounts": [mount("run", "/run/flannel"), conf, mount("xtables-lock", "/run/xtables.lock")],
    }
    return {
        "hostNetwork": True,
        "priorityClassName": "system-node-critical",
        "serviceAccountName": "flannel",
        "nodeSelector": dict(LINUX),
        "tolerations": EVERYWHERE,
        "initContainers": [copy_plugin, copy_conf],
        "containers": [flanneld],
        "volumes": [
            host("run", "/run/flannel", "DirectoryOrCreate"),
            host("cni-bin", "/opt/cni/bin", "DirectoryOrCreate"),
            host("cni", "/etc/cni/net.d", "DirectoryOrCreate"),
            {"name": "conf", "configMap": {"name": "kube-flannel-cfg"}},
            host("xtables-lock", "/run/xtables.lock", "FileOrCreate"),
        ],
    }


def _json(value: Raw) -> str:
    return json.dumps(value, indent=2, sort_keys=True) + "\n"
