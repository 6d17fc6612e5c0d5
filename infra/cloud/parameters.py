"""Parameters in SSM: where a cluster's machines leave what others need."""

from __future__ import annotations

from infra.cloud.aws import Session, code_of, translated

ADMIN = "control-plane/admin.conf"
"""The kubeconfig of the cluster's administrators."""
JOIN = "join"
"""What a machine needs to join, as JSON: endpoint, ca, token, expires."""


BATCH = 10  # names that one call takes


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


def forget(session: Session, cluster: str) -> list[str]:
    """Remove what the machines of a control plane that is gone have left; the names. Raises what AWS refuses."""
    top = name(cluster, "")
    with translated("ssm:GetParametersByPath", top, session.profile):
        pages = session.client("ssm").get_paginator("get_parameters_by_path").paginate(Path=top, Recursive=True)
        found = [str(item["Name"]) for page in pages for item in page["Parameters"]]
    ours = sorted(one for one in found if one == name(cluster, JOIN) or one.startswith(name(cluster, "control-plane/")))
    with translated("ssm:DeleteParameters", top, session.profile):
        for place in range(0, len(ours), BATCH):
            session.client("ssm").delete_parameters(Names=ours[place : place + BATCH])
    return ours
