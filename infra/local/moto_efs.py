"""What moto's EFS lacks: to change a file system, to take its policy away, to know what is gone."""

from __future__ import annotations

import json
from typing import Any

from infra.local.extensions import put, wrap

JSON = {"Content-Type": "application/json"}


def file_system_policy_deletion() -> None:
    """DeleteFileSystemPolicy: without it a file system with a policy cannot be destroyed."""
    from moto.efs.responses import EFSResponse

    def method(self: Any) -> Any:
        _file_system(self).file_system_policy = None
        return "", JSON

    put(EFSResponse, "delete_file_system_policy", method)


def file_system_update() -> None:
    """UpdateFileSystem and PutBackupPolicy, so that throughput and backups can be changed in place."""
    from moto.efs.responses import EFSResponse

    def update(self: Any) -> Any:
        system = _file_system(self)
        system.throughput_mode = self._get_param("ThroughputMode") or system.throughput_mode
        if self._get_param("ProvisionedThroughputInMibps") is not None:
            system.provisioned_throughput_in_mibps = self._get_param("ProvisionedThroughputInMibps")
        if system.throughput_mode != "provisioned":
            system.provisioned_throughput_in_mibps = None
        return json.dumps(system.info_json()), {"status": 202, **JSON}

    def put_backup_policy(self: Any) -> Any:
        policy = self._get_param("BackupPolicy") or {}
        _file_system(self)._backup = policy.get("Status") in ("ENABLED", "ENABLING")
        return json.dumps({"BackupPolicy": policy}), JSON

    put(EFSResponse, "update_file_system", update)
    put(EFSResponse, "put_backup_policy", put_backup_policy)


class FileSystems(dict[str, Any]):
    """The file systems by id. Asked for one that is not there, EFS says so; a KeyError would be an answer 500, which
    clients take for a passing trouble and repeat for minutes."""

    def __missing__(self, identity: str) -> Any:
        from moto.efs.exceptions import FileSystemNotFound

        raise FileSystemNotFound(identity)


def absent_file_systems() -> None:
    """Every call about a file system that is gone: moto's looks into a dictionary without asking."""
    from moto.efs.models import EFSBackend

    @wrap(EFSBackend, "__init__")
    def _(original: Any, self: Any, *args: Any, **kwargs: Any) -> None:
        original(self, *args, **kwargs)
        self.file_systems_by_id = FileSystems()


def _file_system(response: Any) -> Any:
    identity = response._get_param("FileSystemId")
    _marker, found = response.efs_backend.describe_file_systems(file_system_id=identity)
    return found[0]


PATCHES = (absent_file_systems, file_system_policy_deletion, file_system_update)
