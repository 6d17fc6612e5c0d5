"""``infra policy``: what a profile becomes, and what changed between two of them."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING

import click

from infra.cli import policy_publish
from infra.cli.common import emit, output_option, spec_options

if TYPE_CHECKING:
    from infra.policy import Policy
    from infra.policy.difference import Side
    from infra.spec.load import Loaded

EPILOG = """\b
Examples:
  infra policy show gpu                    run-list, versions and digest
  infra policy diff gpu@3 gpu              what changed since apply 3
  infra policy build gpu -o gpu.tar        the archive, as machines get it
  infra policy publish gpu                 let machines that pull fetch it
"""
SHOW = """\b
Examples:
  infra policy show                        every profile
  infra policy show gpu --attributes       with all that the cookbooks read
  infra policy show gpu --json | jq -r '.policies[0].digest'
"""
DIFF = """\b
Examples:
  infra policy diff 89e71d7d4bab           from that policy to its profile as it is now
  infra policy diff gpu@3 gpu --patch      since apply 3, with the changed lines of cookbooks
  infra policy diff gpu cpu
"""
BUILD = """\b
Example:
  infra policy build gpu -o gpu.tar && sha256sum gpu.tar      the sum is the digest
"""


@click.group("policy", epilog=EPILOG)
def command() -> None:
    """What a profile becomes: cookbooks, roles and attributes in one archive, named by its sha256.

    The same archive is baked into images and sent to physical machines. docs/policy.md says what is in it.
    """


command.add_command(policy_publish.command)


@command.command("show", epilog=SHOW, short_help="Run-list, versions, layers and digest.")
@click.argument("profile", required=False, default="")
@spec_options
@click.option("--attributes", is_flag=True, help="Show node.json too.")
def show(profile: str, file: Path, endpoint: str | None, as_json: bool, attributes: bool) -> int:
    """Show the policy of PROFILE, or of every profile: run-list, versions, layers, digest.

    Exit code 0: shown; 1: an error in cluster.yaml, a cookbook or a role, with its file and line.
    """
    from infra.policy import of
    from infra.spec.load import read

    loaded, _ = read(file, endpoint)
    found = [_kept(loaded, of(loaded, name)) for name in ([profile] if profile else loaded.cluster.profiles)]
    if as_json:
        emit({"format": 1, "cluster": loaded.cluster.cluster, "policies": [policy.data() for policy in found]})
        return 0
    from infra.ui import policy_view

    policy_view.show(found, loaded.path.resolve().parent, attributes)
    return 0


@command.command("diff", epilog=DIFF, short_help="What changed between two of them.")
@click.argument("old", metavar="A")
@click.argument("new", metavar="[B]", required=False, default="")
@spec_options
@click.option("-p", "--patch", is_flag=True, help="Show the changed lines of files.")
def diff(old: str, new: str, file: Path, endpoint: str | None, as_json: bool, patch: bool) -> int:
    """Show what changed from A to B: versions, run-list, attributes, cookbooks and their files.

    A and B are profiles, digests (12 digits are enough), or PROFILE@N, the profile in the cluster.yaml of apply N with
    the cookbooks as they are now. B left out is A's profile as it is now. Exit code 0: nothing; 2: there is a
    difference; 1: an error.
    """
    from infra.policy.difference import compare
    from infra.spec.load import load

    loaded = load(file, endpoint)
    before = _side(loaded, old)
    found = compare(before, _side(loaded, new or before.profile), patches=patch)
    if as_json:
        emit(found.data())
    else:
        from infra.ui import policy_view

        policy_view.diff(found)
    return 0 if found.same else 2


@command.command("build", epilog=BUILD, short_help="Write the archive.")
@click.argument("profile")
@spec_options
@output_option("PROFILE.tar")
def build(profile: str, file: Path, endpoint: str | None, as_json: bool, output: Path | None) -> int:
    """Write the archive of PROFILE's policy: a tar whose sha256 is the digest, whoever writes it and wherever.

    Ruby, where there is one, reads every cookbook first. Exit code 0: written; 1: an error.
    """
    from infra import files
    from infra.image import syntax
    from infra.policy import of
    from infra.spec.load import read

    loaded, _ = read(file, endpoint)
    policy = of(loaded, profile)
    checked = syntax.check(policy)
    path = output or Path(f"{profile}.tar")
    files.write_bytes(path, policy.archive())
    if as_json:
        emit({"format": 1, "file": str(path), "bytes": len(policy.archive()), "checked": checked, **policy.data()})
        return 0
    note = "" if checked else " Its Ruby was not checked: there is no ruby here."
    click.echo(f"Wrote {path}: {len(policy.archive())} bytes, {len(policy.contents)} files, {policy.digest}.{note}")
    return 0


def _work(loaded: Loaded) -> Path:
    from infra.cloud.work import Work

    return Work.of(loaded.cluster, loaded.path).folder


def _kept(loaded: Loaded, policy: Policy) -> Policy:
    """Keep the archive for a later diff; showing one does not depend on that."""
    from infra.errors import FileError
    from infra.policy import cache

    with contextlib.suppress(FileError):
        cache.keep(_work(loaded), policy)
    return policy


def _side(loaded: Loaded, name: str) -> Side:
    """One side of a diff. Raises UsageError when the name stands for nothing."""
    from infra.errors import UsageError
    from infra.policy import cache, of
    from infra.policy.difference import side

    profile, at, number = name.partition("@")
    if at:
        return side(name, of(_earlier(loaded, number), profile).archive())
    if name in loaded.cluster.profiles:
        return side(name, _kept(loaded, of(loaded, name)).archive())
    if cache.is_digest(name):
        return side(name, cache.find(_work(loaded), name, lambda digest: _fetch(loaded, digest)))
    profiles = ", ".join(loaded.cluster.profiles) or "none"
    raise UsageError(
        f"{name!r} is neither a profile nor a digest",
        where=loaded.where("profiles"),
        why=f"the profiles are: {profiles}; a digest is written with 4 digits of 0-9a-f or more",
        fix="name a profile, a digest, or PROFILE@N (infra log shows the numbers)",
    )


def _earlier(loaded: Loaded, number: str) -> Loaded:
    """The file as it was at apply N, at the place where it is now."""
    from infra.cloud.journal import history, records
    from infra.spec.load import load

    past = history.of(loaded)
    record = records.pick(past.read(), number, str(past.work.records))
    return load(loaded.path, text=record.spec_text)


def _fetch(loaded: Loaded, digest: str) -> bytes | None:
    """The archive of an image's policy, from the ledger in AWS; None where there is none."""
    wanted = loaded.cluster.aws
    if wanted is None:
        return None
    url = None
    if loaded.cluster.local:
        from infra.local import control

        found = control.status()
        if not found.running:
            return None  # everything that was in it is gone
        url = found.url
    from infra.cloud import aws
    from infra.image import store

    session = aws.session(wanted, url)
    known = {image.digest for image in store.images(session, loaded.cluster.cluster, wanted.regions)}
    whole = [item for item in known if item.startswith(digest)] or ([digest] if len(digest) == 64 else [])
    return store.get_policy(session, loaded.cluster, whole[0]) if len(whole) == 1 else None
