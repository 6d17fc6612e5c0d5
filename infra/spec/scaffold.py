"""The commented files that ``infra init`` writes; each loads without a problem as it is."""

from __future__ import annotations

from typing import Literal

Kind = Literal["aws", "local", "metal"]

_TITLES = {
    "aws": "GPU machines in AWS. Nothing runs until you apply: then one small machine and a NAT gateway.",
    "local": "On the embedded AWS: real Terraform, nothing spent, no account needed. Without `endpoint` it is for AWS.",
    "metal": "Physical machines only: no cloud, no account.",
}

_HEAD = """\
# {title}
# All keys: infra schema, or docs/cluster-yaml.md. Check: infra validate. Next: infra plan.
version: 1
cluster: {name}
"""

_AWS = """
aws:
  regions: [us-west-2]        # in order of preference; the first is home
{endpoint}
network:
  cidr: 10.40.0.0/14          # a /16 for each region: room for four
  zones: 2                    # availability zones used in each region
  nat: one                    # one | per-zone | none
"""

_ACCESS = """
access:
  ssh_from: []                # networks that may use SSH, such as [203.0.113.0/24]; none: through SSM only
{users}
"""

_NOBODY = """\
  # users:
  #   ada: {keys: ["ssh-ed25519 AAAA… ada@laptop"], sudo: true}"""

_PROFILES = """
profiles:                     # what a machine is: baked into an image for the cloud, pushed over SSH to metal
  gpu:
    os: ubuntu-24.04
    run_list: ["role[gpu-node]"]
    nvidia: {driver: "580", cuda: "12.9"}   # the last ones for Maxwell, Pascal and Volta; fine for newer GPUs
"""

_CPU_PROFILE = """\
  cpu:
    os: ubuntu-24.04
    run_list: ["role[cpu-node]"]
"""

_POOLS = """
pools:                        # Auto Scaling groups
  gpu:
    profile: gpu
    instance_types: [g4dn.xlarge, g4dn.2xlarge]   # in order of preference
    size: {min: 0, max: 4}    # none until somebody asks for one
    capacity: spot            # on-demand | spot | {reservation: cr-…} | {block: cr-…}
    disk: 200GB
  cpu:
    profile: cpu
    instance_types: [m5.large]
    size: {min: 1, max: 4}
"""

_HOSTS = """
# hosts:                      # long-lived machines to log in to
#   dev: {profile: gpu, instance_type: g4dn.xlarge}
"""

_HOSTS_LOCAL = """
hosts:                        # long-lived machines to log in to
  dev: {profile: gpu, instance_type: g4dn.xlarge}
"""

_METAL_NOTE = """
# metal:                      # physical machines, over SSH
#   titan:
#     profile: gpu
#     hosts: ["titan-[01-08].lab"]
#     user: ubuntu
#     gpus: {model: titan-x-pascal, count: 4}
"""

_METAL = """
metal:                        # physical machines, over SSH
  desk:
    profile: gpu
    hosts:                    # names, patterns such as "titan-[01-08].lab", or name and address
      - {name: left, address: 192.0.2.11}
      - {name: right, address: 192.0.2.12}
    user: ubuntu              # may use sudo
    gpus: {model: titan-x-pascal, count: 1}
"""

_STORAGE = """
storage:
  datasets: {efs: {}, mount: /data}
  # results: {s3: {bucket: NAME-UNIQUE-IN-ALL-OF-AWS}, mount: /results}
  # home:    {nfs: {host: nfs.lab, export: /export/home}, mount: /home}
"""

_STORAGE_LOCAL = """
storage:
  datasets: {{efs: {{}}, mount: /data}}
  results:  {{s3: {{bucket: {name}-results}}, mount: /results}}
"""

_STORAGE_METAL = """
# storage:
#   home: {nfs: {host: nfs.lab, export: /export/home}, mount: /home}
"""

_KUBERNETES = """
# kubernetes:                 # one cluster over pools and metal
#   version: "1.36"
#   control_plane: {instance_type: m5.large, count: 1}
#   autoscale: {pools: [gpu]}
"""

_KUBERNETES_METAL = """
# kubernetes:                 # one cluster over the machines
#   version: "1.36"
#   control_plane: {metal: [left]}          # or three, and a free address of theirs: address: 192.0.2.9
"""


def scaffold(kind: Kind, name: str, user: str = "", key: str = "") -> str:
    """The file's text. With ``user`` and ``key`` (a public key) somebody can log in."""
    users = f'  users:\n    {user}: {{keys: ["{key}"], sudo: true}}' if user and key else _NOBODY
    parts = [_HEAD.format(title=_TITLES[kind], name=name)]
    if kind == "metal":
        parts += [_access_metal(users), _PROFILES, _METAL, _STORAGE_METAL, _KUBERNETES_METAL]
        return "".join(parts)
    endpoint = "  endpoint: local             # the embedded AWS; remove this line for the real one\n"
    parts.append(_AWS.format(endpoint=endpoint if kind == "local" else ""))
    parts += [_ACCESS.format(users=users), _PROFILES, _CPU_PROFILE, _POOLS]
    if kind == "local":
        parts += [_HOSTS_LOCAL, _METAL_NOTE, _STORAGE_LOCAL.format(name=name), _KUBERNETES]
    else:
        parts += [_HOSTS, _METAL_NOTE, _STORAGE, _KUBERNETES]
    return "".join(parts)


def _access_metal(users: str) -> str:
    return f"\naccess:\n{users}\n" if users != _NOBODY else f"\n# access:\n{users}\n"
