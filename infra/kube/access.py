"""How to reach an API server: a kubeconfig's context, or the service account of the pod that we run in.

The official client reads both, renews their credentials and makes the TLS connections; it takes 0.4 s to import, so it
is imported when a cluster is really asked for.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar, cast

from infra import __version__, proc
from infra.errors import KubeUnreachable, UsageError
from infra.proc import SECRETS

T = TypeVar("T")
LOGIN_DEADLINE = 60.0
HOME = "~/.kube/config"


@dataclass(frozen=True, slots=True)
class Access:
    """``url`` of the server, ``where`` it was read (for errors), and the official client's configuration of it."""

    url: str
    where: str
    configuration: Any
    client: Any

    @property
    def pool(self) -> Any:
        """urllib3's pool of connections, with the certificates and the proxy in it."""
        return self.client.rest_client.pool_manager

    def headers(self) -> dict[str, str]:
        """Who we are, renewed when it is time; a login program that hangs is given up after a minute."""
        with told(self.where):
            settings = within(LOGIN_DEADLINE, f"the login to {self.url} hangs", self.configuration.auth_settings)
        given = {"User-Agent": f"infra/{__version__}", "Accept": "application/json"}
        for one in settings.values():
            if one.get("value"):
                SECRETS.add(str(one["value"]).rpartition(" ")[2].strip())
                given[str(one["key"])] = str(one["value"]).strip()
        return given

    def close(self) -> None:
        self.client.close()


def access(kubeconfig: Path | None = None, context: str = "") -> Access:
    """The file given, else $KUBECONFIG, else ~/.kube/config, else the pod's own service account.

    Raises UsageError when there is none of them or it cannot be used, KubeUnreachable when its login program hangs.
    """
    client, config = _client()
    loader: Any = config  # its functions have no types
    configuration = client.Configuration()
    configuration.retries = False  # ours know which request may be sent twice
    path = str(kubeconfig) if kubeconfig else _file()
    where = f"{path}{f', context {context}' if context else ''}" if path else "the pod's service account"

    def load() -> None:
        if path:
            for part in path.split(os.pathsep):
                if kubeconfig and not Path(part).expanduser().is_file():
                    raise UsageError("there is no such kubeconfig", where=part, fix="name one that is there")
            loader.load_kube_config(path, context or None, configuration, persist_config=False)
        else:
            loader.load_incluster_config(configuration)

    with told(where):
        within(LOGIN_DEADLINE, "the kubeconfig's login program hangs", load)
    return Access(configuration.host.rstrip("/"), where, configuration, client.ApiClient(configuration))


def _client() -> tuple[Any, Any]:
    """The official client's modules, without the validation that its dynamic half loads where it is installed: seconds
    for something that nobody uses here."""
    extra = "kubernetes_validate"
    hidden = extra not in sys.modules
    if hidden:
        sys.modules[extra] = cast(Any, None)  # to an import this is a module that is not there
    try:
        from kubernetes import client, config
    finally:
        if hidden:
            del sys.modules[extra]
    return client, config


def _file() -> str:
    """As kubectl does it; "" inside a pod without a kubeconfig of its own."""
    named = os.environ.get("KUBECONFIG", "")
    if named or Path(HOME).expanduser().is_file():
        return named or HOME
    if os.environ.get("KUBERNETES_SERVICE_HOST"):
        return ""
    raise UsageError(
        "no Kubernetes cluster is named",
        where="KUBECONFIG",
        why=f"there is no {HOME}, KUBECONFIG is not set, and this is no pod of a cluster",
        fix="name its kubeconfig: --kubeconfig FILE, or export KUBECONFIG=FILE",
    )


@contextlib.contextmanager
def told(where: str) -> Iterator[None]:
    """What the official client says of a configuration, in our words."""
    import yaml
    from kubernetes.config.config_exception import ConfigException
    from urllib3.exceptions import HTTPError

    try:
        yield
    except (ConfigException, HTTPError, OSError, ValueError, KeyError, TypeError, yaml.YAMLError) as error:
        why = SECRETS.redact(" ".join(str(error).split()))
        fix = "look at it with: kubectl config view; and see that: kubectl get nodes works"
        raise UsageError("the kubeconfig cannot be used", where=where, why=why, fix=fix) from error


def within(seconds: float, what: str, function: Callable[[], T]) -> T:
    """``function()``, or KubeUnreachable after ``seconds``."""
    try:
        return proc.bounded(seconds, function)
    except proc.Late as late:
        fix = "run its login program by hand (users: exec: in the kubeconfig)"
        raise KubeUnreachable(what, why=str(late), fix=fix) from late
