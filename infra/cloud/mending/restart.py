"""A restart of the embedded AWS: it keeps nothing, so the state of what was in it before is set aside, and said."""

from __future__ import annotations

import json
from pathlib import Path

from infra import files
from infra.cloud.aws import translated
from infra.cloud.mending import known as knowing
from infra.cloud.mending.known import STATE_FILE, Known
from infra.cloud.site import Site
from infra.errors import FileError
from infra.plan.model import LINKS

MARK = "server.json"  # in the work folder: which start of the embedded AWS the states are of
ASIDE = "terraform.tfstate.before-restart"


def set_aside(site: Site) -> list[str]:
    """Set aside every local state that is of an earlier start of the embedded AWS; a sentence for each.

    Does nothing for a real AWS, nor for a state of which AWS still has anything.
    """
    if not site.cluster.local:
        return []
    from infra.local import control

    started = {"started": control.status().started}
    mark = site.work.folder / MARK
    if _read(mark) == started:
        return []
    every = [*site.aws.regions, LINKS]
    said = [] if site.cluster.state.s3 else [text for region in every for text in _region(site, region)]
    files.write_json(mark, started)
    return said


def _region(site: Site, region: str) -> list[str]:
    known = knowing.read(site, region)
    if not known.things or not lost(site, known):
        return []
    path = site.work.region(region) / STATE_FILE
    path.replace(path.with_name(ASIDE))
    return [
        f"{region}: the embedded AWS was started anew and keeps nothing: its {len(known.things)} resources of before "
        f"are gone, their state is kept as {ASIDE}"
    ]


def lost(site: Site, known: Known) -> bool:
    """Whether AWS has not one of the things that the state knows."""
    if known.region == LINKS:
        return not any(_tagged(site, region, known) for region in sorted(knowing.providers(known)))
    return not _tagged(site, known.region, known)


def _tagged(site: Site, region: str, known: Known) -> bool:
    ids = sorted(known.ids)[:200]
    with translated("ec2:DescribeTags", region, site.session.profile):
        client = site.session.client("ec2", region)
        return bool(client.describe_tags(Filters=[{"Name": "resource-id", "Values": ids}])["Tags"])


def _read(path: Path) -> object:
    try:
        return json.loads(files.read_text(path))
    except (FileError, ValueError):
        return None
