"""Bootstrap tokens: what a machine needs to join a cluster, and good for nothing more. Pure but for chance.

kubeadm's own form: a secret in kube-system that the token cleaner removes when it is past its time.
"""

from __future__ import annotations

import base64
import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

from infra.errors import KubeError
from infra.proc import SECRETS

Raw = dict[str, Any]
LETTERS = "0123456789abcdefghijklmnopqrstuvwxyz"
PLACE = "/api/v1/namespaces/kube-system/secrets"
INFO = "/api/v1/namespaces/kube-public/configmaps/cluster-info"
"""Where kubeadm says to everybody which API it is and by which authority."""
GROUP = "system:bootstrappers:kubeadm:default-node-token"
ENOUGH = timedelta(minutes=10)
"""A published token that ends sooner is not handed out: a join takes some minutes."""


@dataclass(frozen=True, slots=True)
class Invitation:
    """``endpoint`` is ``host:port``; ``ca`` is ``sha256:…`` of the authority's public key; ``expires`` UTC."""

    endpoint: str
    ca: str
    token: str
    expires: datetime

    @property
    def command(self) -> str:
        return f"kubeadm join {self.endpoint} --token {self.token} --discovery-token-ca-cert-hash {self.ca}"

    def data(self) -> dict[str, str]:
        return {"endpoint": self.endpoint, "ca": self.ca, "token": self.token, "expires": stamp(self.expires)}


def stamp(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def published(text: str, now: datetime) -> Invitation | None:
    """What a control plane put into SSM; None when it is damaged or good for too short a time."""
    try:
        found = json.loads(text)
        expires = datetime.fromisoformat(str(found["expires"]))
        invitation = Invitation(str(found["endpoint"]), str(found["ca"]), str(found["token"]), expires)
        SECRETS.add(invitation.token)
        return invitation if expires - now > ENOUGH else None
    except (KeyError, TypeError, ValueError):
        return None


def fresh(info: Mapping[str, Any] | None, ttl: timedelta, now: datetime) -> tuple[Invitation, Raw]:
    """A new token for the cluster that ``cluster-info`` describes, and the secret that makes it one. KubeError."""
    import yaml

    try:
        config = yaml.safe_load(str((info or {})["data"]["kubeconfig"]))
        cluster = config["clusters"][0]["cluster"]
        address = urlsplit(str(cluster["server"]))
        endpoint = f"{address.hostname}:{address.port or 443}"
        ca = authority(base64.b64decode(cluster["certificate-authority-data"]))
    except (KeyError, IndexError, TypeError, ValueError, yaml.YAMLError) as error:
        raise KubeError(
            "the cluster does not say how to join it",
            where=INFO,
            why=f"{type(error).__name__}: {error}",
            fix="kubeadm makes it: on a machine of the control plane, sudo kubeadm init phase bootstrap-token",
        ) from error
    ident, secret = (("".join(secrets.choice(LETTERS) for _ in range(length))) for length in (6, 16))
    token = f"{ident}.{secret}"
    SECRETS.add(token)
    SECRETS.add(secret)
    expires = (now + ttl).replace(microsecond=0)
    body = {
        "apiVersion": "v1",
        "kind": "Secret",
        "type": "bootstrap.kubernetes.io/token",
        "metadata": {"name": f"bootstrap-token-{ident}", "namespace": "kube-system"},
        "stringData": {
            "token-id": ident,
            "token-secret": secret,
            "expiration": stamp(expires),
            "usage-bootstrap-authentication": "true",
            "usage-bootstrap-signing": "true",
            "auth-extra-groups": GROUP,
            "description": "infra: by hand",
        },
    }
    return Invitation(endpoint, ca, token, expires), body


def authority(certificate: bytes) -> str:
    """What kubeadm pins: sha256 of the public key of a certificate in PEM. Raises ValueError."""
    import hashlib

    from cryptography import x509
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    key = x509.load_pem_x509_certificate(certificate).public_key()
    raw = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return f"sha256:{hashlib.sha256(raw).hexdigest()}"
