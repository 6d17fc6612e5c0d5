"""One build by Packer, from a rendered project to an AMI with its tags; and nothing else left when it ends."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from infra import proc
from infra.cloud.aws import Session
from infra.cloud.project.images import ARCHITECTURES
from infra.cloud.work import Work, who
from infra.errors import CloudError, Interrupted, StateLocked
from infra.image import builder, clients, ledger, packer, parent, refusals, sbom, store, sweep, template
from infra.image.clients import Client
from infra.image.events import Check, Story
from infra.image.ledger import Image
from infra.image.lock import Owner
from infra.image.parent import Parent
from infra.local import build_host, endpoint
from infra.policy import Policy
from infra.spec.load import Loaded

FOLDER = "images"
Say = Callable[[str, dict[str, Any]], None]


@dataclass(frozen=True, slots=True)
class Options:
    """What a user may choose for a bake. Empty: the default. ``disk`` is in GB, ``deadline`` in seconds."""

    instance_type: str = ""
    subnet: str = ""
    disk: int = 0
    deadline: float = packer.BUILD_DEADLINE


@dataclass(frozen=True, slots=True)
class Built:
    """What a build made, on what, and what its smoke test said."""

    image: Image
    parent: Parent
    client: Client
    checks: tuple[Check, ...]
    swept: tuple[str, ...] = ()


@dataclass(slots=True)
class Build:
    """One build in one region. ``images`` is what the ledger knows already: one of them may be the parent."""

    loaded: Loaded
    policy: Policy
    session: Session
    region: str
    owner: Owner
    options: Options
    cancel: proc.Cancel
    say: Say
    images: tuple[Image, ...] = ()
    fresh: bool = False
    times: dict[str, float] = field(default_factory=dict)
    _gate: str = ""

    @property
    def folder(self) -> Path:
        return Work.of(self.loaded.cluster, self.loaded.path).folder / FOLDER / self.policy.profile

    def run(self, tool: packer.Packer) -> Built:
        """Build. Raises the reason in a user's words; whatever happens, the builder is gone afterwards."""
        with self._alone():
            return self._run(tool)

    def _run(self, tool: packer.Packer) -> Built:
        cluster, profile = self.loaded.cluster, self.policy.profile
        arch = builder.architecture_of(cluster, profile)
        client = clients.client(self.loaded, profile, arch)
        if client.note:
            self.say(self.region, {"type": "bake_note", "text": client.note, "loud": client.rehearsal})
        chosen, root = self._parent(arch, client)
        image = self._image(arch, chosen, client)
        self.say(
            self.region,
            {"type": "bake_start", "name": image.name, "parent": chosen.id, "text": f"on {chosen.id}: {chosen.why}"},
        )
        with ThreadPoolExecutor(1, thread_name_prefix="bake") as beside:
            kept = beside.submit(self._keep)
            try:
                story = self._packed(tool, image, root, client)
            except Interrupted:
                kept.result()  # when it failed, it was that which stopped Packer
                raise
            finally:
                swept = self._sweep(image)
            kept.result()
        if not story.image:
            log = str(self.folder / packer.LOG)
            raise refusals.failure(story, f"{profile} in {self.region}", self.session.profile, log)
        made = self._registered(image, story, client)
        return Built(made, chosen, client, tuple(story.checks), tuple(swept))

    def _keep(self) -> None:
        """Beside Packer's work: keep the policy where the ledger keeps them. A failure stops the build."""
        try:
            store.put_policy(self.session, self.loaded.cluster, self.policy.digest, self.policy.archive())
        except BaseException:
            self.cancel()
            raise

    def _parent(self, arch: str, client: Client) -> tuple[Parent, parent.Base]:
        system = self.loaded.cluster.profiles[self.policy.profile].os
        base = builder.base(self.session, self.region, system, arch)
        chosen = parent.choose(
            self.images,
            base,
            {layer.name: layer.digest for layer in self.policy.layers},
            region=self.region,
            architecture=arch,
            system=self.policy.versions.get("os", system),
            fresh=self.fresh,
            rehearsal=client.rehearsal,
        )
        return chosen, builder.image_there(self.session, self.region, chosen.id) if chosen.image else base

    def _image(self, arch: str, chosen: Parent, client: Client) -> Image:
        assert arch in ARCHITECTURES
        return Image(
            id="",
            region=self.region,
            name=self.owner.name,
            cluster=self.loaded.cluster.cluster,
            profile=self.policy.profile,
            digest=self.policy.digest,
            layers={layer.name: layer.digest for layer in self.policy.layers},
            parent=chosen.image.id if chosen.image else "",
            base=chosen.base,
            versions=self.policy.versions,
            who=who(),
            created=datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            smoke=ledger.REHEARSED if client.rehearsal else "passed",  # there is an image only if it did
            architecture=arch,
        )

    def _packed(self, tool: packer.Packer, image: Image, root: parent.Base, client: Client) -> Story:
        place = builder.place(self.session, self.loaded.cluster, self.region, self.options.subnet)
        with self._key() as (key, public), self._machine(public, client) as local:
            values = self._values(image, root, client, key, public)
            name = f"infra-bake-{self.owner.id}"
            self._gate = builder.gate(self.session, self.region, place, name, values["run_tags"])
            values |= {"subnet": place.subnet, "security_group": self._gate}
            project = template.Project(
                packer=tool.version,
                values=values,
                policy=self.policy.archive(),
                node=self._node(),
                package=client.package,
                rehearsal=client.rehearsal,
                endpoint=self.session.endpoint or "",
                local=local,
                ssh_timeout="1m" if local else template.SSH_TIMEOUT,
            )
            template.render(project, self.folder)
            tool.init(self.folder)
            if self.cancel.asked:
                raise Interrupted("the bake was interrupted", why="Ctrl-C", fix="run the same command again")
            began = time.monotonic()
            try:
                return tool.build(
                    self.folder, template.VALUES, lambda event: self.say(self.region, event), self.options.deadline
                )
            finally:
                self.times["packer"] = time.monotonic() - began

    def _values(self, image: Image, root: parent.Base, client: Client, key: Path, public: str) -> dict[str, Any]:
        cluster, profile = self.loaded.cluster, self.policy.profile
        run_tags = {
            sweep.TAG: self.owner.id,
            "infra:bake-of": cluster.cluster,
            ledger.MANAGED: "infra",
            "infra:profile": profile,
            "Name": f"{cluster.cluster}-bake-{profile}",
        }
        return {
            "name": image.name,
            "description": f"{profile} of {cluster.cluster}, policy {self.policy.short}",
            "region": self.region,
            "source_ami": root.id,
            "root_device": root.root_device,
            "instance_type": self.options.instance_type or builder.builder_type(cluster, profile),
            "ssh_key": str(key),
            "user_data": template.cloud_config(public),
            "disk": self.options.disk or max(root.size, 8 + builder.SLACK),
            "room": self._room(client),
            "digest": self.policy.digest,
            "client": client.kind,
            "client_package": client.package.name if client.package else "",
            "client_sha256": client.sha256,
            "tags": ledger.tags(image),
            "run_tags": run_tags,
        }

    def _room(self, client: Client) -> int:
        """MB on the builder: each upload, and what it unpacks to."""
        package = client.package.stat().st_size if client.package else 0
        return 3 * (len(self.policy.archive()) + package) // 1_000_000 + 4

    def _node(self) -> dict[str, Any]:
        """What the machine will say of itself; the moment is put in there."""
        return {
            "profile": self.policy.profile,
            "digest": self.policy.digest,
            "layers": {layer.name: layer.digest for layer in self.policy.layers},
            "converged": "@CONVERGED@",
            "origin": "image",
        }

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        """The project's folder for us alone, without the keys of bakes that were killed here."""
        folder = self.folder.parent
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / f"{self.folder.name}.lock").open("w") as handle:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                raise StateLocked(
                    f"another bake of {self.folder.name} is at work in this folder",
                    where=str(self.folder),
                    why="its policy is another, but its files would be the same",
                    fix="wait for it to end, then run the same command again",
                ) from error
            for stale in folder.glob(f".{self.folder.name}.*"):
                shutil.rmtree(stale, ignore_errors=True)
            yield

    @contextlib.contextmanager
    def _key(self) -> Iterator[tuple[Path, str]]:
        """A key pair for this bake alone: ed25519, because Ubuntu refuses what old Packers do with RSA."""
        folder = self.folder.with_name(f".{self.folder.name}.{self.owner.id}")
        folder.mkdir(parents=True, mode=0o700)
        try:
            key = folder / "key"
            proc.run(
                ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", f"infra bake {self.owner.id}", "-f", str(key)],
                deadline=30,
            )
            yield key.resolve(), key.with_suffix(".pub").read_text().strip()
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    @contextlib.contextmanager
    def _machine(self, public: str, client: Client) -> Iterator[template.Local | None]:
        if not self.session.local:
            yield None
            return
        began, within = time.monotonic(), 0.0
        with build_host.machine(public, lend=client.tree, program=client.program) as machine:
            started = time.monotonic()
            yield template.Local(endpoint.ACCESS_KEY, endpoint.SECRET_KEY, machine.address, machine.port)
            within = time.monotonic() - started
        self.times["machine"] = time.monotonic() - began - within

    def _sweep(self, image: Image) -> list[str]:
        """Nothing may be left, however the build ended. When even this fails, that is what the user must hear."""
        found = sweep.sweep(self.session, self.region, self.owner.id, image.name)
        swept = [str(item) for item in found if item.id != self._gate]  # the gate is ours to close
        if swept:
            self.say(self.region, {"type": "bake_note", "text": f"removed what Packer left: {', '.join(swept)}"})
        return swept

    def _registered(self, image: Image, story: Story, client: Client) -> Image:
        """The image as AWS has it, with what is known only now: its smoke test, its bill of materials."""
        made = store.find(self.session, self.region, story.image)
        if made is None:
            raise CloudError(
                f"{story.image} was made, but is not there", where=self.region, fix="run the same command again"
            )
        if not client.rehearsal:
            made = replace(made, smoke=story.smoke())
        with contextlib.suppress(OSError):
            packages = sbom.parse((self.folder / "out/packages.tsv").read_text(encoding="utf-8", errors="replace"))
            if packages:  # an empty list is none: the image would seem to hold nothing
                url = store.put_sbom(self.session, self.loaded.cluster, made, sbom.make(made, packages))
                made = replace(made, sbom=url)
        store.register(self.session, made)
        return made


def environment(session: Session, region: str) -> Mapping[str, str]:
    """What Packer sees: with the embedded AWS nothing of the user's own AWS configuration."""
    if session.local:
        assert session.endpoint is not None
        return endpoint.environment(region, session.endpoint) | {"AWS_POLL_DELAY_SECONDS": "1"}
    found = dict(os.environ)
    if session.aws.profile:
        found["AWS_PROFILE"] = session.aws.profile
    return found
