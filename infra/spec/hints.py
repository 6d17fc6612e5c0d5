"""Examples and other tools' words, for the fixes that messages name."""

from __future__ import annotations

# Words that other tools use for what is written otherwise here.
SYNONYMS = {
    "ami": "profiles.<name>.image",
    "availability_zones": "network.zones",
    "az": "network.zones",
    "azs": "network.zones",
    "desired_capacity": "pools.<name>.size.desired",
    "driver_version": "profiles.<name>.nvidia.driver",
    "gpu": "metal.<name>.gpus",
    "max_size": "pools.<name>.size.max",
    "min_size": "pools.<name>.size.min",
    "name": "cluster",
    "on_demand": "capacity: on-demand",
    "path": "storage.<name>.mount",
    "spot": "capacity: spot",
    "ssh_keys": "access.users.<name>.keys",
    "vpc_cidr": "network.cidr",
    "vpc_id": "network.existing.<region>.vpc.id",
    "volume_size": "pools.<name>.disk",
    "root_volume_size": "pools.<name>.disk",
}

EXAMPLES = {
    "Aws.regions": "regions: [us-west-2]",
    "Cluster.cluster": "cluster: research",
    "Cluster.version": "version: 1",
    "ExistingNetwork.private": "private: {tags: {tier: private}}",
    "ExistingNetwork.vpc": "vpc: {id: vpc-0123456789abcdef0}",
    "Gpus.count": "count: 4",
    "Gpus.model": "model: titan-x-pascal",
    "Host.instance_type": "instance_type: m5.large",
    "Host.profile": "profile: cpu",
    "Metal.hosts": 'hosts: ["titan-[01-08].lab"]',
    "Metal.profile": "profile: gpu",
    "MetalHost.name": "name: titan-01",
    "Nfs.export": "export: /export/home",
    "Nfs.host": "host: nfs.lab",
    "Pool.instance_types": "instance_types: [g4dn.xlarge]",
    "Pool.profile": "profile: gpu",
    "Pool.size": "size: {min: 0, max: 4}",
    "S3Bucket.bucket": "bucket: research-results",
    "S3State.bucket": "bucket: research-infra-state",
    "S3State.region": "region: us-west-2",
    "Size.max": "max: 4",
    "Storage.mount": "mount: /data",
    "Taint.key": "key: nvidia.com/gpu",
    "User.keys": 'keys: ["ssh-ed25519 AAAA… ada@laptop"]',
}


# For values that are not well formed, by the key they stand at.
KEY_EXAMPLES = {
    "account": 'account: "123456789012"',
    "block": "block: cr-0123456789abcdef0",
    "bucket": "bucket: research-results",
    "cidr": "cidr: 10.40.0.0/14",
    "cuda": 'cuda: "12.9"',
    "disk": "disk: 200GB",
    "driver": 'driver: "580"',
    "endpoint": "endpoint: local",
    "export": "export: /export/home",
    "image": "image: ami-0123456789abcdef0",
    "mount": "mount: /data",
    "pod_cidr": "pod_cidr: 10.32.0.0/13",
    "prefix": "prefix: prod",
    "private": "private: {tags: {tier: private}}",
    "public": "public: {tags: {tier: public}}",
    "reservation": "reservation: cr-0123456789abcdef0",
    "run_list": 'run_list: ["role[gpu-node]"]',
    "service_cidr": "service_cidr: 10.31.0.0/16",
    "ssh_from": "ssh_from: [203.0.113.0/24]",
    "version": 'version: "1.36"',
    "vpc": "vpc: {id: vpc-0123456789abcdef0}",
}
