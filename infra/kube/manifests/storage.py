"""Storage classes for the file's NFS and EFS: one CSI driver serves both, because EFS speaks NFS 4.1.

Amazon's own driver would add access points and TLS, but also a role per pod, and metal could not use it. A claim gets a
folder of its own, named after its namespace and name, which stays when the claim goes. The whole of a file system is on
every node anyway, at its ``mount``; S3 has no class: it is no file system for a claim.
"""

from __future__ import annotations

from collections.abc import Mapping

from infra.kube.manifests import images
from infra.kube.manifests.objects import (
    EVERYWHERE,
    LINUX,
    ON_CONTROL_PLANE,
    SYSTEM,
    Raw,
    account,
    daemon_set,
    deployment,
    from_field,
    host,
    mount,
    needs,
    role,
    rule,
    thing,
)
from infra.spec.models import Cluster, Storage

DRIVER = "nfs.csi.k8s.io"
CONTROLLER, NODE = "csi-nfs-controller", "csi-nfs-node"
NFS_OPTIONS = ["hard", "noatime", "timeo=600", "retrans=2"]
EFS_OPTIONS = ["nfsvers=4.1", "rsize=1048576", "wsize=1048576", "hard", "timeo=600", "retrans=2", "noresvport"]
"""As AWS recommends for EFS over plain NFS."""
# On the host's network, so each has a port of its own there.
PORTS = {CONTROLLER: 29652, NODE: 29653}

FileSystems = Mapping[tuple[str, str], str]
"""(storage, region) -> the id of its EFS file system."""


def objects(cluster: Cluster, efs: FileSystems) -> list[Raw]:
    """The driver and a class per file system; nothing without one. An EFS that is not in ``efs`` has no class yet."""
    classes = [item for name, one in sorted(cluster.storage.items()) for item in _classes(cluster, name, one, efs)]
    return [*_driver(), *classes] if any(item.kind != "s3" for item in cluster.storage.values()) else []


def missing(cluster: Cluster, efs: FileSystems) -> list[tuple[str, str]]:
    """EFS file systems of the file that are not there yet: (storage, region)."""
    wanted = [
        (name, region)
        for name, item in sorted(cluster.storage.items())
        if item.efs
        for region in cluster.storage_regions(item)
    ]
    return [one for one in wanted if one not in efs]


def _classes(cluster: Cluster, name: str, item: Storage, efs: FileSystems) -> list[Raw]:
    if item.nfs is not None:
        return [_class(name, item.nfs.host, item.nfs.export, NFS_OPTIONS)]
    if item.efs is None:
        return []
    found = []
    for region in cluster.storage_regions(item):
        if (name, region) in efs:
            # In the first region the class has the storage's name; an EFS can only be reached within its own VPC.
            called = name if region == cluster.storage_regions(item)[0] else f"{name}-{region}"
            server = f"{efs[name, region]}.efs.{region}.amazonaws.com{'.cn' if region.startswith('cn-') else ''}"
            found.append(_class(called, server, "/", EFS_OPTIONS))
    return found


def _class(name: str, server: str, share: str, options: list[str]) -> Raw:
    folder = "${pvc.metadata.namespace}/${pvc.metadata.name}"
    return thing(
        "StorageClass",
        "storage.k8s.io/v1",
        name,
        provisioner=DRIVER,
        parameters={"server": server, "share": share, "subDir": folder, "onDelete": "retain"},
        mountOptions=options,
        reclaimPolicy="Delete",  # of the volume's object; the folder is retained
        volumeBindingMode="Immediate",
    )


def _driver() -> list[Raw]:
    spec = {"attachRequired": False, "fsGroupPolicy": "File", "volumeLifecycleModes": ["Persistent"]}
    rules = [
        rule([""], ["persistentvolumes"], ["get", "list", "watch", "create", "patch", "delete"]),
        rule([""], ["persistentvolumeclaims"], ["get", "list", "watch", "update"]),
        rule(["storage.k8s.io"], ["storageclasses", "csinodes"], ["get", "list", "watch"]),
        rule([""], ["nodes"], ["get", "list", "watch"]),
        rule([""], ["events"], ["get", "list", "watch", "create", "update", "patch"]),
    ]
    lease = [rule(["coordination.k8s.io"], ["leases"], ["get", "list", "watch", "create", "update", "patch"])]
    return [
        thing("CSIDriver", "storage.k8s.io/v1", DRIVER, spec=spec),
        account(CONTROLLER),
        account(NODE),
        *role(CONTROLLER, rules),
        *role(CONTROLLER, lease, within=SYSTEM),
        deployment(CONTROLLER, _controller()),
        daemon_set(NODE, _node()),
    ]


def _controller() -> Raw:
    socket = mount("socket", "/csi")
    provisioner = {
        "name": "csi-provisioner",
        "image": images.PROVISIONER,
        "args": [
            "--csi-address=/csi/csi.sock",
            "--extra-create-metadata=true",
            "--feature-gates=VolumeAttributesClass=false",  # the driver has none, and the role may not watch them
            "--leader-election",
            f"--leader-election-namespace={SYSTEM}",
            "--timeout=1200s",
        ],
        "resources": needs("10m", "20Mi", "400Mi"),
        "securityContext": {"capabilities": {"drop": ["ALL"]}},
        "volumeMounts": [socket],
    }
    return {
        **_hosted(CONTROLLER),
        **ON_CONTROL_PLANE,
        "priorityClassName": "system-cluster-critical",
        "containers": [provisioner, _probe(CONTROLLER, socket), _nfs(CONTROLLER, socket)],
        "volumes": [host("pods", "/var/lib/kubelet/pods", "Directory"), {"name": "socket", "emptyDir": {}}],
    }


def _node() -> Raw:
    socket = mount("socket", "/csi")
    registrar = {
        "name": "node-driver-registrar",
        "image": images.REGISTRAR,
        "args": [
            "--csi-address=/csi/csi.sock",
            "--kubelet-registration-path=/var/lib/kubelet/plugins/csi-nfsplugin/csi.sock",
        ],
        "env": [from_field("KUBE_NODE_NAME", "spec.nodeName")],
        "resources": needs("10m", "20Mi", "100Mi"),
        "securityContext": {"capabilities": {"drop": ["ALL"]}},
        "volumeMounts": [socket, mount("registration", "/registration")],
    }
    return {
        **_hosted(NODE),
        "nodeSelector": dict(LINUX),
        "tolerations": EVERYWHERE,
        "priorityClassName": "system-node-critical",
        "containers": [registrar, _probe(NODE, socket), _nfs(NODE, socket)],
        "volumes": [
            host("socket", "/var/lib/kubelet/plugins/csi-nfsplugin", "DirectoryOrCreate"),
            host("pods", "/var/lib/kubelet/pods", "Directory"),
            host("registration", "/var/lib/kubelet/plugins_registry", "Directory"),
        ],
    }


def _hosted(name: str) -> Raw:
    """On the host's network: a mount must outlive the pod that made it, and its connection with it."""
    return {
        "hostNetwork": True,
        "dnsPolicy": "ClusterFirstWithHostNet",
        "serviceAccountName": name,
        "securityContext": {"seccompProfile": {"type": "RuntimeDefault"}},
    }


def _probe(name: str, socket: Raw) -> Raw:
    port = PORTS[name]
    return {
        "name": "liveness-probe",
        "image": images.PROBE,
        "args": ["--csi-address=/csi/csi.sock", "--probe-timeout=3s", f"--http-endpoint=localhost:{port}"],
        "resources": needs("10m", "20Mi", "100Mi"),
        "securityContext": {"capabilities": {"drop": ["ALL"]}},
        "volumeMounts": [socket],
    }


def _nfs(name: str, socket: Raw) -> Raw:
    check = {"host": "localhost", "path": "/healthz", "port": PORTS[name]}
    timing = {"failureThreshold": 5, "initialDelaySeconds": 30, "periodSeconds": 30, "timeoutSeconds": 10}
    return {
        "name": "nfs",
        "image": images.NFS,
        "args": ["--nodeid=$(NODE_ID)", "--endpoint=unix:///csi/csi.sock"],
        "env": [from_field("NODE_ID", "spec.nodeName")],
        "livenessProbe": {"httpGet": check, **timing},
        "resources": needs("10m", "20Mi", "300Mi"),
        "securityContext": {"privileged": True},
        "volumeMounts": [socket, mount("pods", "/var/lib/kubelet/pods", mountPropagation="Bidirectional")],
    }
