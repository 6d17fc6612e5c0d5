"""How a cluster's AWS is reached: the engine, the provider's line, the endpoint, and their environment."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from infra import proc
from infra.cloud import aws
from infra.cloud import engine as engines
from infra.cloud.aws import Session
from infra.cloud.engine import Engine
from infra.cloud.project import links, root
from infra.cloud.project.provider import ProviderLine, online
from infra.cloud.terraform import Terraform
from infra.cloud.work import Work
from infra.errors import SpecError
from infra.plan.model import LINKS
from infra.spec.load import Loaded
from infra.spec.models import LOCAL, Aws, Cluster

# A user's setting of these would bend every command line or move the work folder from under us.
_DROPPED = ("TF_CLI_ARGS", "TF_WORKSPACE", "TF_DATA_DIR", "TF_INPUT", "TF_LOG_PATH")


@dataclass(slots=True)
class Site:
    """Everything that a command needs to act on one cluster."""

    loaded: Loaded
    work: Work
    engine: Engine
    line: ProviderLine
    env: Mapping[str, str]
    cancel: proc.Cancel = field(default_factory=proc.Cancel)
    notes: list[str] = field(default_factory=list)
    """What was done on the way that the user should hear of."""
    images: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """Region -> profile -> the AMI that its machines start from, where the plan chose one."""
    awaited: Mapping[str, str] = field(default_factory=dict)
    """AMI (or the stand-in for it) -> the profile that this plan bakes."""
    ends: links.Ends = field(default_factory=dict)
    """What the project between the regions joins."""
    _session: Session | None = None

    @property
    def cluster(self) -> Cluster:
        return self.loaded.cluster

    @property
    def aws(self) -> Aws:
        return needs_aws(self.loaded)

    @property
    def session(self) -> Session:
        """boto3's side of the same AWS; made on first use, because boto3 takes a while to import."""
        if self._session is None:
            self._session = aws.session(self.aws, self.line.endpoint)
        return self._session

    def cluster_in(self, region: str) -> Cluster:
        """The cluster as that region's project is written from it: with the images that were chosen."""
        chosen = self.images.get(region)
        if not chosen:
            return self.cluster
        profiles = {
            name: profile.model_copy(update={"image": chosen[name]}) if name in chosen else profile
            for name, profile in self.cluster.profiles.items()
        }
        return self.cluster.model_copy(update={"profiles": profiles})

    def project(self, region: str) -> dict[str, Any]:
        """The content of ``main.tf.json`` of a region, or of the project between them."""
        if region == LINKS:
            return links.build(self.cluster, self.ends, self.line)
        return root.build(self.cluster_in(region), region, self.line)

    def terraform(self, region: str) -> Terraform:
        return Terraform(self.engine, self.work.region(region), self.env, self.cancel)


def needs_aws(loaded: Loaded) -> Aws:
    """The aws section. Raises SpecError for a cluster without a cloud."""
    if loaded.cluster.aws is None:
        raise SpecError(
            f"cluster {loaded.cluster.cluster!r} has no cloud part",
            where=str(loaded.path),
            why="there is no aws: section",
            fix="for physical machines alone there is nothing to do here; for a cloud, add aws: {regions: [us-west-2]}"
            ", or {regions: [us-west-2], endpoint: local} to try it on this machine",
        )
    return loaded.cluster.aws


def open_site(loaded: Loaded) -> Site:
    """Choose the engine, start the embedded AWS when the file asks for it, and put the environment together."""
    wanted = needs_aws(loaded)
    aws.register_environment()
    engine = engines.choose()
    work = Work.of(loaded.cluster, loaded.path)
    if wanted.endpoint == LOCAL:
        line, env = _local(wanted.home)
    else:
        line = online(wanted.endpoint)
        env = _clean(os.environ)
        if wanted.profile:
            env["AWS_PROFILE"] = wanted.profile
    return Site(loaded, work, engine, line, env)


def look_site(loaded: Loaded) -> Site:
    """A site to look from: no engine is chosen, nothing is started, no Terraform can be run.

    Its ``session`` raises LocalError when the embedded AWS does not run.
    """
    wanted = needs_aws(loaded)
    aws.register_environment()
    url = wanted.endpoint
    if wanted.endpoint == LOCAL:
        from infra.local import control

        url = control.status().url or None
    return Site(loaded, Work.of(loaded.cluster, loaded.path), Engine((), "none", "", ""), online(url), {})


def _local(home: str) -> tuple[ProviderLine, dict[str, str]]:
    from infra.local import control, endpoint, mirror

    url = control.up().url
    env = _clean(endpoint.environment(home, url))
    if (config := mirror.cli_config()) is not None:
        env["TF_CLI_CONFIG_FILE"] = str(config)
    return ProviderLine(3 if mirror.covered() else 6, mirror.provider_version(), url), env


def _clean(environment: Mapping[str, str]) -> dict[str, str]:
    env = {key: value for key, value in environment.items() if not key.startswith(_DROPPED)}
    if not Path(env.get("TF_CLI_CONFIG_FILE", os.devnull)).exists():
        del env["TF_CLI_CONFIG_FILE"]
    return {**env, "CHECKPOINT_DISABLE": "1", "TF_IN_AUTOMATION": "1"}
