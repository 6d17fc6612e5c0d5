"""What a plan has to say of running machines: one look at each, side by side, and what is due."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from infra import policy
from infra.cloud.applying import AGAIN
from infra.cloud.work import who
from infra.errors import InfraError, Interrupted, Problem, Refused
from infra.node.bring.floor import ordered
from infra.node.inventory import listing
from infra.node.inventory.look import Look, look
from infra.node.model import Kind, Node
from infra.node.plan.due import Part as Becomes
from infra.node.plan.due import due
from infra.node.ssh.fleet import Connection, Fleet
from infra.plan.model import NodeStep, Plan, Silent
from infra.policy.model import Policy
from infra.spec.load import Loaded
from infra.spec.models import Cluster


@dataclass(frozen=True, slots=True)
class Found:
    """``steps`` in the order of the file; ``settled`` are as it wants them; ``silent`` could not be looked at."""

    steps: tuple[NodeStep, ...] = ()
    settled: tuple[str, ...] = ()
    silent: tuple[Silent, ...] = ()


Part = tuple[Kind, str]
"""A kind of machine and the name of its group: a host and a group of metal may have one name."""


def covers(cluster: Cluster, regions: Sequence[str] = (), only: Sequence[str] = ()) -> tuple[Part, ...]:
    """The groups of machines that a plan of these parts is about.

    Metal and hosts are brought up to date where they stand; machines of a pool are replaced by newer ones. Physical
    machines are in no region: a plan of some regions leaves them out.
    """
    found: list[Part] = []
    for group, metal in cluster.metal.items():
        if not regions and (not only or f"metal.{group}" in only) and _converged(cluster, metal.profile):
            found.append(("metal", group))
    for name, host in cluster.hosts.items():
        here = not regions or set(cluster.host_region(host)) & set(regions)
        if here and (not only or f"hosts.{name}" in only) and _converged(cluster, host.profile):
            found.append(("host", name))
    return tuple(found)


def patterns(parts: Sequence[Part]) -> list[str]:
    """What to ask the inventory for, so that it asks AWS only where one of them may be."""
    return [f"group:{group}" for _, group in parts]


def among(cluster: Cluster, nodes: Iterable[Node], parts: Sequence[Part], regions: Sequence[str]) -> list[Node]:
    """Those of ``nodes`` that are meant. An instance of the embedded AWS is a machine only if one stands in for it."""
    meant = [node for node in nodes if (node.kind, node.group) in parts and (not regions or node.region in regions)]
    if not cluster.local:
        return meant
    real = seats()
    return [node for node in meant if node.kind == "metal" or node.address in real]


def seats() -> set[str]:
    """The addresses of the machines that stand in for instances of the embedded AWS."""
    from infra.local import nodes

    return {seat.address for found in nodes.read().values() for seat in found}


def _converged(cluster: Cluster, profile: str) -> bool:
    """A profile without a run-list, or with an image of the lab's own, is nothing that infra makes of a machine."""
    found = cluster.profiles.get(profile)
    return found is not None and bool(found.run_list) and not found.image


def policies(loaded: Loaded, nodes: Sequence[Node]) -> dict[str, Policy]:
    """By profile. Raises PolicyError when one cannot be made."""
    return {profile: policy.of(loaded, profile) for profile in dict.fromkeys(node.profile for node in nodes)}


def find(loaded: Loaded, nodes: Sequence[Node], fleet: Fleet) -> Found:
    """Look at all of them. One that does not answer hides nothing of the others. Raises PolicyError, Interrupted."""
    if not nodes:
        return Found()
    made = policies(loaded, nodes)

    def one(connection: Connection) -> Look:
        return look(connection, drift=True, health=False)

    said = fleet.each(nodes, one)
    steps, settled, silent = [], [], []
    for node in ordered(loaded, nodes):
        seen = said[node.name]
        if isinstance(seen, Interrupted):
            raise seen
        if not isinstance(seen, Look):
            silent.append(Silent(node.name, why_silent(node, seen), seen.problems[0].fix))
        elif seen.busy and not _ours(seen, made[node.profile]):
            silent.append(Silent(node.name, f"somebody converges it now ({seen.busy})", "plan again when that is done"))
        elif step := _due(loaded.cluster, node, seen, made[node.profile]):
            steps.append(step)
        else:
            settled.append(node.name)
    return Found(tuple(steps), tuple(settled), tuple(silent))


def _due(cluster: Cluster, node: Node, seen: Look, wanted: Policy) -> NodeStep | None:
    return due(node, seen, wanted, at_once(cluster, node), becomes(cluster, node, wanted))


def becomes(cluster: Cluster, node: Node, wanted: Policy) -> Becomes:
    """What a physical machine is to be in Kubernetes; "" for one that has no cluster, or no software for it."""
    has = cluster.kubernetes is not None and (cluster.api or cluster.cloud_plane is not None)
    if not has or node.kind != "metal" or not any(name.split("::")[0] == "kubernetes" for name in wanted.recipes):
        return ""
    return "control-plane" if node.name in {host.short for _, host in cluster.plane_hosts} else "node"


def why_silent(node: Node, error: InfraError) -> str:
    """Why it could not be looked at, without its name and address: equal reasons are shown once."""
    text = listing.reason(error)
    for own in (f"{node.login}: ", f"{node.name} ", f"{node.address} "):
        text = text.replace(own, "")
    return text


def _ours(seen: Look, wanted: Policy) -> bool:
    """Whether what converges it now is what an apply of ours began there: the next one goes on with it."""
    job = seen.job
    return (job.get("who"), job.get("digest"), job.get("mode")) == (who(), wanted.digest, "converge")


def at_once(cluster: Cluster, node: Node) -> int:
    """How many machines of its group may be away at a time: people work on a host, so one."""
    return cluster.metal[node.group].at_a_time() if node.kind == "metal" else 1


def moved(plan: Plan, fresh: Found) -> list[Problem]:
    """What of the machines is no longer as the plan saw it."""
    problems = []
    now: Mapping[str, NodeStep] = {step.node: step for step in fresh.steps}
    why = {silent.node: silent.why for silent in fresh.silent}
    for step in plan.nodes:
        found = now.get(step.node)
        if step.node in why:
            problems.append(Problem(f"{step.node}: cannot be looked at any more", why=why[step.node], fix=AGAIN))
        elif found is None:
            problems.append(Problem(f"{step.node}: is already as wanted", fix=AGAIN))
        elif found.digest != step.digest:
            said = f"{step.digest[:12]} → {found.digest[:12]}"
            problems.append(Problem(f"{step.node}: the policy of {step.profile} changed: {said}", fix=AGAIN))
        elif found.seen != step.seen:
            problems.append(Problem(f"{step.node}: was changed by somebody", why="; ".join(found.reasons), fix=AGAIN))
    return problems


def refuse_unknown(names: Sequence[str], nodes: Sequence[Node]) -> None:
    """Raise Refused when a machine of the plan is not there any more."""
    gone = sorted(set(names) - {node.name for node in nodes})
    if gone:
        raise Refused(f"{', '.join(gone)}: not a machine of this cluster any more", fix=AGAIN)
