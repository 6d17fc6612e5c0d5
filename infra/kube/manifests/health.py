"""Nodes that are ill: the node problem detector says so in a condition, and ``infra kube health`` makes it a taint.

The detector reads the kernel's log (its own rules, and the Xid errors of NVIDIA's driver that only a reset or a new
card mends) and, twice a minute, counts the GPUs: on the bus, in the driver, and as the file declares them for metal. It
writes conditions and nothing else. The API server's own controllers make taints of their own conditions alone, so a
Deployment of ours does it for these: one place that may write nodes, instead of a pod on each that may.
"""

from __future__ import annotations

import json

from infra.files import digest
from infra.kube.health import GPU_FAULT, GPU_MISSING
from infra.kube.manifests import images
from infra.kube.manifests.objects import (
    EVERYWHERE,
    LINUX,
    ON_CONTROL_PLANE,
    Raw,
    account,
    daemon_set,
    deployment,
    from_field,
    grant,
    host,
    mount,
    needs,
    role,
    rule,
    settings,
)
from infra.spec.models import Cluster

NAME, TAINTER = "node-problem-detector", "infra-node-health"
FATAL = (48, 64, 74, 79, 95)
"""Double-bit ECC; a row that could not be remapped; NVLink; fallen off the bus; uncontained ECC."""
TOLD = (119, 120)
"""The GPU's own processor did not answer or failed: often by itself well again, so an event and no taint."""

COUNT = """#!/bin/sh
# 0: every NVIDIA GPU is there and driven; 1: one is not; 2: it cannot be seen from here.
sys=${SYS:-/sys} proc=${PROC:-/proc} declared=${DECLARED:-/gpu/declared}
bus=0
for device in "$sys"/bus/pci/devices/*; do
  [ -r "$device/vendor" ] || continue
  read -r vendor <"$device/vendor"
  read -r class <"$device/class"
  case "$vendor $class" in "0x10de 0x0300"* | "0x10de 0x0302"*) bus=$((bus + 1)) ;; esac
done
driven=0
for gpu in "$proc"/driver/nvidia/gpus/*; do
  [ -d "$gpu" ] && driven=$((driven + 1))
done
wanted=$bus
while read -r name count; do
  [ "$name" = "$NODE_NAME" ] && wanted=$count
done <"$declared"
if [ "$bus" -lt "$wanted" ]; then
  echo "$bus of $wanted GPUs on the bus"
  exit 1
fi
if [ "$driven" -lt "$bus" ]; then
  echo "the driver has $driven of $bus GPUs"
  exit 1
fi
echo "$driven GPUs"
"""


def objects(cluster: Cluster) -> list[Raw]:
    data = {"xid.json": _xid(), "missing.json": _missing(), "count": COUNT, "declared": _declared(cluster)}
    pod = {
        "serviceAccountName": NAME,
        "priorityClassName": "system-node-critical",
        "nodeSelector": dict(LINUX),
        "tolerations": EVERYWHERE,
        "containers": [_detector()],
        "volumes": [
            host("log", "/var/log"),
            host("kmsg", "/dev/kmsg"),
            {"name": "gpu", "configMap": {"name": NAME, "defaultMode": 0o555}},
        ],
    }
    nodes = [rule([""], ["nodes"], ["list", "patch"])]
    return [
        account(NAME),
        # A role of Kubernetes itself: conditions of nodes, and events.
        grant("system:node-problem-detector", "ClusterRole", NAME, to=NAME),
        settings(NAME, data),
        daemon_set(NAME, pod, marks={"infra/settings": digest(data)}),
        account(TAINTER),
        *role(TAINTER, nodes),
        deployment(TAINTER, _tainter(cluster)),
    ]


def _detector() -> Raw:
    own = "/config/kernel-monitor.json,/config/readonly-monitor.json"
    return {
        "name": NAME,
        "image": images.PROBLEM_DETECTOR,
        "command": [
            "/node-problem-detector",
            "--logtostderr",
            f"--config.system-log-monitor={own},/gpu/xid.json",
            "--config.custom-plugin-monitor=/gpu/missing.json",
        ],
        "env": [from_field("NODE_NAME", "spec.nodeName")],
        "resources": needs("20m", "80Mi", "160Mi"),
        "securityContext": {"privileged": True},  # for /dev/kmsg
        "volumeMounts": [
            mount("log", "/var/log", readOnly=True),
            mount("kmsg", "/dev/kmsg", readOnly=True),
            mount("gpu", "/gpu", readOnly=True),
        ],
    }


def _xid() -> str:
    def pattern(codes: tuple[int, ...]) -> str:
        return rf"NVRM: Xid \(.*\): ({'|'.join(map(str, codes))}), .*"

    return _json(
        {
            "plugin": "kmsg",
            "logPath": "/dev/kmsg",
            # All since the boot: a detector that is started anew must not forget a fault.
            "lookback": "8760h",
            "bufferSize": 10,
            "source": "gpu-monitor",
            "conditions": [{"type": GPU_FAULT, "reason": "GpusAreWell", "message": "no GPU reported a fatal error"}],
            "rules": [
                {"type": "permanent", "condition": GPU_FAULT, "reason": "FatalXid", "pattern": pattern(FATAL)},
                {"type": "temporary", "reason": "GpuXid", "pattern": pattern(TOLD)},
            ],
        }
    )


def _missing() -> str:
    there = {"type": GPU_MISSING, "reason": "GpusAreThere", "message": "every GPU is there and driven"}
    check = {"type": "permanent", "condition": GPU_MISSING, "reason": "GpuIsMissing", "path": "/gpu/count"}
    return _json(
        {
            "plugin": "custom",
            "pluginConfig": {
                "invoke_interval": "30s",
                "timeout": "10s",
                "max_output_length": 80,
                "concurrency": 1,
                "skip_initial_status": True,  # nobody is well before the first count
                "enable_message_change_based_condition_update": True,
            },
            "source": "gpu-count",
            "conditions": [there],
            "rules": [{**check, "timeout": "10s"}],
        }
    )


def _declared(cluster: Cluster) -> str:
    """Lines: the name of a metal node as kubelet has it (in lower case), and how many GPUs the file gives it."""
    lines = [
        f"{name} {metal.gpus.count}"
        for metal in cluster.metal.values()
        if metal.gpus is not None
        for item in metal.hosts
        for name in dict.fromkeys((item.name.lower(), item.name.lower().partition(".")[0]))
    ]
    return "".join(f"{line}\n" for line in sorted(lines))


def _tainter(cluster: Cluster) -> Raw:
    container = {
        "name": TAINTER,
        "image": images.ours(cluster),
        "args": ["kube", "health", "--watch"],
        "resources": needs("10m", "96Mi", "256Mi"),
        "securityContext": CONFINED,
        "volumeMounts": [mount("home", "/tmp")],
        "env": [{"name": "HOME", "value": "/tmp"}],
    }
    return {
        **ON_CONTROL_PLANE,
        "serviceAccountName": TAINTER,
        "priorityClassName": "system-cluster-critical",
        "securityContext": UNPRIVILEGED,
        "containers": [container],
        "volumes": [{"name": "home", "emptyDir": {}}],
    }


UNPRIVILEGED: Raw = {
    "runAsNonRoot": True,
    "runAsUser": 65532,
    "runAsGroup": 65532,
    "seccompProfile": {"type": "RuntimeDefault"},
}
CONFINED: Raw = {
    "allowPrivilegeEscalation": False,
    "readOnlyRootFilesystem": True,
    "capabilities": {"drop": ["ALL"]},
}


def _json(value: Raw) -> str:
    return json.dumps(value, indent=2, sort_keys=True) + "\n"
