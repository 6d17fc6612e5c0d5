"""Checks Terraform sources against an excerpt of the provider's schema (``tests/data``, ``scripts/data``).

No engine here can load provider 6, so this stands in for ``terraform validate``: types, arguments, nested blocks
(dynamic ones too), what is required, what is deprecated, what expressions read, and what modules are called with.
"""

from __future__ import annotations

import gzip
import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import hcl2

DATA = Path(__file__).parent / "data"
Body = Mapping[str, Any]

MARKS = {"__is_block__", "__comments__", "__inline_comments__"}
META = {
    "resource": {"count", "for_each", "provider", "depends_on", "lifecycle", "provisioner", "connection"},
    "data": {"count", "for_each", "provider", "depends_on", "lifecycle"},
    "module": {"count", "for_each", "providers", "depends_on", "source", "version"},
    "provider": {"alias", "version"},
}
PLACES = {"resource": "resources", "data": "data"}

# In an expression: (data.)type.name(.attribute), behind nothing that makes it a part of another name or of a text.
REFERENCE = re.compile(r"(?<![\w.\"/-])(data\.)?(aws_\w+)\.(\w+)(?:\[[^\]]*\])*(?:\.(\w+))?")
MODULE_OUTPUT = re.compile(r"(?<![\w.\"/-])module\.(\w+)(?:\[[^\]]*\])*\.(\w+)")
DECLARED = {kind: re.compile(rf"(?<![\w.-]){kind}\.(\w+)") for kind in ("var", "local")}


@lru_cache(maxsize=2)
def schema(major: int) -> dict[str, Any]:
    """The excerpt for provider 3 or 6; its shape is described in ``scripts/data/provider_schema``."""
    found: dict[str, Any] = json.loads(gzip.decompress((DATA / f"provider-{major}.json.gz").read_bytes()))
    return found


@dataclass
class Module:
    """One module's sources, parsed together."""

    name: str
    parts: dict[str, list[Body]] = field(default_factory=dict)
    text: str = ""

    def items(self, kind: str) -> Iterator[tuple[str, Body]]:
        """(name, body) of every block with one label: variable, output, module."""
        for part in self.parts.get(kind, []):
            yield from ((name, body) for name, body in part.items() if name not in MARKS)

    def things(self, kind: str) -> Iterator[tuple[str, str, Body]]:
        """(type, name, body) of every resource or data block."""
        for type_, named in self.items(kind):
            yield from ((type_, name, body) for name, body in named.items() if name not in MARKS)


def parse(sources: Mapping[str, str]) -> dict[str, Module]:
    """Modules by name from ``<module>/<file>.tf`` -> HCL text."""
    options = hcl2.SerializationOptions(with_comments=False, strip_string_quotes=True)
    modules: dict[str, Module] = {}
    for path, text in sources.items():
        name, _, file = path.partition("/")
        if file.endswith(".tf"):
            module = modules.setdefault(name, Module(name))
            module.text += "\n" + re.sub(r"^\s*(#|description\s*=).*$", "", text, flags=re.MULTILINE)
            for kind, found in hcl2.loads(text, serialization_options=options).items():
                if kind not in MARKS:
                    module.parts.setdefault(kind, []).extend(found)
    return modules


def problems(modules: Mapping[str, Module], known: Mapping[str, Any]) -> list[str]:
    """Every sentence on what provider and modules would not accept; empty when all is well."""
    found: list[str] = []
    for module in modules.values():
        for kind, place in PLACES.items():
            for type_, name, body in module.things(kind):
                where = f"{module.name}: {'data.' if kind == 'data' else ''}{type_}.{name}"
                found += _thing(body, known[place].get(type_), META[kind], where)
        for name, body in module.items("module"):
            found += _call(body, modules, f"{module.name}: module.{name}")
        found += _references(module, modules, known)
    return sorted(found)


def root_problems(root: Mapping[str, Any], modules: Mapping[str, Module], known: Mapping[str, Any]) -> list[str]:
    """The same for a root in Terraform's JSON form: provider, data, module calls, and what its texts refer to."""
    given = root["provider"]["aws"]
    found: list[str] = []
    for one in given if isinstance(given, list) else [given]:
        found += _thing(one, known["provider"], META["provider"], "provider.aws", is_json=True)
    for type_, named in root.get("data", {}).items():
        for name, body in named.items():
            found += _thing(body, known["data"].get(type_), META["data"], f"data.{type_}.{name}", is_json=True)
    calls = root.get("module", {})
    for name, body in calls.items():
        found += _call(body, modules, f"module.{name}")
    for name, output in MODULE_OUTPUT.findall(" ".join(_expressions(root))):
        found += _output(calls.get(name), output, modules, f"module.{name}.{output}")
    return sorted(set(found))


def _thing(
    body: Body, block: Mapping[str, Any] | None, meta: set[str], where: str, is_json: bool = False
) -> Iterator[str]:
    if block is None:
        yield f"{where}: the provider's excerpt has no such type"
        return
    yield from _block({key: value for key, value in body.items() if key not in meta}, block, where, is_json)


def _block(body: Body, block: Mapping[str, Any], where: str, is_json: bool) -> Iterator[str]:
    arguments, blocks = block["arguments"], block["blocks"]
    given: Counter[str] = Counter()
    for name, inner, dynamic in _nested(body, block, is_json):
        given[name] += 1
        target = blocks.get(name) or _as_block(arguments.get(name))
        if target is None:
            yield f"{where}: {name} is no block" + (", but an argument" if name in arguments else "")
            continue
        yield from _deprecated(target, f"{where}: {name}")
        if given[name] == 2 and not dynamic and target.get("max_items") == 1:
            yield f"{where}: there can be only one block {name}"
        yield from _block(inner, target, f"{where}.{name}", is_json)
    for name, value in body.items():
        if name in MARKS or name == "dynamic" or name in given:
            continue
        given[name] += 1
        if name not in arguments:
            why = "is a block" if name in blocks else "can only be read" if name in block.get("attributes", ()) else ""
            yield f"{where}: {name} {why or 'is no argument'}"
            continue
        yield from _deprecated(arguments[name], f"{where}: {name}")
        yield from _literal(value, arguments[name], f"{where}: {name}")
    for name, one in {**arguments, **blocks}.items():
        if one.get("required") and name not in given:
            yield f"{where}: {name} is required"


def _nested(body: Body, block: Mapping[str, Any], is_json: bool) -> Iterator[tuple[str, Body, bool]]:
    """(name, body, whether dynamic) of each nested block."""
    for name, value in body.items():
        entries = value if isinstance(value, list) else [value]
        if name == "dynamic" and not is_json:
            for one in entries:
                for label, inner in one.items():
                    if label not in MARKS:
                        yield label, inner["content"][0], True
        elif is_json:
            if name in block["blocks"]:
                yield from ((name, one, False) for one in entries)
        elif any(isinstance(one, Mapping) and "__is_block__" in one for one in entries):
            yield from ((name, one, False) for one in entries)


def _as_block(argument: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
    """Old resources let an argument that is a list of objects be written as blocks (``ingress``, ``route``)."""
    if argument is None or argument["type"] != "list(object)":
        return None
    # Which members of such an object may be left out is not known.
    members = {name: {**one, "required": False} for name, one in argument.get("arguments", {}).items()}
    return {**argument, "arguments": members, "blocks": {}}


def _deprecated(one: Mapping[str, Any], what: str) -> Iterator[str]:
    if one.get("deprecated"):
        yield f"{what} is deprecated: {one['deprecated']}"


def _literal(value: Any, argument: Mapping[str, Any], what: str) -> Iterator[str]:
    """A literal of the wrong shape; what is computed cannot be judged here."""
    if isinstance(value, str) and value.startswith("${"):
        return
    type_, shape = argument["type"], "one value"
    wanted = {"list": "list", "map": "map", "object": "map"}.get(type_.partition("(")[0], "one value")
    if isinstance(value, list | Mapping):
        shape = "list" if isinstance(value, list) else "map"
    wrong = shape != wanted or (isinstance(value, bool) and type_ == "number")
    if wrong and value is not None:
        yield f"{what} is a {type_}"


def _call(body: Body, modules: Mapping[str, Module], where: str) -> Iterator[str]:
    module = modules.get(Path(body["source"]).name)
    if module is None:
        yield f"{where}: there is no module {body['source']}"
        return
    declared = dict(module.items("variable"))
    given = set(body) - META["module"] - MARKS
    for name in sorted(given - set(declared)):
        yield f"{where}: {name} is no variable of the module {module.name}"
    for name, variable in declared.items():
        if "default" not in variable and name not in given:
            yield f"{where}: {name} is required"


def _references(module: Module, modules: Mapping[str, Module], known: Mapping[str, Any]) -> Iterator[str]:
    """What the module's expressions read and nobody declares."""
    declared = {
        "var": {name for name, _ in module.items("variable")},
        "local": {name for part in module.parts.get("locals", []) for name in part},
    }
    for kind, pattern in DECLARED.items():
        for name in sorted(set(pattern.findall(module.text)) - declared[kind]):
            yield f"{module.name}: {kind}.{name} is not declared"
    calls = dict(module.items("module"))
    for name, output in set(MODULE_OUTPUT.findall(module.text)):
        yield from _output(calls.get(name), output, modules, f"{module.name}: module.{name}.{output}")
    things = {kind: {(type_, name) for type_, name, _ in module.things(kind)} for kind in PLACES}
    for prefix, type_, name, attribute in set(REFERENCE.findall(module.text)):
        kind = "data" if prefix else "resource"
        what = f"{module.name}: {prefix}{type_}.{name}"
        if (type_, name) not in things[kind]:
            yield f"{what} is not declared"
            continue
        block = known[PLACES[kind]].get(type_)
        if attribute and block is not None:
            yield from _readable(attribute, block, f"{what}.{attribute}")


def _readable(attribute: str, block: Mapping[str, Any], what: str) -> Iterator[str]:
    one = block["arguments"].get(attribute) or block["blocks"].get(attribute)
    if one is not None:
        yield from _deprecated(one, what)
    elif attribute not in block["attributes"]:
        yield f"{what}: there is no such attribute"


def _output(call: Body | None, output: str, modules: Mapping[str, Module], what: str) -> Iterator[str]:
    if call is None:
        yield f"{what}: there is no such call"
        return
    module = modules.get(Path(call["source"]).name)
    if module is not None and output not in dict(module.items("output")):
        yield f"{what}: the module {module.name} has no such output"


def _expressions(value: Any) -> Iterable[str]:
    """The text between ``${`` and ``}`` of every string of the root."""
    if isinstance(value, str):
        return re.findall(r"(?<!\$)\$\{([^}]*)\}", value)
    inner = value.values() if isinstance(value, Mapping) else value if isinstance(value, list) else ()
    return [text for one in inner for text in _expressions(one)]
