"""What is known of an image, and how its AWS tags say it. Pure.

An image's tags are the whole of the ledger: whoever may describe images knows all of it. Tag values keep to what every
AWS service allows (letters, digits, spaces and ``+ - = . _ : / @``); other characters are written ``=2C``, as in
quoted-printable mail. A value over 256 characters goes on in ``<key>-2``, ``<key>-3``….
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

OF = "infra:image-of"
"""The cluster that an image belongs to. Not ``infra:cluster``: what carries that is removed with the cluster."""

MANAGED = "infra:managed-by"
LAYER = "infra:layer-"
LONGEST = 256  # characters of a tag's value, as AWS has it
MOST = 50  # tags of one thing
MOST_PARTS = 8  # of the versions
SHORT = 12  # characters of a digest that people are shown
REHEARSED = "rehearsed"
PUBLIC = "everybody"

# Text -> over how many tags at most: with the versions and two layers, never more than MOST.
_TEXTS = {
    "profile": 1,
    "digest": 1,
    "parent": 1,
    "base": 1,
    "who": 2,
    "created": 1,
    "smoke": 2,
    "revoked": 4,
    "sbom": 5,
    "architecture": 1,
}
_FREE = re.compile(r"[^A-Za-z0-9+\-._:/@ ]|(?<= ) |^ | $")
_ESCAPED = re.compile(r"=([0-9A-F]{2})")
_NO_WORD = re.compile(r"[^A-Za-z0-9+\-._:/]")
_IN_WORD = re.compile(r"@([0-9A-F]{2})")
_AMI = re.compile(r"^ami-[0-9a-f]{8}(?:[0-9a-f]{9})?$")


@dataclass(frozen=True, slots=True)
class Image:
    """One AMI in one region.

    ``digest`` is the policy's, ``layers`` name -> digest from the lowest up; ``parent`` the AMI that it was baked on
    ("" when that is Canonical's, ``base``). ``created`` is UTC ISO; ``smoke`` ``passed``, ``passed, 2 skipped`` or
    ``rehearsed``, anything else is a failure. ``revoked`` says why, or "". ``shared_with`` are account ids, or
    ``everybody``. ``size`` is GB of its disks. ``state`` is AWS's: ``available``, ``pending``, ``failed``….
    """

    id: str
    region: str
    name: str
    cluster: str
    profile: str
    digest: str
    layers: Mapping[str, str] = field(default_factory=dict)
    parent: str = ""
    base: str = ""
    versions: Mapping[str, str] = field(default_factory=dict)
    who: str = ""
    created: str = ""
    smoke: str = ""
    revoked: str = ""
    snapshots: tuple[str, ...] = ()
    shared_with: tuple[str, ...] = ()
    sbom: str = ""
    architecture: str = "x86_64"
    size: int = 0
    state: str = "available"

    @property
    def short(self) -> str:
        return self.digest[:SHORT]

    @property
    def bake(self) -> tuple[str, str, str]:
        """What the copies of one bake in several regions have in common."""
        return (self.profile, self.digest, self.created)

    @property
    def shared(self) -> bool:
        return bool(self.shared_with)

    @property
    def passed(self) -> bool:
        """The smoke test passed, or there was nothing to test (the rehearsal on the embedded AWS)."""
        return self.smoke == REHEARSED or re.match(r"^passed\b", self.smoke) is not None

    @property
    def usable(self) -> bool:
        """A machine may be started from it now."""
        return not self.revoked and self.passed and self.state == "available"

    def data(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "region": self.region,
            "name": self.name,
            "cluster": self.cluster,
            "profile": self.profile,
            "digest": self.digest,
            "layers": dict(self.layers),
            "parent": self.parent,
            "base": self.base,
            "versions": dict(self.versions),
            "who": self.who,
            "created": self.created,
            "smoke": self.smoke,
            "revoked": self.revoked,
            "snapshots": list(self.snapshots),
            "shared_with": list(self.shared_with),
            "sbom": self.sbom,
            "architecture": self.architecture,
            "size": self.size,
            "state": self.state,
        }


@dataclass(frozen=True, slots=True)
class Pointer:
    """What a profile's machines start from in one region. ``pinned``: chosen by hand, another digest than the file's.

    ``damage`` says why what stands there cannot be read; then ``image`` is "".
    """

    region: str
    profile: str
    image: str
    digest: str
    pinned: bool = False
    who: str = ""
    when: str = ""
    damage: str = ""

    def text(self) -> str:
        """The value of its SSM parameter."""
        said = {
            "image": self.image,
            "digest": self.digest,
            "pinned": self.pinned,
            "who": self.who,
            "when": self.when,
        }
        return json.dumps(said, sort_keys=True)

    def data(self) -> dict[str, Any]:
        return {"region": self.region, "profile": self.profile, **json.loads(self.text()), "damage": self.damage}


Pointers = Mapping[tuple[str, str], Pointer]
"""(region, profile) -> its pointer."""


def is_ami(text: str) -> bool:
    return _AMI.match(text) is not None


def ami_name(cluster: str, profile: str, digest: str, moment: datetime) -> str:
    """``research-gpu-0123456789ab-20261122050102``; two bakes of one digest differ in the time."""
    return f"{cluster}-{profile}-{digest[:SHORT]}-{moment.astimezone(UTC):%Y%m%d%H%M%S}"


def tags(image: Image) -> dict[str, str]:
    """Everything of the image that AWS does not know by itself. The same tags go on its snapshots."""
    found = {OF: image.cluster, MANAGED: "infra", "Name": image.name[:LONGEST]}
    for key, most in _TEXTS.items():
        found |= _parts(f"infra:{key}", _escaped(getattr(image, key)), most)
    for name, digest in image.layers.items():
        found[LAYER + name] = digest
    pairs = [f"{_word(name)}={_word(value)}" for name, value in image.versions.items()]
    found |= _packed("infra:versions", pairs)
    return {key: value for key, value in found.items() if value}


def from_tags(
    said: Mapping[str, str],
    *,
    id: str,
    region: str,
    name: str,
    snapshots: Iterable[str] = (),
    shared_with: Iterable[str] = (),
    size: int = 0,
    state: str = "available",
    architecture: str = "",
) -> Image | None:
    """The image that tags describe; None when they are not an image's of ours. Never fails on what they hold.

    ``architecture``, when AWS says it, is what counts.
    """
    if not said.get(OF):
        return None
    texts = {key: _read(_joined(said, f"infra:{key}")) for key in _TEXTS}
    texts["architecture"] = architecture or texts["architecture"] or "x86_64"
    pairs = (pair.partition("=") for pair in _words(said, "infra:versions"))
    named = [key.removeprefix(LAYER) for key in said if key.startswith(LAYER)]
    return Image(
        id=id,
        region=region,
        name=name,
        cluster=said[OF],
        layers={layer: said[LAYER + layer] for layer in sorted(named, key=_height)},
        versions=dict(sorted((_read(key, _IN_WORD), _read(value, _IN_WORD)) for key, _, value in pairs)),
        snapshots=tuple(snapshots),
        shared_with=tuple(sorted(shared_with)),
        size=size,
        state=state,
        **texts,
    )


def read_pointer(region: str, profile: str, text: str) -> Pointer:
    """The pointer that a parameter's value is. A bare AMI id, written by hand, counts as pinned."""
    if is_ami(text.strip()):
        return Pointer(region, profile, text.strip(), "", pinned=True)
    try:
        said = json.loads(text)
    except ValueError:
        said = None
    if not isinstance(said, dict) or not is_ami(str(said.get("image", ""))):
        return Pointer(region, profile, "", "", damage="it is neither what infra writes nor an AMI id")
    texts = {key: str(said.get(key) or "") for key in ("image", "digest", "who", "when")}
    return Pointer(region, profile, **texts, pinned=said.get("pinned") is True)


def newest(images: Iterable[Image]) -> list[Image]:
    """Newest first; of the same second the one with the lower id."""
    return sorted(sorted(images, key=lambda image: image.id), key=lambda image: image.created, reverse=True)


def changed(before: Mapping[str, str], after: Mapping[str, str]) -> list[str]:
    """What moved between two maps of versions, by name: ``nvidia.driver 575 → 580``, ``docker 28 is new``."""
    found = []
    for name in sorted(set(before) | set(after)):
        old, new = before.get(name), after.get(name)
        if old == new:
            continue
        if old is None:
            found.append(f"{name} {new} is new")
        else:
            found.append(f"{name} {old} is gone" if new is None else f"{name} {old} → {new}")
    return found


def _height(layer: str) -> tuple[bool, str]:
    """Layers from the lowest up: the system comes first."""
    return (layer != "system", layer)


def _escaped(text: str) -> str:
    """Only characters that every service allows. Spaces at an end or in a row could get lost: they are escaped, too."""
    return _FREE.sub(lambda match: _bytes("=", match[0]), text)


def _word(text: str) -> str:
    """The same without any space or ``=``: those are what words are told apart by."""
    return _NO_WORD.sub(lambda match: _bytes("@", match[0]), text)


def _bytes(mark: str, character: str) -> str:
    return "".join(f"{mark}{byte:02X}" for byte in character.encode("utf-8", "replace"))


def _read(text: str, escaped: re.Pattern[str] = _ESCAPED) -> str:
    """The inverse of :func:`_escaped`, and with ``_IN_WORD`` of :func:`_word`."""
    raw = escaped.sub(lambda match: chr(int(match[1], 16)), text)
    try:
        return raw.encode("latin-1").decode("utf-8")
    except UnicodeError:
        return raw  # written by hand


def _parts(key: str, text: str, most: int) -> dict[str, str]:
    """``text`` over as many tags as it takes, at most ``most``. A cut never falls on a space or into an escape."""
    pieces = []
    while len(text) > LONGEST:
        cut = LONGEST
        while " " in text[cut - 1 : cut + 1] or "=" in text[cut - 2 : cut]:
            cut -= 1
        pieces.append(text[:cut])
        text = text[cut:]
    return _numbered(key, [*pieces, text][:most])


def _packed(key: str, words: Iterable[str]) -> dict[str, str]:
    """Words over as many tags as it takes; a word too long for one is left out."""
    lines = [""]
    for word in words:
        if len(word) > LONGEST:
            continue
        longer = f"{lines[-1]} {word}".lstrip()
        if len(longer) > LONGEST:
            lines.append(word)
        else:
            lines[-1] = longer
    return _numbered(key, lines[:MOST_PARTS])


def _numbered(key: str, values: Iterable[str]) -> dict[str, str]:
    return {key if number == 1 else f"{key}-{number}": value for number, value in enumerate(values, 1)}


def _values(said: Mapping[str, str], key: str) -> list[str]:
    names = [key, *(f"{key}-{number}" for number in range(2, MOST_PARTS + 1))]
    return [said[name] for name in names if name in said]


def _joined(said: Mapping[str, str], key: str) -> str:
    return "".join(_values(said, key))


def _words(said: Mapping[str, str], key: str) -> list[str]:
    return " ".join(_values(said, key)).split()
