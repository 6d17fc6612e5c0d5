"""What an image holds, as CycloneDX: made from the list that the smoke test prints on the machine. Pure.

The list has a line a package, separated by tabs: manager, environment, name, version, architecture. ``manager`` is
``dpkg``, ``conda``, ``pip``…; ``environment`` is the conda environment, or empty for the system. The same list gives
the same SBOM, byte for byte.

The JSON is written here and not by a library: the one there is takes seconds for an image's packages (its time grows
with their square). The tests check what is written with that library's schemas.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

from infra.image.ledger import SHORT, Image

SPACE = uuid.UUID("6f1f3c0e-5c2e-5b0e-9d8b-6a1d3a6c7e10")
"""Under which serial numbers are derived from what an SBOM says."""

COLUMNS = ("manager", "environment", "name", "version", "architecture")
_PURLS = {"dpkg": "deb", "deb": "deb", "pip": "pypi", "conda": "conda", "gem": "gem", "npm": "npm"}
_PREFIX = "infra:"


@dataclass(frozen=True, slots=True, order=True)
class Package:
    manager: str
    environment: str
    name: str
    version: str
    architecture: str = ""

    @property
    def key(self) -> tuple[str, str, str, str]:
        """What is the same package in two images; of one name may be several architectures."""
        return (self.manager, self.environment, self.name, self.architecture)

    @property
    def where(self) -> str:
        """``dpkg``, ``conda tf``."""
        return f"{self.manager} {self.environment}".strip()

    def data(self) -> dict[str, Any]:
        return asdict(self)


def parse(text: str) -> list[Package]:
    """The packages of a list, sorted, each once. Comments (``#``), a heading and lines of no sense are passed over."""
    found = set()
    for line in text.splitlines():
        cells = [cell.strip() for cell in line.split("\t")]
        if line.startswith("#") or len(cells) < len(COLUMNS) - 1 or tuple(cells[:2]) == COLUMNS[:2]:
            continue
        package = Package(*cells[: len(COLUMNS)])
        if package.manager and package.name and package.version:
            found.add(package)
    return sorted(found)


def make(image: Image, packages: Iterable[Package]) -> str:
    """The SBOM of an image as CycloneDX 1.6 JSON, with a newline at its end. Linear in the number of packages."""
    listed = sorted(set(packages))
    serial = uuid.uuid5(SPACE, "\n".join([image.digest, image.created, *map(repr, listed)]))
    system = image.versions.get("os", "")
    said = {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{serial}",
        "version": 1,
        "metadata": {
            "timestamp": _moment(image.created),
            "component": {
                "type": "operating-system",
                "bom-ref": f"image:{image.digest}",
                "name": f"{image.cluster}-{image.profile}",
                "version": image.digest[:SHORT],
                "properties": _properties(_facts(image)),
            },
        },
        "components": [_component(package, system) for package in listed],
    }
    return json.dumps(said, indent=1, sort_keys=True, ensure_ascii=False) + "\n"


def read(said: Mapping[str, Any]) -> list[Package]:
    """The packages that an SBOM names, sorted; also of an SBOM that another program wrote about the image."""
    found = set()
    for item in said.get("components") or ():
        if not isinstance(item, Mapping) or not item.get("name"):
            continue
        facts = {
            str(pair.get("name")).removeprefix(_PREFIX): str(pair.get("value", ""))
            for pair in item.get("properties") or ()
            if isinstance(pair, Mapping)
        }
        manager = facts.get("manager") or _manager(str(item.get("purl", "")))
        found.add(
            Package(
                manager,
                facts.get("environment", ""),
                str(item["name"]),
                str(item.get("version", "")),
                facts.get("architecture", ""),
            )
        )
    return sorted(found)


def purl(package: Package, system: str = "") -> str:
    """The package's URL: ``pkg:deb/ubuntu/curl@7.81.0-1?arch=amd64&distro=ubuntu-22.04``."""
    kind = _PURLS.get(package.manager, "generic")
    name, version = package.name, package.version
    if kind == "pypi":
        name = name.lower().replace("_", "-")
    if kind != "deb":
        return f"pkg:{kind}/{_quoted(name)}@{_quoted(version)}"
    distribution = system.partition("-")[0]
    facts = {"arch": package.architecture, "distro": system}
    qualifiers = "&".join(f"{key}={_quoted(value)}" for key, value in facts.items() if value)
    path = f"{distribution}/{_quoted(name.lower())}" if distribution else _quoted(name.lower())
    return f"pkg:deb/{path}@{_quoted(version)}{f'?{qualifiers}' if qualifiers else ''}"


def _quoted(text: str) -> str:
    return quote(text, safe=":")


def _component(package: Package, system: str) -> dict[str, Any]:
    facts = {key: value for key, value in package.data().items() if key not in ("name", "version")}
    parts = (package.manager, package.environment, package.name, package.version, package.architecture)
    return {
        "type": "library",
        "bom-ref": "/".join(map(_quoted, parts)),
        "name": package.name,
        "version": package.version,
        "purl": purl(package, system),
        "properties": _properties(facts),
    }


def _facts(image: Image) -> dict[str, str]:
    """What is the same in every region's copy."""
    layers = {f"layer-{name}": digest for name, digest in image.layers.items()}
    versions = {f"version-{name}": version for name, version in image.versions.items()}
    return {"profile": image.profile, "digest": image.digest, "smoke": image.smoke, **layers, **versions}


def _properties(facts: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"name": f"{_PREFIX}{key}", "value": value} for key, value in sorted(facts.items()) if value]


def _moment(created: str) -> str:
    """An SBOM has a time: the image's, never the clock's."""
    try:
        found = datetime.fromisoformat(created.replace("Z", "+00:00"))
    except ValueError:
        return "1970-01-01T00:00:00Z"
    return f"{found if found.tzinfo is None else found.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"


def _manager(purl: str) -> str:
    kind = purl.removeprefix("pkg:").partition("/")[0]
    return {"deb": "dpkg", "pypi": "pip"}.get(kind, kind)
