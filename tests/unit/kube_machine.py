"""A folder that stands for a machine that joins a cluster: the real scripts, a kubeadm that records what it is told."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.ssm import Ssm

CHEF = Path(__file__).resolve().parents[2] / "chef"
SCRIPTS = CHEF / "cookbooks/kubernetes/files"
SHELL = shutil.which("dash") or "/bin/sh"
NEEDS = ("curl", "flock", "jq", "openssl")

# A stand-in for kubeadm: no cluster comes of it. It refuses what the real one's checks refuse (files of an earlier
# attempt, an authority that is not the announced one), and leaves the files that the real one leaves.
KUBEADM = r"""#!/bin/sh
echo "$*" >>"$INFRA_PREFIX/did"
etc=$INFRA_PREFIX/etc/kubernetes lab=$(dirname "$INFRA_PREFIX")/lab
config=
while [ $# -gt 0 ]; do
    words="${words:+$words }$1"
    [ "$1" != --config ] || config=$2
    shift
done
[ ! -e "$INFRA_PREFIX/sleep" ] || sleep "$(cat "$INFRA_PREFIX/sleep")"
[ -z "$config" ] || cp "$config" "$INFRA_PREFIX/config"
becomes() {
    mkdir -p "$etc/pki" "$etc/manifests" "$INFRA_PREFIX/var/lib/kubelet/pki"
    cp "$1" "$etc/pki/ca.crt"
    echo kubelet >"$etc/kubelet.conf"
    echo pem >"$INFRA_PREFIX/var/lib/kubelet/pki/kubelet-client-current.pem"
    [ "$2" = plane ] || return 0
    echo api >"$etc/manifests/kube-apiserver.yaml"
    echo "    - --name=$(sed -n 's/.*"name": "\([^"]*\)".*/\1/p' "$config" | head -n 1)" >"$etc/manifests/etcd.yaml"
    server=$(sed -n 's/.*"\(controlPlane\|apiServer\)Endpoint": "\([^"]*\)".*/\2/p' "$config" | head -n 1)
    cat >"$etc/admin.conf" <<END
# admin of $(basename "$INFRA_PREFIX")
clusters:
- name: kubernetes
  cluster:
    certificate-authority-data: $(base64 -w 0 "$etc/pki/ca.crt")
    server: https://$server
users:
- name: kubernetes-admin
  user: {client-certificate-data: cGVt, client-key-data: a2V5}
contexts:
- name: kubernetes
  context: {cluster: kubernetes, user: kubernetes-admin}
current-context: kubernetes
END
}
fresh() {
    for file in kubelet.conf bootstrap-kubelet.conf pki/ca.crt manifests/kube-apiserver.yaml; do
        [ ! -e "$etc/$file" ] || { echo "[ERROR FileAvailable]: $etc/$file already exists" >&2 && exit 1; }
    done
    [ -e "$INFRA_PREFIX/broken" ] || return 0
    mkdir -p "$etc" && echo half >"$etc/bootstrap-kubelet.conf"
    echo 'it is broken' >&2
    exit 1
}
case $words in
    'version '*) echo v1.36.2 ;;
    'init phase upload-certs '*) echo certs >>"$lab/certs" ;;
    'init '*)
        fresh
        mkdir -p "$etc/pki" && echo half >"$etc/pki/ca.crt"
        becomes "$INFRA_PREFIX/ca.pem" plane
        cp "$INFRA_PREFIX/ca.pem" "$lab/$(cat "$INFRA_PREFIX/ca.hash")"
        ;;
    'join '*)
        fresh
        hash=$(jq -r '.discovery.bootstrapToken.caCertHashes[0]' "$config")
        [ -e "$lab/$hash" ] || { echo "cluster CA found in cluster-info is not the one pinned" >&2 && exit 1; }
        becomes "$lab/$hash" "$(jq -r 'if .controlPlane then "plane" else "node" end' "$config")"
        ;;
    'reset '*) rm -rf "$etc" "$INFRA_PREFIX/var/lib/kubelet" ;;
    'token create '*) printf 'abcdef.%016d\n' "$(wc -l <"$INFRA_PREFIX/did")" ;;
    'token list '*) cat "$lab/tokens" 2>/dev/null ;;
    'token delete '*) ;;
    *) echo "no such command: $words" >&2 && exit 1 ;;
esac
"""


def authority(folder: Path) -> tuple[bytes, str]:
    """A certificate of an authority, and kubeadm's hash of it."""
    from datetime import UTC, datetime, timedelta

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.serialization import Encoding
    from cryptography.x509.oid import NameOID

    from infra.kube.tokens import authority as hash_of

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "kubernetes")])
    now = datetime.now(UTC)
    made = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    made = made.serial_number(1).not_valid_before(now).not_valid_after(now + timedelta(days=1))
    raw = made.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM)
    return raw, hash_of(raw)


@dataclass
class Machine:
    """``name`` ends in a hexadecimal digit, by which its metadata differ."""

    top: Path
    name: str
    ssm: Ssm
    role: str = "node"
    said: str = field(default="", init=False)

    def __post_init__(self) -> None:
        for folder in ("etc/infra", "run/infra", "bin", "var/lib/infra/policy/current/bin"):
            (self.root / folder).mkdir(parents=True)
        (self.top / "lab").mkdir(exist_ok=True)
        signing = "" if self.ssm.strict else "signature() { echo none; }\n"
        (self.root / "var/lib/infra/policy/current/bin/aws").write_text((CHEF / "bin/aws").read_text() + signing)
        self.program("kubeadm", KUBEADM)
        raw, self.hash = authority(self.top)
        (self.root / "ca.pem").write_bytes(raw)
        (self.root / "ca.hash").write_text(self.hash)
        self.place()
        if self.role == "control-plane":
            settings = {"cluster": {"kind": "ClusterConfiguration", "apiServer": {"certSANs": ["localhost"]}}}
            (self.root / "etc/infra/kubeadm.json").write_text(json.dumps({**settings, "kubelet": {"kind": "K"}}))

    @property
    def root(self) -> Path:
        return self.top / self.name

    @property
    def etc(self) -> Path:
        return self.root / "etc/kubernetes"

    def program(self, name: str, text: str) -> None:
        (self.root / "bin" / name).write_text(text)
        (self.root / "bin" / name).chmod(0o755)

    def place(self, **more: Any) -> None:
        told = {"region": "us-west-2", "home": "us-west-2", "cluster": "lab", "endpoint": self.ssm.url}
        told |= {"role": self.role, "api": "api.lab:6443"} if self.role == "control-plane" else {"role": self.role}
        (self.root / "etc/infra/place.json").write_text(json.dumps({**told, **more}))

    def start(self, script: str, *words: str, **env: str) -> subprocess.Popen[str]:
        known = {
            "PATH": f"{self.root}/bin:{os.environ['PATH']}",
            "INFRA_PREFIX": str(self.root),
            "INFRA_IMDS": f"{self.ssm.url}/imds/{self.name}",
            "INFRA_KUBE_PATIENCE": "1",
            "INFRA_GPU_PATIENCE": "0",
        }
        return subprocess.Popen(
            [SHELL, str(SCRIPTS / script), *words],
            env={**known, **env},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def run(self, script: str, *words: str, code: int | None = 0, **env: str) -> int:
        """Its exit code; ``code`` None takes any. What it said is in ``said``, what it did in ``did``."""
        (self.root / "did").write_text("")
        process = self.start(script, *words, **env)
        self.said = process.communicate(timeout=60)[0]
        assert code is None or process.returncode == code, self.said
        assert self.ssm.secret not in self.said
        return process.returncode

    @property
    def did(self) -> list[str]:
        """What kubeadm was called with, without options that are the same every time."""
        path = self.root / "did"
        lines = path.read_text().splitlines() if path.exists() else []
        return [" ".join(line.split(" --")[0].split()) for line in lines if not line.startswith("version")]

    @property
    def config(self) -> dict[str, Any]:
        """The first document of what kubeadm was configured with."""
        text = (self.root / "config").read_text().split("\n---\n")[0]
        found: dict[str, Any] = json.loads(text)
        return found

    @property
    def published(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.ssm.parameters["/infra/lab/join"].value)
        return found

    @property
    def done(self) -> bool:
        return (self.root / "var/lib/infra/kube/done").exists()

    def left(self) -> list[str]:
        """Folders of secrets that are still there."""
        return [path.name for path in (self.root / "run/infra").iterdir() if path.is_dir()]
