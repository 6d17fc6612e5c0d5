"""Ubuntu's AMIs, in every region, named and owned as Canonical's are, with their public SSM parameters."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from infra.local.extensions import put, wrap

CANONICAL = "099720109477"
ROOT_DEVICE = "/dev/sda1"


@dataclass(frozen=True, slots=True)
class Ubuntu:
    """One release: ``disk`` is the volume type, and the folder of the image's name (gp3 since 24.04)."""

    codename: str
    version: str
    disk: str
    serials: tuple[str, ...]
    """Oldest first; two of each, so that "the newest" means something."""

    def name(self, arch: str, serial: str) -> str:
        folder = "hvm-ssd-gp3" if self.disk == "gp3" else "hvm-ssd"
        return f"ubuntu/images/{folder}/ubuntu-{self.codename}-{self.version}-{arch}-server-{serial}"

    def parameter(self, arch: str, serial: str) -> str:
        stage = "current" if serial == self.serials[-1] else serial
        return f"/aws/service/canonical/ubuntu/server/{self.version}/stable/{stage}/{arch}/hvm/ebs-{self.disk}/ami-id"


RELEASES = (
    Ubuntu("focal", "20.04", "gp2", ("20250213", "20250603")),
    Ubuntu("jammy", "22.04", "gp2", ("20250516", "20250822")),
    Ubuntu("noble", "24.04", "gp3", ("20250610", "20250821")),
)
ARCHITECTURES = {"amd64": "x86_64", "arm64": "arm64"}


def image_id(region: str, name: str) -> str:
    """The same image has the same id each time a server starts, and another one in each region."""
    return "ami-0" + hashlib.sha256(f"{region}/{name}".encode()).hexdigest()[:16]


def seeded_images() -> None:
    """moto has 1,300 old images per region, which every launch searches, and none of Canonical's."""
    from moto.ec2.models.amis import AmiBackend

    def load(self: Any) -> None:
        for release in RELEASES:
            for arch in ARCHITECTURES:
                for serial in release.serials:
                    name = release.name(arch, serial)
                    self.amis[image_id(self.region_name, name)] = _image(self, release, arch, serial)

    put(AmiBackend, "_load_amis", load)


def _image(backend: Any, release: Ubuntu, arch: str, serial: str) -> Any:
    from moto.ec2.models.amis import Ami

    name = release.name(arch, serial)
    image: Any = Ami(
        backend,
        image_id(backend.region_name, name),
        name=name,
        description=f"Canonical, Ubuntu, {release.version} LTS, {arch} {release.codename} image build on {serial}",
        owner_id=CANONICAL,
        owner_alias="amazon",
        public=True,
        virtualization_type="hvm",
        architecture=ARCHITECTURES[arch],
        creation_date=datetime.strptime(serial, "%Y%m%d"),
        image_location=f"amazon/{name}",
        hypervisor="xen",
        root_device_type="ebs",
        root_device_name=ROOT_DEVICE,
        boot_mode="uefi-preferred" if arch == "amd64" else "uefi",
    )
    image.ena_support = True
    image.root_size, image.root_type = 8, release.disk
    return image


def image_block_devices() -> None:
    """An image's root disk: moto says 15 GB, magnetic and kept at termination for all, whatever they were made from."""
    from moto.ec2.models.amis import Ami

    def block_device_mappings(self: Any) -> list[dict[str, Any]]:
        snapshot = self.ebs_snapshot
        root = {
            "SnapshotId": snapshot.id,
            "VolumeSize": getattr(self, "root_size", None) or snapshot.volume.size,
            "DeleteOnTermination": True,
            "VolumeType": getattr(self, "root_type", "gp2"),
            "Encrypted": bool(snapshot.encrypted),
        }
        return [{"DeviceName": self.root_device_name, "Ebs": root}]

    put(Ami, "block_device_mappings", property(block_device_mappings))


def made_images_have_disks() -> None:
    """An image that is made of an instance, or copied, has EBS disks; moto says ``standard``, and Packer refuses it."""
    from moto.ec2.models.amis import Ami

    @wrap(Ami, "__init__")
    def _(original: Any, self: Any, *args: Any, **kwargs: Any) -> None:
        original(self, *args, **kwargs)
        if self.root_device_type == "standard":
            self.root_device_type = "ebs"


def canonical_parameters() -> None:
    """``/aws/service/canonical/ubuntu/...``: the documented way to look up Canonical's images."""
    from moto.ssm import models

    parameter: Any = models.Parameter

    @wrap(models.ParameterDict, "_check_loading_status")
    def _(original: Any, self: Any, key: str) -> None:
        original(self, key)
        if not str(key or "").startswith("/aws/service/canonical") or getattr(self, "canonical_loaded", False):
            return
        self.canonical_loaded = True
        for release in RELEASES:
            for arch in ARCHITECTURES:
                for serial in release.serials:
                    name = release.parameter(arch, serial)
                    value = image_id(self.region_name, release.name(arch, serial))
                    entry = parameter(
                        account_id=self.account_id,
                        name=name,
                        value=value,
                        parameter_type="String",
                        description=None,
                        allowed_pattern=None,
                        keyid=None,
                        last_modified_date=datetime.strptime(serial, "%Y%m%d"),
                        version=1,
                        data_type="aws:ec2:image",
                    )
                    dict.setdefault(self, name, []).append(entry)


PATCHES = (seeded_images, image_block_devices, made_images_have_disks)
