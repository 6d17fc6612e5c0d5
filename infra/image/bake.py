"""``infra image bake``: a profile's policy becomes an AMI in every region that needs it, or is found to be there.

Nothing is launched before the policy resolves and its Ruby parses. An image that is there is not made again, a copy
that is there is not copied again: after any failure the same call does only what lacks.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from infra import proc
from infra.cloud.aws import Session
from infra.cloud.site import Site, needs_aws
from infra.errors import UsageError
from infra.image import build, builder, copies, ledger, lock, packer, store, sweep, syntax
from infra.image.build import Built, Options
from infra.image.ledger import Image
from infra.local import build_host
from infra.plan.model import ImageStep
from infra.policy import Policy, of
from infra.spec.load import Loaded

Progress = Callable[[str, dict[str, Any]], None]


@dataclass(slots=True)
class Result:
    """``images`` are of the regions asked for, in that order. ``built`` is None when no build was needed."""

    policy: Policy
    images: list[Image] = field(default_factory=list)
    built: Built | None = None
    copied: list[str] = field(default_factory=list)
    seconds: float = 0.0
    times: dict[str, float] = field(default_factory=dict)
    """Seconds of these that were Packer's, and the build host's."""

    @property
    def nothing(self) -> bool:
        return self.built is None and not self.copied

    def data(self) -> dict[str, Any]:
        """The result as JSON data."""
        built = self.built
        return {
            "profile": self.policy.profile,
            "digest": self.policy.digest,
            "done": "nothing" if self.nothing else "baked" if built else "copied",
            "images": [image.data() for image in self.images],
            "copied": self.copied,
            "parent": {"id": built.parent.id, "why": built.parent.why} if built else None,
            "client": built.client.kind if built else "",
            "smoke": [check.data() for check in built.checks] if built else [],
            "seconds": round(self.seconds, 2),
            "packer_seconds": round(self.times.get("packer", 0.0), 2),
            "machine_seconds": round(self.times.get("machine", 0.0), 2),
        }


def run(
    loaded: Loaded,
    profile: str,
    regions: Sequence[str],
    *,
    force: bool,
    session: Session,
    progress: Progress | None,
    cancel: proc.Cancel | None,
    options: Options,
) -> Result:
    """The profile's image in each of ``regions`` (none: where its machines are), made or copied where it lacks.

    ``progress`` gets (region, event). Raises PolicyError before anything is started, ToolMissing, StateLocked when the
    same digest is being baked, ToolFailed for a failed converge or smoke test, CloudError for AWS, Interrupted.
    """
    began = time.monotonic()
    policy, wanted = prepare(loaded, profile, regions)
    result = Result(policy)
    cluster, everywhere = loaded.cluster.cluster, needs_aws(loaded).regions
    known = store.images(session, cluster, everywhere)
    if not force and not _missing(known, policy, wanted):
        result.images = _chosen(known, policy, wanted)
        result.seconds = time.monotonic() - began
        return result
    if not session.local:
        session.guard()
    say, stop = progress or _silent, cancel or proc.Cancel()
    source = None if force else next(iter(_good(known, policy)), None)
    region = wanted[0] if source is None else source.region
    mine = lock.owner(region, ledger.ami_name(cluster, profile, policy.digest, datetime.now(UTC)))
    with ThreadPoolExecutor(2, thread_name_prefix="bake") as beside:
        parsed = beside.submit(syntax.check, policy)
        found = beside.submit(_tool, session, region, stop) if source is None else None
        with lock.held(session, cluster, profile, policy.digest, mine) as former:
            parsed.result()
            tool = found.result() if found is not None else None
            _clear(session, former, cluster, say)
            if tool is not None:
                job = build.Build(
                    loaded, policy, session, region, mine, options, stop, say, images=tuple(known), fresh=force
                )
                result.built = job.run(tool)
                source = result.built.image
                result.times = job.times
                known = [source] if force else [source, *known]
            assert source is not None
            _spread(session, source, _missing(known, policy, wanted), stop, say, result)
    result.images = _chosen([*result.images, *known], policy, wanted)
    result.seconds = time.monotonic() - began
    return result


def for_plan(site: Site, quiet: bool, sink: Progress | None = None) -> Callable[[ImageStep], Sequence[Image]]:
    """What bakes the steps of a plan; ``sink`` gets (region, event), unless ``quiet``."""

    def one(step: ImageStep) -> Sequence[Image]:
        def told(region: str, event: dict[str, Any]) -> None:
            if sink is not None and not quiet:
                sink(region, {"profile": step.profile, **event})

        done = run(
            site.loaded,
            step.profile,
            step.regions,
            force=False,
            session=site.session,
            progress=told,
            cancel=site.cancel,
            options=Options(),
        )
        return done.images

    return one


def prepare(loaded: Loaded, profile: str, regions: Sequence[str] = ()) -> tuple[Policy, list[str]]:
    """The policy, and the regions that need its image. Raises before anything is asked of AWS."""
    aws = needs_aws(loaded)
    policy = of(loaded, profile)
    named = loaded.cluster.profiles[profile].image
    if named is not None:
        raise UsageError(
            f"the profile {profile} is not baked: it uses {named} as it is",
            where=loaded.where("profiles", profile, "image"),
            fix="remove image: from the profile to have one baked",
        )
    strange = [name for name in regions if name not in aws.regions]
    if strange:
        raise UsageError(
            f"the cluster is not in {', '.join(strange)}",
            where=loaded.where("aws", "regions"),
            why=f"its regions are: {', '.join(aws.regions)}",
            fix="name one of them, or add it to aws.regions",
        )
    return policy, list(dict.fromkeys(regions)) or builder.regions_of(loaded.cluster, profile)


def _tool(session: Session, region: str, stop: proc.Cancel) -> packer.Packer:
    """Packer, and on the embedded AWS the machine that it needs: what lacks is said before anything is done."""
    if session.local:
        build_host.require_up()
    return packer.find(build.environment(session, region), stop)


def _good(known: Sequence[Image], policy: Policy) -> list[Image]:
    mine = [image for image in known if (image.profile, image.digest) == (policy.profile, policy.digest)]
    return ledger.newest(image for image in mine if image.usable)


def _missing(known: Sequence[Image], policy: Policy, wanted: Sequence[str]) -> list[str]:
    there = {image.region for image in _good(known, policy)}
    return [region for region in wanted if region not in there]


def _chosen(known: Sequence[Image], policy: Policy, wanted: Sequence[str]) -> list[Image]:
    good = _good(known, policy)
    found = (next((image for image in good if image.region == region), None) for region in wanted)
    return [image for image in found if image is not None]


def _spread(
    session: Session, source: Image, missing: list[str], stop: proc.Cancel, say: Progress, result: Result
) -> None:
    """Copy to the regions that lack it. What worked stays, whatever a region refuses."""
    if not missing:
        return
    copied = copies.copy(session, source, missing, stop, say)
    result.copied = [image.region for image in copied.images]
    result.images += copied.images
    if copied.failed:
        raise copies.failure(source, copied.failed, copied.images)


def _clear(session: Session, former: lock.Owner | None, cluster: str, say: Progress) -> None:
    """Bakes that died: what they left goes first. ``former`` is the one whose lock we took over."""
    for parameter, dead in [*([("", former)] if former else []), *lock.abandoned(session, cluster)]:
        swept = sweep.sweep(session, dead.region, dead.id, dead.name)
        text = f"an earlier bake ({dead.who}, since {dead.since}) died; removed what it left: "
        say(dead.region, {"type": "bake_note", "text": text + (", ".join(map(str, swept)) or "nothing")})
        if parameter:
            lock.forget(session, parameter)


def _silent(_region: str, _event: dict[str, Any]) -> None:
    return None
