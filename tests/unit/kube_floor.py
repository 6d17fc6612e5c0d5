"""Folders that stand for physical machines of one lab: the real scripts, and connections that run them there."""

from __future__ import annotations

import os
import subprocess
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from infra.errors import NodeFailed, NodeUnreachable
from infra.node.bring.floor import Floor
from infra.node.bring.join import Joining, State, join
from infra.node.inventory.inventory import Inventory
from infra.node.model import Node
from infra.node.ssh.channel import Blob, Ran
from infra.spec.load import Loaded, load
from tests.ssm import Ssm
from tests.unit.kube_machine import SCRIPTS, SHELL, Machine

VIRTUAL = "192.0.2.9"
LAB = """\
version: 1
cluster: lab
profiles: {{gpu: {{run_list: ["recipe[kubernetes]"]}}}}
metal:
  rack: {{profile: gpu, labels: {{"lab/queue": mine}}, hosts: [{hosts}]}}
kubernetes: {{control_plane: {plane}}}
"""
# The address that moves is here once keepalived runs on the machine that makes the cluster.
SYSTEMCTL = f"""#!/bin/sh
echo "systemctl $*" >>"$INFRA_PREFIX/did"
case "$*" in
    *is-active*) exit 3 ;;
    'start infra-kube-address.service')
        for making in "$INFRA_PREFIX"/run/infra/control-plane.*/making; do
            [ ! -e "$making" ] || echo {VIRTUAL} >>"$INFRA_PREFIX/addresses"
        done ;;
esac
"""
IP = """#!/bin/sh
for last; do :; done
case "$*" in
    *'addr show to'*) ! grep -qx "$last" "$INFRA_PREFIX/addresses" || echo "2: eth0    inet $last/24 scope global" ;;
    *'route get'*)
        echo "$last dev eth0 $(cat "$INFRA_PREFIX/via" 2>/dev/null) src $(head -n 1 "$INFRA_PREFIX/addresses") uid 0"
        ;;
    *'neigh show'*) cat "$INFRA_PREFIX/neighbours" 2>/dev/null ;;
esac
exit 0
"""
CURL = """#!/bin/sh
case "$*" in
    *127.0.0.1*/readyz)
        cd "$INFRA_PREFIX" && [ -e etc/kubernetes/manifests/kube-apiserver.yaml ] && [ ! -e ill ] && printf 200
        ;;
    */version) exit 0 ;;
    *) exit 7 ;;
esac
"""
# etcd's members stand in the file etcd that all machines share; alive/ADDRESS is there for those that answer.
KUBECTL = """#!/bin/sh
lab=$(dirname "$INFRA_PREFIX")/lab
echo "$*" >>"$lab/kubectl"
case "$*" in
    *'exec etcd-'*'member list') cat "$lab/etcd" 2>/dev/null || : ;;
    *'endpoint health') host=${*#*--endpoints https://} && [ -e "$lab/alive/${host%%:*}" ] ;;
    *'member remove '*) echo "removed ${*##* }" >>"$lab/removed" && sed -i "/^${*##* },/d" "$lab/etcd" ;;
    *'delete node '*) echo "$*" | sed 's/.*delete/delete/' >>"$lab/removed" ;;
esac
"""


class Box(Machine):
    """A physical machine with everything that the cookbook puts there, or nothing of it (``bare``)."""

    address = ""

    @classmethod
    def of(cls, top: Path, name: str, address: str, machines: list[str], virtual: str, bare: bool = False) -> Box:
        made = cls(top, name, Ssm(), "control-plane")
        made.address = address
        (made.root / "etc/infra/place.json").unlink()
        (made.root / "addresses").write_text(f"{address}\n")
        for program, text in (("systemctl", SYSTEMCTL), ("ip", IP), ("curl", CURL), ("kubectl", KUBECTL)):
            made.program(program, text)
        made.program("uname", f'#!/bin/sh\ncase $1 in -n) echo {name.upper()} ;; *) exec /bin/uname "$@" ;; esac\n')
        (made.root / "lib").mkdir()
        for script in () if bare else SCRIPTS.iterdir():
            (made.root / "lib" / script.name).write_bytes(script.read_bytes())
            (made.root / "lib" / script.name).chmod(0o755)
        if not bare:
            plan = f'{{"machines": [{", ".join(f""" "{one}" """ for one in machines)}], "address": "{virtual}"}}'
            (made.root / "etc/infra/control-plane.json").write_text(plan)
        return made

    @property
    def part(self) -> str:
        if (self.etc / "manifests/kube-apiserver.yaml").exists():
            return "plane" if self.done else "half"
        return "node" if (self.etc / "kubelet.conf").exists() else "none"

    @property
    def calls(self) -> list[str]:
        """What kubeadm was called with, since the machine was made."""
        path = self.root / "did"
        lines = path.read_text().splitlines() if path.exists() else []
        return [
            " ".join(line.split(" --")[0].split()) for line in lines if not line.startswith(("version", "systemctl"))
        ]


class Link:
    """In place of an SSH connection: the script runs in the machine's folder."""

    def __init__(self, node: Node, fleet: Room) -> None:
        self.node, self.fleet = node, fleet

    def run(
        self,
        script: str,
        *args: str,
        deadline: float = 60,
        blobs: Mapping[str, Blob] = {},
        check: bool = True,
        **_: Any,
    ) -> Ran:
        box = self.fleet.boxes[self.node.name]
        folder = box.root / f"blobs-{threading.get_ident()}"
        folder.mkdir(exist_ok=True)
        for name, make in blobs.items():
            made = make()
            assert isinstance(made, bytes)
            (folder / name).write_bytes(made)
        text = f'infra_blob() {{ cat "{folder}/$1"; }}\n{script}'
        env = {"PATH": f"{box.root}/bin:{os.environ['PATH']}", "INFRA_PREFIX": str(box.root)}
        env |= {"INFRA_KUBE_LIB": str(box.root / "lib"), "INFRA_ADDRESS_PATIENCE": "2", "INFRA_GPU_PATIENCE": "0"}
        done = subprocess.run(
            [SHELL, "-s", *args], input=text, env=env, capture_output=True, text=True, timeout=60, check=False
        )
        for path in folder.iterdir():
            path.unlink()
        with self.fleet.lock:
            self.fleet.said.append(f"{self.node.name} {' '.join(args[:1])}: {done.stdout}{done.stderr}")
        if check and done.returncode:
            raise NodeFailed(done.stderr)
        return Ran(done.returncode, done.stdout, done.stderr, 0.0)

    def close(self) -> None:
        return None


class Room:
    """In place of a fleet. ``away`` do not answer."""

    def __init__(self, boxes: Mapping[str, Box]) -> None:
        self.boxes, self.away, self.said = dict(boxes), set[str](), list[str]()
        self.nodes: dict[str, Node] = {}
        self.lock = threading.Lock()

    def connect(self, node: Node) -> Link:
        if node.name in self.away:
            raise NodeUnreachable(f"{node.name} does not answer")
        return Link(node, self)

    def pause(self, _seconds: float) -> None:
        threading.Event().wait(0.05)

    def check(self) -> None:
        return None


class Lab:
    """``planes`` of ``names`` are the control plane's; the others are workers."""

    def __init__(self, top: Path, names: list[str], planes: list[str], **more: Any) -> None:
        address = f", address: {VIRTUAL}" if len(planes) > 1 else ""
        places = {name: f"192.0.2.{number + 1}" for number, name in enumerate(names)}
        hosts = ", ".join(f"{{name: {name}, address: {place}}}" for name, place in places.items())
        more_text = "".join(f", {key}: {value}" for key, value in more.items())
        plane = f"{{metal: [{', '.join(planes)}]{address}{more_text}}}"
        self.path = top / "cluster.yaml"
        self.path.write_text(LAB.format(hosts=hosts, plane=plane))
        machines = [places[name] for name in planes]
        self.boxes = {
            name: Box.of(top, name, place, machines, VIRTUAL if address else "") for name, place in places.items()
        }
        self.room = Room(self.boxes)
        self.top = top

    @property
    def loaded(self) -> Loaded:
        return load(self.path)

    def stand(self, *names: str) -> None:
        """As if these had become the control plane already, as the stand-in for kubeadm leaves them."""
        maker = next(iter(self.boxes.values()))
        authority = (maker.root / "ca.pem").read_text()
        (self.top / "lab" / maker.hash).write_text(authority)
        for box in map(self.boxes.__getitem__, names):
            for path, text in {
                "etc/kubernetes/pki/ca.crt": authority,
                "etc/kubernetes/manifests/kube-apiserver.yaml": "api",
                "etc/kubernetes/manifests/etcd.yaml": f"    - --name={box.name}.lab\n",
                "etc/kubernetes/kubelet.conf": "    user: default-auth\n",
                "etc/kubernetes/admin.conf": f"    server: https://{self.loaded.cluster.api}\n",
                "var/lib/kubelet/pki/kubelet-client-current.pem": "pem",
                "var/lib/infra/kube/done": "",
            }.items():
                (box.root / path).parent.mkdir(parents=True, exist_ok=True)
                (box.root / path).write_text(text)

    def joining(self) -> Joining:
        found = Joining(self.loaded)
        assert isinstance(found.floor, Floor)
        found.floor.pause, found.floor.patience = 0.05, 0.3
        return found

    def join(self, name: str, joining: Joining | None = None) -> tuple[State, str]:
        node = Inventory(self.loaded).get(name)
        assert node is not None
        link: Any = self.room.connect(node)
        return join(link, joining or self.joining())

    @property
    def parts(self) -> dict[str, str]:
        return {name: box.part for name, box in self.boxes.items()}
