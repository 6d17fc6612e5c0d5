"""Physical machines become nodes of the Kubernetes cluster at the end of their bootstrap: what a machine of the cloud
fetches from SSM by itself is handed to them over SSH, and only then. Where the control plane is of physical machines,
it is asked for there (``floor``)."""

from __future__ import annotations

import json
import threading
import time
from dataclasses import dataclass, field
from typing import Literal

from infra.cloud import parameters
from infra.cloud.site import look_site
from infra.errors import InfraError, NodeFailed
from infra.node import scripts
from infra.node.bring.floor import BUSY, PAUSE, Floor, Left, Say
from infra.node.ssh.fleet import Connection
from infra.proc import SECRETS
from infra.spec.load import Loaded

State = Literal["", "joined", "there", "left"]
"""It was not to join; it joined just now; it is a node already; it was left as it is."""
DEADLINE = 1200.0  # seconds: kubeadm's own limit on the machine is 900


@dataclass
class Joining:
    """What the control plane of a cluster has published, asked for once. ``floor``: it is of physical machines."""

    loaded: Loaded
    _known: tuple[str, str] | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        self.floor = Floor(self.loaded) if self.loaded.cluster.plane_hosts else None

    def begun(self, name: str) -> None:
        """This command brings that machine up: others wait for it, when it is one of the control plane."""
        if self.floor is not None:
            self.floor.begun(name)

    def ended(self, name: str) -> None:
        if self.floor is not None:
            self.floor.ended(name)

    def plane(self, name: str) -> bool:
        """Whether it is to be one of the control plane."""
        return self.floor is not None and name in self.floor.names

    def invitation(self) -> tuple[str, str]:
        """(JSON for join, "") or ("", why there is none)."""
        with self._lock:
            if self._known is None:
                self._known = self._ask()
            return self._known

    def _ask(self) -> tuple[str, str]:
        cluster = self.loaded.cluster
        if cluster.aws is None:
            return "", "the file has no control plane: neither aws: nor kubernetes: {control_plane: {metal: […]}}"
        try:
            text = parameters.read(look_site(self.loaded).session, cluster.cluster, parameters.JOIN)
        except InfraError as error:
            return "", f"what it needs is in SSM: {error.problems[0].what}"
        if text is None:
            name = parameters.name(cluster.cluster, parameters.JOIN)
            return "", f"the control plane has published nothing ({name}): infra apply, and see that it is up"
        try:
            SECRETS.add(str(json.loads(text)["token"]))
        except (ValueError, TypeError, KeyError):
            return "", f"what the control plane has published is damaged ({parameters.JOIN})"
        return text, ""


def join(connection: Connection, joining: Joining, say: Say = lambda _: None) -> tuple[State, str]:
    """Make the machine a node, or one of the control plane; (``left``, why) when there is nothing that it could join.

    Raises NodeFailed when kubeadm, or the way to the API, fails there.
    """
    node = connection.node
    try:
        if joining.floor is not None and joining.plane(node.name):
            return ("joined" if joining.floor.plane(connection, node.labels, say) else "there"), ""
        text, why = (joining.floor.invitation(connection, say), "") if joining.floor else joining.invitation()
    except Left as left:
        return "left", str(left)
    if why:
        return "left", why
    told = {**json.loads(text), "labels": node.labels}
    blobs = {"invitation": lambda: json.dumps(told).encode()}
    end = time.monotonic() + DEADLINE
    while True:
        ran = connection.run(scripts.text("join"), deadline=DEADLINE, blobs=blobs, check=False)
        if ran.code != BUSY or time.monotonic() > end:
            break
        connection.fleet.pause(PAUSE)  # somebody else does the same there: what comes of it counts
    lines = ran.out.strip().splitlines()
    if ran.code == 0:
        return ("left", lines[0][2:]) if lines and lines[0].startswith("! ") else ("joined", "")
    raise NodeFailed(
        f"{node.name} is at its policy, and did not join the cluster {joining.loaded.cluster.cluster}",
        where=node.where or node.login,
        why="\n".join(lines[-12:]) or ran.err.strip(),
        fix=f"it must reach {told.get('endpoint')} (docs/kubernetes-join.md, Networks); then run the same command "
        "again: only the join is left to do",
    )
