"""What Terraform's state knows of a region, read without starting Terraform: from its file, or from S3."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from infra.cloud.project.settings import state_key
from infra.cloud.site import Site
from infra.errors import FileError, StateError
from infra.files import read_text
from infra.plan.model import LINKS
from infra.plan.words import part

STATE_FILE = "terraform.tfstate"
_ALIAS = re.compile(r"\.([a-z0-9_]+)$")
# Where a resource has its id as its tags say it, when that is not ``id``.
_OTHER_IDS = ("allocation_id", "key_pair_id", "placement_group_id")


@dataclass(frozen=True, slots=True)
class Thing:
    """One resource instance: its Terraform address and its attributes as they were last seen."""

    address: str
    type: str
    values: Mapping[str, Any]

    @property
    def id(self) -> str:
        return str(self.values.get("id") or "")

    @property
    def part(self) -> str:
        """The part of cluster.yaml that it belongs to, such as ``pool gpu``."""
        return part(self.address)

    @property
    def key(self) -> str:
        """Its key of for_each, or ""."""
        head, mark, tail = self.address.rpartition('["')
        return tail.removesuffix('"]') if mark and head else ""


@dataclass(frozen=True, slots=True)
class Known:
    """One region's state. ``things`` are the managed resources; ``serial`` counts the state's versions, 0 for none."""

    region: str
    things: tuple[Thing, ...] = ()
    serial: int = 0
    outputs: Mapping[str, Any] = field(default_factory=dict)
    raw: dict[str, Any] = field(default_factory=dict)

    def of(self, *types: str) -> list[Thing]:
        return [thing for thing in self.things if thing.type in types]

    @property
    def ids(self) -> frozenset[str]:
        """Every id that AWS may call one of the things by."""
        found = {thing.id for thing in self.things}
        for thing in self.things:
            found |= {str(thing.values[name]) for name in _OTHER_IDS if thing.values.get(name)}
        return frozenset(found - {""})


def read(site: Site, region: str) -> Known:
    """The region's state; an empty one when nothing was applied yet. Raises StateError for a damaged one."""
    text, where = _text(site, region)
    if not text.strip():
        return Known(region)
    try:
        data = json.loads(text)
        return _known(region, data)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise StateError(
            f"the state of {region} cannot be read",
            where=where,
            why=str(error),
            fix="bring back an older version of the object in S3"
            if site.cluster.state.s3
            else "infra plan: it brings back the last good one and looks in AWS for what is newer",
        ) from error


def _text(site: Site, region: str) -> tuple[str, str]:
    state = site.cluster.state.s3
    if state is None:
        path = site.work.region(region) / STATE_FILE
        try:
            return (read_text(path) if path.exists() else ""), str(path)
        except FileError as error:
            if not isinstance(error.__cause__, UnicodeDecodeError):
                raise
            return "{", str(path)
    from infra.cloud import aws_s3

    key = state_key(site.cluster, region)
    stored = aws_s3.read(site.session, state.region, state.bucket, key)
    text = stored.body.decode("utf-8", "replace") if stored else ""
    return text, f"s3://{state.bucket}/{key}"


def _known(region: str, data: dict[str, Any]) -> Known:
    outputs = {name: item.get("value") for name, item in data.get("outputs", {}).items()}
    return Known(region, tuple(_things(data)), int(data.get("serial", 0)), outputs, data)


def _things(data: Mapping[str, Any]) -> Iterator[Thing]:
    for item in data.get("resources", []):
        if item["mode"] != "managed":
            continue
        module = f"{item['module']}." if item.get("module") else ""
        for instance in item["instances"]:
            key = instance.get("index_key")
            index = "" if key is None else f"[{json.dumps(key)}]"
            yield Thing(f"{module}{item['type']}.{item['name']}{index}", item["type"], instance.get("attributes") or {})


def leftover_regions(site: Site) -> list[str]:
    """Regions that the file does not name (any more), that have a project here, and whose state holds something."""
    folders = {path.parent.name for path in site.work.folder.glob("*/main.tf.json")} - {LINKS}
    return [name for name in sorted(folders - set(site.aws.regions)) if read(site, name).things]


def providers(state: Known) -> set[str]:
    """The regions whose providers a state of links names: nothing in it can be removed without them."""
    said = [_ALIAS.search(str(item.get("provider", ""))) for item in state.raw.get("resources", [])]
    return {match[1].replace("_", "-") for match in said if match}


def neighbours(site: Site, region: str) -> list[tuple[str, Mapping[str, Any]]]:
    """(type, values) of what the project between the regions puts into things of this one: its routes."""
    return [] if region == LINKS else [(thing.type, thing.values) for thing in between(site).of("aws_route")]


def between(site: Site) -> Known:
    """The state of the links; an empty one, and nothing is asked, where there can be none."""
    return read(site, LINKS) if has_links(site) else Known(LINKS)


def has_links(site: Site) -> bool:
    """Whether there may be anything between the regions: what is in S3 can be of another work folder."""
    shared = site.cluster.state.s3 is not None and site.cluster.kubernetes is not None
    return shared or (site.work.region(LINKS) / "main.tf.json").is_file()
