"""``infra doctor``: is everything there that this cluster needs? One line a check, each with what to do.

The checks of the machine need neither a network nor a ``cluster.yaml``; those of the account run side by side, each
with a deadline, and one that cannot be made says so instead of stopping the others.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from infra.cloud.checkup import account, machine
from infra.cloud.checkup.check import Check, wrong
from infra.errors import InfraError
from infra.spec.load import Loaded
from infra.spec.models import Cluster


def examine(file: Path, endpoint: str | None) -> list[Check]:
    """Every check, in the order to read them. Raises nothing of its own: what goes wrong is a check's line."""
    loaded, checks = read(file, endpoint)
    cluster = loaded.cluster if loaded else None
    checks = [*machine.examine(cluster, file), *checks]
    if loaded is not None and loaded.cluster.aws is not None:
        checks += account.examine(loaded)
    return checks


def read(file: Path, endpoint: str | None) -> tuple[Loaded | None, list[Check]]:
    """The cluster if there is one, and whether it is valid."""
    from infra.spec.load import load
    from infra.spec.rules import check

    if not file.exists():
        what = f"no {file}: only this machine is checked"
        return None, [Check("file", "skip", what, "write one: infra init")]
    try:
        loaded = load(file, endpoint)
    except InfraError as error:
        return None, [wrong(error.problems, "file", "fail", f"see all of it: infra validate -f {file}")]
    found = check(loaded)
    errors = [problem for problem in found if problem.level == "error"]
    if errors:
        return loaded, [wrong(errors, "file", "fail", f"see all of it: infra validate -f {file}")]
    if found:
        return loaded, [wrong(found, "file", "warn", f"see all of it: infra validate -f {file}")]
    return loaded, [Check("file", "ok", f"{file} is valid: cluster {loaded.cluster.cluster}{_parts(loaded.cluster)}")]


def healthy(checks: Iterable[Check]) -> bool:
    return all(check.status != "fail" for check in checks)


def data(checks: Sequence[Check]) -> dict[str, Any]:
    return {"healthy": healthy(checks), "checks": [check.data() for check in checks]}


def _parts(cluster: Cluster) -> str:
    counts = {
        "region": len(cluster.aws.regions) if cluster.aws else 0,
        "pool": len(cluster.pools),
        "host": len(cluster.hosts),
        "metal group": len(cluster.metal),
    }
    said = [f"{count} {name}{'s' if count > 1 else ''}" for name, count in counts.items() if count]
    return f", {', '.join(said)}" if said else ""
