"""The images that run in every cluster, by version; each was the newest release of its project in 2026-11.

Where each is published: flannel-io/flannel Documentation/kube-flannel.yml; NVIDIA/k8s-device-plugin
deployments/static; kubernetes/node-problem-detector docs/release_process.md; kubernetes-csi/csi-driver-nfs
deploy/v4.13.4. A mirror is for containerd to know (its registry settings), not for these names.
"""

from __future__ import annotations

from infra import __version__
from infra.spec.models import Cluster

FLANNEL = "ghcr.io/flannel-io/flannel:v0.28.9"
FLANNEL_CNI = "ghcr.io/flannel-io/flannel-cni-plugin:v1.9.1-flannel3"
DEVICE_PLUGIN = "nvcr.io/nvidia/k8s-device-plugin:v0.20.0"
PROBLEM_DETECTOR = "registry.k8s.io/node-problem-detector/node-problem-detector:v1.36.0"
NFS = "registry.k8s.io/sig-storage/nfsplugin:v4.13.4"
PROVISIONER = "registry.k8s.io/sig-storage/csi-provisioner:v6.3.0"
REGISTRAR = "registry.k8s.io/sig-storage/csi-node-driver-registrar:v2.17.0"
PROBE = "registry.k8s.io/sig-storage/livenessprobe:v2.19.0"


def ours(cluster: Cluster) -> str:
    """The image that holds ``infra`` itself: what the file says, else the one that ``scripts/image`` builds."""
    named = cluster.kubernetes.image if cluster.kubernetes else None
    return named or f"infra:{__version__}"
