"""GPUs for pods: NVIDIA's device plugin on the nodes that have some, and the runtime class that hands them over."""

from __future__ import annotations

from infra.kube.manifests import images
from infra.kube.manifests.objects import EVERYWHERE, GPU_PRESENT, Raw, daemon_set, has_gpus, host, mount, needs, thing
from infra.spec.models import Cluster

NAME = "nvidia-device-plugin"
RUNTIME = "nvidia"
"""As nvidia-ctk calls it in containerd's settings."""


def objects(cluster: Cluster) -> list[Raw]:
    """Nothing for a cluster without NVIDIA GPUs."""
    if not has_gpus(cluster):
        return []
    plugins = "/var/lib/kubelet/device-plugins"
    container = {
        "name": NAME,
        "image": images.DEVICE_PLUGIN,
        # A driver that is not there yet: the plugin fails and is started again, instead of idling for ever.
        "env": [{"name": "FAIL_ON_INIT_ERROR", "value": "true"}, *_sees_all()],
        "resources": needs("10m", "64Mi", "256Mi"),
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
        "volumeMounts": [mount("device-plugins", plugins)],
    }
    pod = {
        "runtimeClassName": RUNTIME,
        "priorityClassName": "system-node-critical",
        "nodeSelector": {GPU_PRESENT: "true"},
        # Whatever the pool's taints are, and on a cordoned or ill node, too: pods that run there need it.
        "tolerations": EVERYWHERE,
        "automountServiceAccountToken": False,
        "containers": [container],
        "volumes": [host("device-plugins", plugins, "Directory")],
    }
    return [thing("RuntimeClass", "node.k8s.io/v1", RUNTIME, handler=RUNTIME), daemon_set(NAME, pod)]


def _sees_all() -> list[Raw]:
    """The runtime gives a container the GPUs that these name; the plugin looks after all of them."""
    wanted = {"NVIDIA_VISIBLE_DEVICES": "all", "NVIDIA_DRIVER_CAPABILITIES": "compute,utility"}
    return [{"name": name, "value": value} for name, value in wanted.items()]
