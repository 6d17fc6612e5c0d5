"""What the server adds to objects and refuses in them, kind by kind."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from tests.kube import errors
from tests.kube.resources import DAEMONSETS, EVENTS, NAMESPACES, NODES, PODS, PRIORITIES, REPLICASETS, Resource
from tests.kube.store import Object, Store, now

_QUANTITY = re.compile(r"^[+-]?(\d+\.?\d*|\.\d+)([KMGTPE]i|[numkMGTPE]|[eE][+-]?\d+)?$")
_NAME = re.compile(r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$")
_SUBDOMAIN = (
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start "
    "and end with an alphanumeric character"
)
_EFFECTS = ("NoSchedule", "PreferNoSchedule", "NoExecute")
_UNREACHABLE = ("node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable")


def _words(text: str) -> set[str]:
    return set(text.split())


# What a pod may have in its spec in 1.37: another name there is a slip of the pen.
_POD_SPEC = _words(
    """activeDeadlineSeconds affinity automountServiceAccountToken containers dnsConfig dnsPolicy enableServiceLinks
    ephemeralContainers evictionResponders hostAliases hostIPC hostNetwork hostPID hostUsers hostname hostnameOverride
    imagePullSecrets initContainers nodeName nodeSelector os overhead preemptionPolicy priority priorityClassName
    readinessGates resourceClaims resources restartPolicy runtimeClassName schedulerName schedulingGates schedulingGroup
    securityContext serviceAccount serviceAccountName setHostnameAsFQDN shareProcessNamespace subdomain
    terminationGracePeriodSeconds tolerations topologySpreadConstraints volumes"""
)
_CONTAINER = _words(
    """args command env envFrom image imagePullPolicy lifecycle livenessProbe name ports readinessProbe resizePolicy
    resources restartPolicy restartPolicyRules securityContext startupProbe stdin stdinOnce terminationMessagePath
    terminationMessagePolicy tty volumeDevices volumeMounts workingDir"""
)
_NODE_SPEC = _words("configSource externalID podCIDR podCIDRs podPreemptionPolicy providerID taints unschedulable")


def unknown_fields(resource: Resource, obj: Mapping[str, Any]) -> list[str]:
    """Paths of fields that the kind does not have (of pods and nodes; other kinds are not looked into)."""
    spec = obj.get("spec") or {}
    if resource is NODES:
        return [f"spec.{name}" for name in spec if name not in _NODE_SPEC]
    if resource is not PODS:
        return []
    found = [f"spec.{name}" for name in spec if name not in _POD_SPEC]
    for part in ("initContainers", "containers"):
        for index, container in enumerate(spec.get(part) or ()):
            found += [f"spec.{part}[{index}].{name}" for name in container if name not in _CONTAINER]
    return found


def _containers(spec: Mapping[str, Any]) -> Iterator[tuple[str, Object]]:
    for part in ("initContainers", "containers"):
        for index, container in enumerate(spec.get(part) or ()):
            yield f"spec.{part}[{index}]", container


def check_form(resource: Resource, obj: Mapping[str, Any]) -> None:
    """What cannot even be read as this kind: 400."""
    meta = obj.get("metadata")
    wrong = ""
    if meta is not None and not isinstance(meta, Mapping):
        wrong = "json: cannot unmarshal into Go struct field .metadata of type v1.ObjectMeta"
    for name in ("labels", "annotations"):
        values = (meta or {}).get(name) if not wrong else None
        if values and not (isinstance(values, Mapping) and all(isinstance(value, str) for value in values.values())):
            wrong = f"json: cannot unmarshal into Go struct field ObjectMeta.metadata.{name} of type string"
    if not wrong and not resource.custom and not all(_QUANTITY.match(value) for value in _quantities(resource, obj)):
        wrong = "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"
    if wrong:
        version = resource.version
        raise errors.bad_request(
            f'{resource.kind} in version "{version}" cannot be handled as a {resource.kind}: {wrong}'
        )


def _quantities(resource: Resource, obj: Mapping[str, Any]) -> Iterator[str]:
    if resource is PODS:
        for _, container in _containers(obj.get("spec") or {}):
            for part in (container.get("resources") or {}).values():
                if isinstance(part, Mapping):
                    yield from (str(value) for value in part.values())
    elif resource is NODES:
        for name in ("capacity", "allocatable"):
            yield from (str(value) for value in ((obj.get("status") or {}).get(name) or {}).values())


# Fields that are never left out of an answer, and what they are when nobody has set them.
_NODE_INFO = (
    "machineID systemUUID bootID kernelVersion osImage containerRuntimeVersion kubeletVersion kubeProxyVersion "
    "operatingSystem architecture"
)
_DAEMONS = "currentNumberScheduled numberMisscheduled desiredNumberScheduled numberReady"


def complete(resource: Resource, obj: Object) -> Object:
    """The object with the fields that every answer has."""
    if resource is NODES:
        info = obj.setdefault("status", {}).setdefault("nodeInfo", {})
        obj["status"].setdefault("daemonEndpoints", {"kubeletEndpoint": {"Port": 0}})
        for name in _NODE_INFO.split():
            info.setdefault(name, "")
    elif resource is DAEMONSETS:
        for name in _DAEMONS.split():
            obj.setdefault("status", {}).setdefault(name, 0)
    elif resource is REPLICASETS:
        obj.setdefault("status", {}).setdefault("replicas", 0)
    elif resource is EVENTS:
        none: Object = {"source": {}, "firstTimestamp": None, "lastTimestamp": None, "eventTime": None}
        for name, value in {**none, "reportingComponent": "", "reportingInstance": ""}.items():
            obj.setdefault(name, value)
    return obj


def prepare(store: Store, resource: Resource, obj: Object) -> Object:
    """A new object as it will be stored: with defaults, and without what is not the client's to say. Or 4xx."""
    meta = obj["metadata"]
    if meta.get("resourceVersion"):
        raise errors.bad_request("resourceVersion should not be set on objects to be created")
    name = meta.get("name") or meta.get("generateName", "").rstrip("-") + "x"
    causes: list[tuple[str, str]] = []
    if not meta.get("name") and not meta.get("generateName"):
        causes.append(("metadata.name", "Required value: name or generateName is required"))
    elif not _NAME.match(name) or len(name) > 253:
        causes.append(("metadata.name", f'Invalid value: "{meta.get("name")}": {_SUBDOMAIN}'))
    if resource is PODS:
        causes += _prepare_pod(store, obj)
    elif resource is NODES:
        obj.setdefault("spec", {})
        causes += _taint_causes(obj)
    elif resource is NAMESPACES:
        obj["spec"] = {"finalizers": ["kubernetes"]}
        obj["status"] = {"phase": "Active"}
        meta.setdefault("labels", {})["kubernetes.io/metadata.name"] = meta.get("name", "")
    elif resource.has_status:
        obj.pop("status", None)
        if not resource.custom:
            obj["status"] = {}
    if causes:
        raise errors.invalid(resource.named, resource.kind, meta.get("name", ""), causes)
    return complete(resource, obj)


def _taint_causes(node: Object) -> list[tuple[str, str]]:
    causes, seen = [], set()
    for index, taint in enumerate(node.get("spec", {}).get("taints") or ()):
        pair = (taint.get("key"), taint.get("effect"))
        if taint.get("effect") not in _EFFECTS:
            supported = ", ".join(f'"{effect}"' for effect in _EFFECTS)
            causes.append(
                (f"metadata.taints[{index}].effect", f'Unsupported value: "{pair[1]}": supported values: {supported}')
            )
        if pair in seen:
            causes.append((f"metadata.taints[{index}]", f"Duplicate value: {taint}"))
        seen.add(pair)
    return causes


def _prepare_pod(store: Store, pod: Object) -> list[tuple[str, str]]:
    meta, spec = pod["metadata"], pod.setdefault("spec", {})
    causes = []
    if not spec.get("containers"):
        causes.append(("spec.containers", "Required value"))
    for path, container in _containers(spec):
        for name in ("name", "image"):
            if not container.get(name):
                causes.append((f"{path}.{name}", "Required value"))
        container.setdefault("imagePullPolicy", "IfNotPresent")
        container.setdefault("terminationMessagePath", "/dev/termination-log")
        container.setdefault("terminationMessagePolicy", "File")
        resources = container.setdefault("resources", {})
        limits, requests = resources.get("limits") or {}, resources.get("requests") or {}
        if limits:
            resources["requests"] = {**limits, **requests}
    spec.setdefault("restartPolicy", "Always")
    spec.setdefault("terminationGracePeriodSeconds", 30)
    spec.setdefault("dnsPolicy", "ClusterFirst")
    spec.setdefault("schedulerName", "default-scheduler")
    spec.setdefault("serviceAccountName", "default")
    spec.setdefault("securityContext", {})
    spec.setdefault("enableServiceLinks", True)
    _set_priority(store, meta.get("name") or meta.get("generateName", ""), spec)
    tolerations = spec.setdefault("tolerations", [])
    for key in _UNREACHABLE:
        if not any(item.get("key") in (key, None, "") for item in tolerations):
            tolerations.append({"key": key, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300})
    pod["status"] = {"phase": "Pending", "qosClass": _quality(spec)}
    if spec.get("schedulingGates"):
        reason = {"reason": "SchedulingGated", "message": "Scheduling is blocked due to non-empty scheduling gates"}
        pod["status"]["conditions"] = [
            {"type": "PodScheduled", "status": "False", "lastTransitionTime": now(), **reason}
        ]
    return causes


def _set_priority(store: Store, name: str, spec: Object) -> None:
    wanted = spec.get("priorityClassName")
    classes = {item.obj["metadata"]["name"]: item.obj for item in store.items(PRIORITIES)}
    built_in = {"system-node-critical": 2000001000, "system-cluster-critical": 2000000000}
    found = (
        classes.get(wanted) if wanted else next((item for item in classes.values() if item.get("globalDefault")), {})
    )
    if wanted in built_in:
        found = {"metadata": {"name": wanted}, "value": built_in[wanted]}
    if found is None:
        raise errors.forbidden("pods", name, f"no PriorityClass with name {wanted} was found")
    spec["priority"] = found.get("value", 0)
    spec["preemptionPolicy"] = found.get("preemptionPolicy", "PreemptLowerPriority")
    if found:
        spec["priorityClassName"] = found["metadata"]["name"]


def _quality(spec: Mapping[str, Any]) -> str:
    parts = [container.get("resources") or {} for _, container in _containers(spec)]
    both = ("cpu", "memory")
    if all(
        name in (part.get("limits") or {}) and (part.get("requests") or {}).get(name) == part["limits"][name]
        for part in parts
        for name in both
    ):
        return "Guaranteed"
    some = any(name in (part.get(kind) or {}) for part in parts for kind in ("limits", "requests") for name in both)
    return "Burstable" if some else "BestEffort"


def check_update(resource: Resource, before: Mapping[str, Any], after: Object) -> None:
    """What may not change in an object that is there: 422."""
    name = after["metadata"]["name"]
    causes: list[tuple[str, str]] = []
    if resource is NODES:
        causes = _taint_causes(after)
        was = (before.get("spec") or {}).get("providerID")
        if was and (after.get("spec") or {}).get("providerID") != was:
            causes.append(
                ("spec.providerID", 'Forbidden: node updates may not change providerID except from "" to valid')
            )
    elif resource is PODS and _fixed(before) != _fixed(after):
        allowed = (
            "`spec.containers[*].image`,`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` "
            "(only additions to existing tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if "
            "it was previously negative)"
        )
        causes = [("spec", f"Forbidden: pod updates may not change fields other than {allowed}")]
    elif resource is PODS:
        have = after["spec"].get("tolerations") or []
        if any(item not in have for item in before["spec"].get("tolerations") or ()):
            causes = [
                ("spec.tolerations", "Forbidden: existing toleration can not be modified except its tolerationSeconds")
            ]
    if causes:
        raise errors.invalid(resource.named, resource.kind, name, causes)


def _fixed(pod: Mapping[str, Any]) -> Object:
    """The part of a pod's spec that never changes (a gated pod may still learn where it may run)."""
    free = {"activeDeadlineSeconds", "tolerations", "schedulingGates"}
    if pod["spec"].get("schedulingGates"):
        free |= {"nodeSelector", "affinity"}
    fixed = {name: value for name, value in pod["spec"].items() if name not in free}
    for part in ("initContainers", "containers"):
        if part in fixed:
            fixed[part] = [{name: value for name, value in item.items() if name != "image"} for item in fixed[part]]
    return fixed
