"""``cluster.yaml`` → the attributes of a profile's machines, all under ``infra``, and the profile's own laid over."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from infra.errors import PolicyError
from infra.policy import hardware
from infra.spec import ledger
from infra.spec.models import CONTROL_PLANE, Cluster, Docker, Kubernetes, Profile, Storage

Where = Callable[..., str]

# Keys of node.json that are no attributes to Chef.
RESERVED = ("run_list", "chef_environment", "policy_name", "policy_group", "recipes", "roles", "tags", "name")
# What `infra` is made of; a profile may lay values over these, not put something of another shape in their place.
SECTIONS = ("users", "nvidia", "cuda", "docker", "storage", "kubernetes", "research", "repositories", "pull")
GIVEN = ("users", "user_ca", "nvidia", "cuda", "docker", "storage", "kubernetes", "pull")
MAPPINGS = ("users.*", "storage.*", "repositories.*", "research.environments", "research.containers")
LISTS = ("cuda.versions", "user_ca")
TEXTS = ("cluster", "profile", "os", "nvidia.driver", "nvidia.module", "docker.version", "kubernetes.version")


def derive(cluster: Cluster, name: str, where: Where) -> dict[str, Any]:
    """The attributes of a profile. Raises PolicyError for ``attributes:`` that do not fit what they are laid over."""
    profile = cluster.profiles[name]
    own = profile.attributes
    for key in RESERVED:
        if key in own:
            raise PolicyError(
                f"{key!r} is no attribute",
                where=where("profiles", name, "attributes", key),
                why="Chef reads this key of node.json as something else",
                fix="write the run-list as profiles.NAME.run_list" if key == "run_list" else "give it another name",
            )
    merged = merge({"infra": _infra(cluster, name, profile)}, own)
    _shape(merged, name, where)
    return {**merged, "infra": _without_nothing(merged["infra"])}


def _without_nothing(infra: dict[str, Any]) -> dict[str, Any]:
    """Null takes away what the file gives. Elsewhere it stays: there it takes away a default of a cookbook."""
    found = {key: value for key, value in infra.items() if value is not None or key not in GIVEN}
    for section in ("users", "storage"):
        if section in found:
            found[section] = {key: value for key, value in found[section].items() if value is not None}
    return found


def _shape(merged: Mapping[str, Any], name: str, where: Where) -> None:
    for paths, kind, words in (
        (("", *SECTIONS, *MAPPINGS), dict, "a mapping"),
        (LISTS, list, "a list"),
        (TEXTS, (str, int, float), "a text"),
    ):
        for path in paths:
            for loc, value in _at(merged["infra"], tuple(filter(None, path.split("."))), ("infra",)):
                # Null takes a default of a cookbook away; as a whole, `infra` has none.
                if not isinstance(value, kind) and (value is not None or loc == ("infra",)):
                    raise _misshapen(loc, name, where, words)


def _at(value: Any, path: tuple[str, ...], loc: tuple[str, ...]) -> list[tuple[tuple[str, ...], Any]]:
    """What is at a path, with its full way; ``*`` stands for every key."""
    if not path:
        return [(loc, value)]
    if not isinstance(value, dict):
        return []
    keys = list(value) if path[0] == "*" else [key for key in (path[0],) if key in value]
    return [found for key in keys for found in _at(value[key], path[1:], (*loc, key))]


def _misshapen(path: tuple[str, ...], name: str, where: Where, words: str) -> PolicyError:
    text = ".".join(path)
    return PolicyError(
        f"the attribute {text} of the profile {name} is not {words}",
        where=where("profiles", name, "attributes", *path),
        why="the cookbooks read it as one",
        fix=f"write {words}, as in: infra policy show {name} --attributes",
    )


def merge(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Mappings are merged key by key; anything else above takes the place of what is below, as in Chef."""
    result = dict(below)
    for key, value in above.items():
        old = result.get(key)
        result[key] = merge(old, value) if isinstance(old, dict) and isinstance(value, dict) else value
    return result


def _infra(cluster: Cluster, name: str, profile: Profile) -> dict[str, Any]:
    users = cluster.access.users
    found: dict[str, Any] = {
        "cluster": cluster.cluster,
        "profile": name,
        "os": profile.os,
        "users": {login: {"keys": list(user.keys), "sudo": user.sudo} for login, user in users.items()},
        "docker": {"version": (profile.docker or Docker.model_validate({})).version},
        "storage": {key: _storage(item) for key, item in cluster.storage.items()},
    }
    if profile.nvidia is not None:
        kinds = list(hardware.machines(cluster, name))
        found["nvidia"] = {
            "driver": profile.nvidia.driver,
            "module": hardware.module(profile, kinds),
            "fabric_manager": hardware.fabric_manager(kinds),
        }
        found["cuda"] = {"versions": [profile.nvidia.cuda]}
    if cluster.kubernetes is not None:
        found["kubernetes"] = {"version": cluster.kubernetes.version, **_plane(cluster, cluster.kubernetes, name)}
    if cluster.access.user_ca:
        found["user_ca"] = list(cluster.access.user_ca)
    if pull := _pull(cluster):
        found["pull"] = pull
    return found


def _plane(cluster: Cluster, kubernetes: Kubernetes, name: str) -> dict[str, Any]:
    """What a machine of the control plane is told; {} for a profile that none has.

    All machines of a profile are told the same: which of them are the control plane's is said when they are brought up.
    """
    hosts = [host for group, host in cluster.plane_hosts if cluster.metal[group].profile == name]
    if name != CONTROL_PLANE and not hosts:
        return {}
    found = kubernetes.model_dump(include={"pod_cidr", "service_cidr"})
    if hosts:
        machines = [host.address or host.name for _, host in cluster.plane_hosts]
        found["control_plane"] = {"machines": machines, "address": kubernetes.control_plane.virtual}
    return found


def _pull(cluster: Cluster) -> dict[str, Any]:
    """Where a machine finds what is promoted. {} when machines do not pull, or where is not known (a rule says so)."""
    wanted, place = cluster.converge, ledger.known(cluster)
    if wanted.pull is None or place is None:
        return {}
    found = {"bucket": place.bucket, "region": place.region, "prefix": place.prefix}
    if cluster.aws and cluster.aws.endpoint:
        found["endpoint"] = cluster.aws.endpoint
    return {**found, "interval": wanted.pull, "reboot": wanted.reboot}


def _storage(item: Storage) -> dict[str, str]:
    """Where it is mounted and from. An EFS' id differs by region: a machine learns it when it starts."""
    place = {"kind": item.kind, "mount": item.mount}
    if item.nfs is not None:
        return {**place, "host": item.nfs.host, "export": item.nfs.export}
    if item.s3 is not None:
        return {**place, "bucket": item.s3.bucket}
    return place


def versions(attributes: Mapping[str, Any], cookbooks: set[str]) -> dict[str, str]:
    """What has a version, flat and in order; only what some cookbook of the run-list installs."""
    infra = attributes["infra"]
    found = {"os": infra.get("os")}
    nvidia = infra.get("nvidia")
    if nvidia and "nvidia" in cookbooks:
        found |= {"nvidia.driver": nvidia.get("driver"), "nvidia.module": nvidia.get("module")}
    cuda = infra.get("cuda")
    if cuda and "cuda" in cookbooks:
        found["cuda"] = " ".join(map(str, cuda.get("versions") or ()))
    for key in ("docker", "kubernetes"):
        if infra.get(key) and key in cookbooks:
            found[key] = infra[key].get("version")
    return {key: str(value) for key, value in found.items() if value}
