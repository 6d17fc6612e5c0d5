"""Parameters in SSM: where a cluster's machines leave what others need."""

from __future__ import annotations

from infra.cloud.aws import Session, code_of, translated

ADMIN = "control-plane/admin.conf"
"""The kubeconfig of the cluster's administrators."""
JOIN = "join"
"""What a machine needs to join, as JSON: endpoint, ca, token, expires."""


def name(cluster: str, key: str) -> str:
    return f"/infra/{cluster}/{key}"


def read(session: Session, cluster: str, key: str) -> str | None:
    """The parameter's text in the home region, decrypted; None when there is none. Raises what AWS refuses."""
    from botocore.exceptions import ClientError

    wanted = name(cluster, key)
    with translated("ssm:GetParameter", wanted, session.profile):
        try:
            said = session.client("ssm").get_parameter(Name=wanted, WithDecryption=True)
        except ClientError as error:
            if code_of(error) == "ParameterNotFound":
                return None
            raise
    return str(said["Parameter"]["Value"])
