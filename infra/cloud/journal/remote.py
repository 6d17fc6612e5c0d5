"""Records beside a state in S3: ``<prefix>/<cluster>/log/0007.json``, so that everybody sees everybody's applies."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from infra.cloud import aws_s3
from infra.cloud.aws import Session
from infra.cloud.site import Site
from infra.errors import Refused
from infra.files import canonical
from infra.spec.models import Cluster, S3State

AT_ONCE = 8


@dataclass(frozen=True, slots=True)
class Bucket:
    """The records of one cluster in the state's bucket. Errors are those of :mod:`infra.cloud.aws_s3`."""

    session: Session
    state: S3State
    prefix: str

    def numbers(self) -> list[int]:
        """The numbers that are taken, in order."""
        found = [key.rpartition("/")[2].removesuffix(".json") for key in self._keys()]
        return sorted(int(name) for name in found if name.isdecimal())

    def claim(self, number: int, data: dict[str, Any]) -> bool:
        """Write a new record; False when somebody has written one of that number."""
        try:
            self._write(number, data, new=True)
        except Refused:
            return False
        return True

    def put(self, number: int, data: dict[str, Any]) -> None:
        """Write a record over its older self."""
        self._write(number, data, new=False)

    def every(self) -> list[dict[str, Any]]:
        """All records that can be read, oldest first."""
        with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="record") as pool:
            found = pool.map(self._read, [self._key(number) for number in self.numbers()])
        return [data for data in found if data]

    def _keys(self) -> list[str]:
        return aws_s3.keys(self.session, self.state.region, self.state.bucket, self.prefix)

    def _key(self, number: int) -> str:
        return f"{self.prefix}{number:04}.json"

    def _write(self, number: int, data: dict[str, Any], new: bool) -> None:
        body = canonical(data).encode()
        aws_s3.write(self.session, self.state.region, self.state.bucket, self._key(number), body, new=new)

    def _read(self, key: str) -> dict[str, Any]:
        stored = aws_s3.read(self.session, self.state.region, self.state.bucket, key)
        try:
            data = json.loads(stored.body) if stored else {}
        except ValueError:
            return {}
        return data if isinstance(data, dict) else {}


def of(cluster: Cluster, session: Session | None) -> Bucket | None:
    """The store of a cluster whose state is in S3; None when it is in files (then no session is needed)."""
    state = cluster.state.s3
    if state is None or session is None:
        return None
    parts = (state.prefix.strip("/"), cluster.cluster, "log")
    return Bucket(session, state, "".join(f"{part}/" for part in parts if part))


def of_site(site: Site) -> Bucket | None:
    return of(site.cluster, site.session if site.cluster.state.s3 else None)
