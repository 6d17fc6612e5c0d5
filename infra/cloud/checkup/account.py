"""The doctor's checks of the account: who we are, what is allowed, and whether it is enough for the cluster."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime

from infra.cloud import aws, aws_facts, aws_s3, locks, remote_state
from infra.cloud.aws import Session
from infra.cloud.aws_facts import RegionState
from infra.cloud.checkup.check import Check, Status, guarded, side_by_side, wrong
from infra.cloud.project.links import linked
from infra.cloud.work import Work
from infra.errors import AccessDenied, InfraError, Problem
from infra.plan.model import LINKS
from infra.spec.catalog import InstanceType
from infra.spec.facts import Facts
from infra.spec.load import Loaded
from infra.spec.models import Cluster, S3State

SKEW_REFUSED = 300.0  # AWS refuses a request whose time is further off
SKEW_WARNED = 60.0
SOON = 30 * 60.0  # credentials that end sooner may not last an apply


def examine(loaded: Loaded) -> list[Check]:
    """All of them. What needs credentials is skipped when there are none that work."""
    cluster = loaded.cluster
    assert cluster.aws is not None
    left = _left_over(loaded)
    try:
        session = _session(loaded)
    except InfraError as error:
        return [wrong(error.problems, "endpoint", "fail"), *left]
    if session is None:
        what = "the embedded AWS is not running: infra plan starts it"
        return [Check("credentials", "skip", what, "start it now: infra local up"), *left]
    found = guarded("credentials", lambda: credentials(session), deadline=90)
    if any(check.status == "fail" for check in found):
        rest = Check("cloud", "skip", "regions, quotas and state were not checked", "mend the credentials first")
        return [*found, rest, *left]
    return [*found, *_account(session, loaded), *left]


def credentials(session: Session) -> list[Check]:
    """Who we are, for how long, in which account, and whether the clocks agree."""
    who = session.identity()
    found = [Check("credentials", "ok", f"{who.arn}{f' (profile {session.profile})' if session.profile else ''}")]
    if session.local:
        return found
    found += [*_expiry(session.expiry()), *_guard(session), *_clock(who.skew)]
    return found


def _expiry(moment: datetime | None) -> list[Check]:
    if moment is None:
        return []
    left = (moment - datetime.now(UTC)).total_seconds()
    said = f"the credentials last {left / 60:.0f} minutes more"
    if left < SOON:
        return [Check("expiry", "warn", f"{said}: an apply may take longer", "renew them first: aws sso login")]
    return [Check("expiry", "ok", said)]


def _guard(session: Session) -> list[Check]:
    if not session.aws.account:
        return []
    try:
        session.guard()
    except InfraError as error:
        return [wrong(error.problems, "account", "fail")]
    return [Check("account", "ok", f"account {session.aws.account}, as cluster.yaml says")]


def _clock(skew: float | None) -> list[Check]:
    if skew is None:
        return []
    said = f"this machine's clock is {abs(skew):.0f} s {'behind' if skew > 0 else 'ahead'}"
    fix = "set it: timedatectl set-ntp true"
    if abs(skew) >= SKEW_REFUSED:
        return [Check("clock", "fail", f"{said}; AWS refuses more than 5 minutes", fix)]
    if abs(skew) >= SKEW_WARNED:
        return [Check("clock", "warn", said, fix)]
    return [Check("clock", "ok", "the clock agrees with AWS's")]


def _session(loaded: Loaded) -> Session | None:
    """None when the embedded AWS is meant and does not run: to look is no reason to start it."""
    spec = loaded.cluster.aws
    assert spec is not None
    if not loaded.cluster.local:
        return aws.session(spec, limits=aws.QUICK)
    from infra.local import control

    status = control.status()
    return aws.session(spec, status.url, aws.QUICK) if status.running else None


def _account(session: Session, loaded: Loaded) -> list[Check]:
    """Everything per region, side by side; the rules then see all that could be learnt."""
    cluster = loaded.cluster
    assert cluster.aws is not None
    known: dict[str, RegionState] = {}
    found = guarded("regions", lambda: _regions(session, known))
    learnt = Learnt()
    jobs: list[Callable[[], list[Check]]] = []
    for region in cluster.aws.regions:
        state = known.get(region)
        if known and (state is None or not state.enabled):
            found.append(_not_enabled(region, state))
            continue
        for name, job in learnt.jobs(session, cluster, region).items():
            jobs.append(functools.partial(_soft, name, job, region))
    bucket = cluster.state.s3
    if bucket is not None:
        jobs.append(lambda: guarded("state", lambda: state_bucket(session, bucket)))
        projects = [*cluster.aws.regions, *([LINKS] if linked(cluster) else [])]
        jobs += [functools.partial(_s3_lock, session, cluster, name) for name in projects]
    return [*found, *side_by_side(jobs), *_rules(loaded, learnt)]


def _soft(name: str, job: Callable[[], Sequence[Check]], region: str) -> list[Check]:
    """A check that cannot be made fails only where the cluster cannot be made either: the region does not answer."""

    def run() -> list[Check]:
        try:
            return list(job())
        except AccessDenied as error:
            return [wrong(error.problems, name, "warn", region=region)]

    return guarded(name, run, region=region, status="fail" if name == "region" else "warn")


def _regions(session: Session, known: dict[str, RegionState]) -> list[Check]:
    known.update(aws_facts.regions(session))
    return []


def _not_enabled(region: str, state: RegionState | None) -> Check:
    if state is None:
        return Check("region", "fail", f"AWS knows no region {region}", "correct aws.regions", region=region)
    fix = f"enable it: aws account enable-region --region-name {region}, or leave it out of aws.regions"
    return Check("region", "fail", f"{region} is not enabled for this account", fix, region=region)


class Learnt:
    """What the checks find out on the way, for the rules."""

    def __init__(self) -> None:
        self.types: list[InstanceType] = []
        self.offers: dict[str, dict[str, list[str]]] = {}
        self.quotas: dict[str, dict[str, int]] = {}
        self.used: dict[str, dict[str, int]] = {}
        self.keys: dict[str, frozenset[str]] = {}

    def jobs(self, session: Session, cluster: Cluster, region: str) -> dict[str, Callable[[], list[Check]]]:
        """The checks of one region by name; the embedded AWS has no quotas and no types but those that ship."""
        jobs: dict[str, Callable[[], list[Check]]] = {"region": lambda: self._reach(session, cluster, region)}
        if not session.local:
            jobs["types"] = lambda: self._types(session, cluster, region)
            jobs["quotas"] = lambda: self._quotas(session, cluster, region)
            jobs["rooms"] = lambda: rooms(session, cluster, region)
        return jobs

    def facts(self) -> Facts:
        live = aws_facts.overlay(self.types, self.offers) if self.offers else None
        return Facts(live, self.quotas, self.used, self.keys)

    def _reach(self, session: Session, cluster: Cluster, region: str) -> list[Check]:
        zones = aws_facts.zones(session, region)
        self.keys[region] = aws_facts.key_pairs(session, region, cluster.cluster)
        if len(zones) < cluster.network.zones and region not in cluster.network.existing:
            what = f"{region} has {len(zones)} zones for you, cluster.yaml wants {cluster.network.zones}"
            return [Check("region", "fail", what, f"write network.zones: {len(zones)}", region=region)]
        return [Check("region", "ok", f"{region} answers: {len(zones)} zones", region=region)]

    def _types(self, session: Session, cluster: Cluster, region: str) -> list[Check]:
        wanted = aws_facts.types_wanted(cluster).get(region, set())
        if not wanted:
            return []
        self.types += aws_facts.instance_types(session, region, wanted)
        self.offers[region] = aws_facts.offerings(session, region)
        return [Check("types", "ok", f"{len(wanted)} instance types looked up", region=region)]

    def _quotas(self, session: Session, cluster: Cluster, region: str) -> list[Check]:
        self.quotas[region] = aws_facts.vcpu_quotas(session, region)
        self.used[region] = aws_facts.vcpus_used(session, region, cluster.cluster)
        shown = {key: f"{self.used[region].get(key, 0)} of {value}" for key, value in self.quotas[region].items()}
        named = ", ".join(f"{key} {text}" for key, text in shown.items() if key.split(":")[1] in ("standard", "g", "p"))
        return [Check("quotas", "ok", f"vCPUs used by others: {named or 'none known'}", region=region)]


def rooms(session: Session, cluster: Cluster, region: str) -> list[Check]:
    """Whether the VPC and the NAT gateways' addresses still fit. One of ours that is there already is counted twice:
    so too little room is a warning only."""
    found = aws_facts.rooms(session, region)
    new = region not in cluster.network.existing
    nats = {"none": 0, "one": 1, "per-zone": cluster.network.zones}[cluster.network.nat]
    wanted: Mapping[str, int] = {"vpcs": int(new), "addresses": nats if new else 0}
    checks = []
    for name, room in found.items():
        status: Status = "warn" if room.used + wanted[name] > room.allowed else "ok"
        service, code = aws_facts.OTHER_CODES[name]
        fix = (
            f"aws service-quotas request-service-quota-increase --region {region} --service-code {service} "
            f"--quota-code {code} --desired-value {room.used + wanted[name]}, or remove what is not needed"
        )
        what = f"{name}: {room.used} of {room.allowed} used, {wanted[name]} wanted"
        checks.append(Check(name, status, what, fix if status == "warn" else "", region=region))
    return checks


def state_bucket(session: Session, state: S3State) -> Check:
    found = aws_s3.find(session, state.region, state.bucket)
    if found is None:
        return Check("state", "ok", f"the state bucket s3://{state.bucket} is not there yet: infra plan makes it")
    if found.region != state.region:
        what = f"the state bucket {state.bucket} is in {found.region}, not in {state.region}"
        return Check("state", "fail", what, f"write region: {found.region} in state.s3")
    missing = remote_state.lacks(session, state)
    if missing:
        what = f"the state bucket s3://{state.bucket} lacks {' and '.join(missing)}"
        return Check("state", "warn", what, "turn it on for that bucket")
    return Check("state", "ok", f"the state bucket s3://{state.bucket} is there, versioned and private")


def _s3_lock(session: Session, cluster: Cluster, region: str) -> list[Check]:
    def look() -> list[Check]:
        lock = locks.s3_lock(session, cluster, region)
        return [_locked(lock)] if lock is not None else []

    return guarded("lock", look, region=region)


def _left_over(loaded: Loaded) -> list[Check]:
    """Locks on this machine."""
    work = Work.of(loaded.cluster, loaded.path)
    assert loaded.cluster.aws is not None
    projects = (*loaded.cluster.aws.regions, LINKS)
    here = [locks.run_lock(work)] + [locks.state_lock(work.region(name), name) for name in projects]
    return [_locked(lock) for lock in here if lock is not None]


def _locked(lock: locks.Lock) -> Check:
    who = f"{lock.operation} by {lock.who}"
    if lock.alive:
        return Check("lock", "warn", f"{who} is at work now", "wait for it to end", region=lock.region)
    if not lock.blocks:
        return Check("lock", "ok", f"{who} did not end well; its lock stops nobody", region=lock.region)
    return Check("lock", "warn", f"{who} left a lock behind: {lock.place}", "infra unlock", region=lock.region)


def _rules(loaded: Loaded, learnt: Learnt) -> list[Check]:
    """What the rules say now that more is known than the file alone told."""
    from infra.spec.rules import check

    before = {(problem.rule, problem.where) for problem in check(loaded)}
    fresh = [problem for problem in check(loaded, learnt.facts()) if (problem.rule, problem.where) not in before]
    return [_ruled(problem) for problem in fresh]


def _ruled(problem: Problem) -> Check:
    return wrong([problem], problem.rule, "fail" if problem.level == "error" else "warn")
