"""What machines that pull are to be: ``promoted/<profile>.json`` beside the archives, one for all regions.

A machine compares it with what it is, and fetches ``policies/<digest>.tar``. So the archive is put there first, and the
pointer is written last, whole or not at all.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from infra.cloud import aws_s3
from infra.cloud.aws import Session
from infra.errors import CloudError, Refused
from infra.image import shelf
from infra.image.ledger import SHORT
from infra.policy.model import Policy
from infra.spec.models import Cluster

FOLDER = "promoted"


@dataclass(frozen=True, slots=True)
class Promoted:
    """The policy of a profile that machines fetch: who wrote that, when (UTC ISO), and where it stands."""

    profile: str
    digest: str
    who: str
    when: str
    url: str = ""

    def text(self) -> str:
        return json.dumps({"digest": self.digest, "when": self.when, "who": self.who}, indent=2, sort_keys=True) + "\n"

    def data(self) -> dict[str, Any]:
        return {
            "profile": self.profile,
            "digest": self.digest,
            "who": self.who,
            "when": self.when,
            "url": self.url,
        }


@dataclass(frozen=True, slots=True)
class Move:
    """``before`` is None where nothing was promoted, or nothing that can be read."""

    after: Promoted
    before: Promoted | None = None

    @property
    def moved(self) -> bool:
        return self.before is None or self.before.digest != self.after.digest

    def data(self) -> dict[str, Any]:
        before = self.before.data() if self.before else None
        return {"before": before, "after": self.after.data(), "moved": self.moved}


def read(session: Session, cluster: Cluster, profile: str) -> Promoted | None:
    """What is promoted; None where nothing is, or what stands there is damaged."""
    place, key = shelf.shelf(session, cluster), f"{FOLDER}/{profile}.json"
    found = aws_s3.read(session, place.region, place.bucket, place.prefix + key)
    try:
        said = json.loads(found.body) if found else None
    except ValueError:
        said = None
    if not isinstance(said, dict) or len(str(said.get("digest", ""))) != 64:
        return None
    texts = {name: str(said.get(name) or "") for name in ("digest", "who", "when")}
    return Promoted(profile, **texts, url=place.url(key))


def publish(session: Session, cluster: Cluster, policy: Policy, who: str, when: str) -> Move:
    """Put the policy's archive into the ledger's bucket and let the machines of its profile fetch it."""
    shelf.put_policy(session, cluster, policy.digest, policy.archive())
    return _write(session, cluster, Promoted(policy.profile, policy.digest, who, when))


def point(session: Session, cluster: Cluster, profile: str, digest: str, who: str, when: str) -> Move:
    """Let the machines of a profile fetch a policy whose archive is there already. Raises Refused when it is not."""
    place, key = shelf.shelf(session, cluster), f"policies/{digest}.tar"
    if aws_s3.size(session, place.region, place.bucket, place.prefix + key) is None:
        raise Refused(
            f"the archive of the policy {digest[:SHORT]} is not in the ledger's bucket",
            where=place.url(key),
            why="machines that pull would look for it there",
            fix=f"publish the policy that the file describes: infra policy publish {profile}",
        )
    return _write(session, cluster, Promoted(profile, digest, who, when))


def follow(session: Session, cluster: Cluster, moves: Iterable[tuple[str, str]], who: str, when: str) -> list[Move]:
    """After images of (profile, digest) were promoted: the same for machines that pull. Nothing where none does."""
    if cluster.converge.pull is None:
        return []
    return [point(session, cluster, profile, digest, who, when) for profile, digest in dict.fromkeys(moves)]


def resolve(session: Session, cluster: Cluster, digest: str) -> str:
    """The whole digest of an archive that is there, from its first digits. Raises Refused for none, or several."""
    place = shelf.shelf(session, cluster)
    keys = aws_s3.keys(session, place.region, place.bucket, f"{place.prefix}policies/{digest}")
    found = [key.rpartition("/")[2].removesuffix(".tar") for key in keys]
    if len(found) != 1:
        raise Refused(
            f"{len(found) or 'no'} archives of policies begin with {digest}",
            where=place.url("policies/"),
            why=", ".join(item[:16] for item in found[:5]),
            fix="give more of its digits; infra node reports --json has those of machines",
        )
    return found[0]


def _write(session: Session, cluster: Cluster, wanted: Promoted) -> Move:
    """The same digest again changes nothing: machines ask for the object only when it was written."""
    place, key = shelf.ensure(session, cluster), f"{FOLDER}/{wanted.profile}.json"
    after = Promoted(wanted.profile, wanted.digest, wanted.who, wanted.when, place.url(key))
    before = read(session, cluster, wanted.profile)
    if before is not None and before.digest == after.digest:
        return Move(before, before)
    try:
        aws_s3.write(session, place.region, place.bucket, place.prefix + key, after.text().encode())
    except CloudError as error:
        problem = error.problems[0]
        raise type(error)(
            f"what machines of {wanted.profile} pull was not moved: {problem.what}",
            where=after.url,
            why=problem.why,
            fix=problem.fix or "run the same command again",
        ) from error
    return Move(after, before)
