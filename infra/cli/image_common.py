"""What the ``infra image`` commands share: a session to look with, the regions, and one look at everything."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from infra.cloud.aws import Session
    from infra.image.ledger import Image
    from infra.image.world import World
    from infra.spec.load import Loaded

_REGION = re.compile(r"^[a-z]{2}(-[a-z]+)+-\d$")


@dataclass(frozen=True)
class Desk:
    """One cluster's images at hand. ``regions`` are looked at; ``asked`` are those of ``--region``, () without it."""

    loaded: Loaded
    session: Session
    regions: tuple[str, ...]
    asked: tuple[str, ...] = ()

    @property
    def cluster(self) -> str:
        return self.loaded.cluster.cluster

    def look(self) -> World:
        from infra.image import world

        return world.look(self.session, self.cluster, self.regions)

    def find(self, name: str, seen: World) -> Image:
        """The image that ``name`` means. Raises UsageError; for an AMI it says whose it is."""
        from infra.errors import UsageError
        from infra.image import names, store
        from infra.image.ledger import is_ami

        if is_ami(name) and all(image.id != name for image in seen.images):
            for region in self.regions:
                other = store.find(self.session, region, name)
                if other is not None and other.cluster != self.cluster:
                    raise UsageError(
                        f"{name} is an image of the cluster {other.cluster}",
                        where=region,
                        why=f"this file is of the cluster {self.cluster}",
                        fix="infra image list shows this cluster's; or give that cluster's file with -f",
                    )
        return names.resolve(name, seen.images, seen.pointers, self.regions)


def desk(file: Path, endpoint: str | None, asked: Sequence[str] = (), *, everywhere: bool = False) -> Desk:
    """Read the file and open AWS; nothing is started.

    Looked at are the regions of the file, or only those ``asked`` for, or with ``everywhere`` both. A region that the
    file does not name may be asked for: images outlast what was planned there.
    """
    from infra.cloud.site import look_site
    from infra.errors import UsageError
    from infra.spec.load import load

    site = look_site(load(file, endpoint))
    for name in asked:
        if not _REGION.match(name):
            raise UsageError(
                f"{name!r} is no region", where=f"--region {name}", fix=f"such as: {', '.join(site.aws.regions)}"
            )
    session = site.session
    session.guard()
    regions = (*asked, *site.aws.regions) if everywhere or not asked else asked
    return Desk(site.loaded, session, tuple(dict.fromkeys(regions)), tuple(dict.fromkeys(asked)))
