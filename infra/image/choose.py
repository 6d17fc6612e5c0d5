"""Which AMI a profile's machines get in one region now, and what must be done first. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from infra.image.ledger import SHORT, Image, Pointer, Pointers, changed, newest

Step = Literal["nothing", "promote", "bake", "blocked", "pinned"]


@dataclass(frozen=True, slots=True)
class Choice:
    """``step``: what it takes until machines start from ``image``.

    ``nothing``: the pointer is there already. ``promote``: the image is there, the pointer must move. ``bake``: there
    is no image yet, ``image`` is "" (a copy that a region lacks is made by a bake, too). ``pinned``: the pointer was
    set by hand to another digest and stays. ``blocked``: only a person can decide, ``reasons`` says about what and
    ``fix`` how. ``current`` is the AMI of the pointer now, "" without one; ``sound``: machines may still be started
    from that one. ``reasons`` has at least one sentence unless the step is ``nothing``.
    """

    region: str
    profile: str
    digest: str
    step: Step
    image: str = ""
    current: str = ""
    reasons: tuple[str, ...] = ()
    fix: str = ""
    sound: bool = False

    def data(self) -> dict[str, Any]:
        return {
            "region": self.region,
            "profile": self.profile,
            "digest": self.digest,
            "step": self.step,
            "image": self.image,
            "current": self.current,
            "reasons": list(self.reasons),
            "fix": self.fix,
            "sound": self.sound,
        }


def choose(
    policy_digest: str,
    images: Iterable[Image],
    pointers: Pointers,
    region: str,
    profile: str,
    *,
    versions: Mapping[str, str] | None = None,
    layers: Mapping[str, str] | None = None,
    architecture: str = "",
) -> Choice:
    """The choice for one profile in one region.

    ``images`` and ``pointers`` may be those of all regions. ``versions`` and ``layers`` (name -> digest) are the
    policy's: reasons are taken from how they differ from the current image's. ``architecture``, when given, leaves out
    images of another one.
    """
    ours = [image for image in images if image.profile == profile and architecture in ("", image.architecture)]
    here = {image.id: image for image in newest(ours) if image.region == region}
    pointer = pointers.get((region, profile))
    current = here.get(pointer.image) if pointer else None
    look = _Look(policy_digest, region, profile, here, ours, pointer, current, versions or {}, layers or {})
    return look.pinned() or look.matching() or look.missing()


@dataclass(frozen=True, slots=True)
class _Look:
    """The facts of one choice: ``here`` the profile's images in the region, newest first; ``ours`` in all regions."""

    digest: str
    region: str
    profile: str
    here: Mapping[str, Image]
    ours: list[Image]
    pointer: Pointer | None
    current: Image | None
    versions: Mapping[str, str]
    layers: Mapping[str, str]

    def pinned(self) -> Choice | None:
        """A pointer by hand holds as long as its image can be started from."""
        pointer, current = self.pointer, self.current
        if pointer is None or not pointer.pinned or pointer.digest == self.digest:
            return None
        by = f"by {pointer.who} on {pointer.when[:10]}" if pointer.who else "by hand"
        undo = f"infra image promote {self.profile} --region {self.region} follows the file again"
        if current is None and pointer.image:
            return self._blocked(f"pinned {by} to {pointer.image}, which is not there any more", undo)
        if current is None:
            return None
        if not current.usable:
            return self._blocked(f"pinned {by} to {current.id}, which {unusable(current)}", undo)
        if current.digest == self.digest:
            return None
        said = f"pinned {by} to {current.short}; the file says {self.digest[:SHORT]}"
        moved = changed(current.versions, self.versions) if self.versions else []
        return self._choice("pinned", current.id, (said, *moved), undo)

    def matching(self) -> Choice | None:
        """There are images of the digest: the current one, else the newest usable one."""
        found = [image for image in self.here.values() if image.digest == self.digest]
        good = [image for image in found if image.usable]
        if self.current in good:
            assert self.current is not None
            return self._choice("nothing", self.current.id)
        if good:
            return self._choice("promote", good[0].id, self._why())
        revoked = [image for image in found if image.revoked]
        if revoked:
            fix = (
                f"bake it anew: infra image bake {self.profile} --force; or take the revocation back: "
                f"infra image revoke {revoked[0].id} --undo; or change the profile"
            )
            return self._blocked(f"{revoked[0].id} has the file's digest, and {unusable(revoked[0])}", fix)
        return None

    def missing(self) -> Choice:
        elsewhere = sorted({image.region for image in self.ours if image.digest == self.digest and image.usable})
        if elsewhere:
            return self._choice("bake", reasons=(f"{self.region} has no copy of the image in {elsewhere[0]}",))
        pending = [image for image in self.here.values() if image.digest == self.digest]
        bad = tuple(f"{image.id} {unusable(image)}" for image in pending[:1])
        return self._choice("bake", reasons=bad or self._why())

    def _why(self) -> tuple[str, ...]:
        """Why another image than the current one."""
        pointer, current = self.pointer, self.current
        if pointer is None:
            return ("no image of this profile is promoted yet" if self.ours else "there is no image of this profile",)
        if pointer.damage:
            return (f"the pointer is damaged: {pointer.damage}",)
        if current is None:
            return (f"the current image {pointer.image} is not there any more",)
        if current.digest == self.digest:
            return (f"the current image {current.id} {unusable(current)}",)
        moved = changed(current.versions, self.versions) if self.versions else []
        if not moved:
            moved = [
                f"the {name} layer changed"
                for name in sorted(set(self.layers) & set(current.layers))
                if self.layers[name] != current.layers[name]
            ][-1:]
        return tuple(moved) or (f"the policy changed: {current.short} → {self.digest[:SHORT]}",)

    def _blocked(self, reason: str, fix: str) -> Choice:
        return self._choice("blocked", reasons=(reason,), fix=fix)

    def _choice(self, step: Step, image: str = "", reasons: tuple[str, ...] = (), fix: str = "") -> Choice:
        current = self.pointer.image if self.pointer else ""
        sound = self.current is not None and self.current.usable
        return Choice(self.region, self.profile, self.digest, step, image, current, reasons, fix, sound)


def unusable(image: Image) -> str:
    """Why no machine may be started from it: ``is revoked: CVE-2026-1``; "" when one may."""
    if image.revoked:
        return f"is revoked: {image.revoked}"
    if image.state != "available":
        return f"is {image.state}" if image.state else "is not available"
    if not image.passed:
        return f"did not pass its smoke test ({image.smoke})" if image.smoke else "has no passed smoke test"
    return ""
