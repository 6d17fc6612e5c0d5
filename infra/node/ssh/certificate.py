"""SSH host certificates: a key that a CA of ours says is a certain machine's. Pure."""

from __future__ import annotations

import base64
import fnmatch
import time
from collections.abc import Collection, Sequence

SUFFIX = "-cert-v01@openssh.com"


def is_certificate(kind: str) -> bool:
    return kind.endswith(SUFFIX)


def plain(blob: bytes) -> str:
    """The key inside a certificate, as ``type base64``; a key that is no certificate as it is."""
    from cryptography.hazmat.primitives.serialization import (
        Encoding,
        PublicFormat,
        SSHCertificate,
        load_ssh_public_identity,
    )

    identity = load_ssh_public_identity(_line(blob))
    key = identity.public_key() if isinstance(identity, SSHCertificate) else identity
    return key.public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()


def refused(blob: bytes, authorities: Sequence[str], names: Collection[str], now: float | None = None) -> str:
    """Why this host certificate does not prove that its key belongs to one of ``names``; "" when it does.

    ``authorities`` are the CAs' public keys as ``type base64 [comment]``. A certificate without principals is for any
    machine at all, and proves nothing about this one.
    """
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.serialization import (
        Encoding,
        PublicFormat,
        SSHCertificate,
        SSHCertificateType,
        load_ssh_public_identity,
    )

    certificate = load_ssh_public_identity(_line(blob))
    if not isinstance(certificate, SSHCertificate):
        return "it is no certificate"
    signer = certificate.signature_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()
    if signer.split()[:2] not in [authority.split()[:2] for authority in authorities]:
        return "it is signed by another CA than those of access.ssh_ca"
    try:
        certificate.verify_cert_signature()
    except InvalidSignature:
        return "its signature is wrong"
    if certificate.type is not SSHCertificateType.HOST:
        return "it is a user's certificate"
    moment = time.time() if now is None else now
    if not certificate.valid_after <= moment < certificate.valid_before:
        return "it is not valid now: see its dates, and this machine's clock"
    if certificate.critical_options:
        return "it has critical options, and a host's certificate knows none"
    principals = [item.decode("utf-8", "replace").lower() for item in certificate.valid_principals]
    wanted = [name.lower() for name in names if name]
    if not any(_matches(name, principal) for name in wanted for principal in principals):
        return f"it is for {', '.join(principals) or 'nobody by name'}, not for {' or '.join(wanted)}"
    return ""


def _matches(name: str, principal: str) -> bool:
    return fnmatch.fnmatchcase(name, principal.replace("[", "[[]"))


def _line(blob: bytes) -> bytes:
    size = int.from_bytes(blob[:4], "big")
    return blob[4 : 4 + size] + b" " + base64.b64encode(blob)
