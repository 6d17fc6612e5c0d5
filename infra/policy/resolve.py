"""``cluster.yaml`` and a profile → :class:`~infra.policy.model.Policy`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from infra.errors import PolicyError, UsageError
from infra.policy import cookbooks, expectations, layers, secrets
from infra.policy.attributes import Where, derive, versions
from infra.policy.cookbooks import Cookbook
from infra.policy.library import Found, Library
from infra.policy.model import Policy
from infra.policy.roles import Expansion
from infra.spec.explain import did_you_mean
from infra.spec.load import Loaded
from infra.spec.models import Cluster

FORMAT = 1


def of(loaded: Loaded, profile: str) -> Policy:
    """The policy of a profile of a file, made once; the lab's own ``chef/`` is looked for beside it.

    Raises PolicyError.
    """

    def make() -> Policy:
        return resolve(loaded.cluster, profile, site=loaded.path.resolve().parent, where=loaded.where)

    return loaded.once(f"policy {profile}", make)


def resolve(cluster: Cluster, profile: str, *, site: Path | None = None, where: Where | None = None) -> Policy:
    """The policy of a profile.

    ``site`` is the folder of cluster.yaml: its ``chef/`` is searched first. ``where`` gives ``file:line`` for a path in
    the cluster. Raises PolicyError with every problem at once, and UsageError when there is no such profile.
    """
    place = where or _plainly
    if profile not in cluster.profiles:
        raise UsageError(
            f"there is no profile {profile!r}",
            where=place("profiles"),
            why=f"the profiles are: {', '.join(cluster.profiles) or 'none'}",
            fix=did_you_mean(profile, cluster.profiles, "name one of them"),
        )
    attributes = derive(cluster, profile, place)
    found = Found()
    library = Library.of(site)
    expansion = _expand(cluster, profile, library, found, place)
    books = _cookbooks(expansion, library, found)
    _check_includes(books, found)
    _check_secrets(attributes, profile, found, place)
    if found.problems:
        raise PolicyError(found.problems[0].what, problems=found.problems)
    return _policy(cluster, profile, attributes, expansion, books, found, library)


def _plainly(*loc: str | int) -> str:
    return ".".join(map(str, loc))


def _expand(cluster: Cluster, profile: str, library: Library, found: Found, where: Where) -> Expansion:
    expansion = Expansion(library, found)
    for index, item in enumerate(cluster.profiles[profile].run_list):
        expansion.add(item, where("profiles", profile, "run_list", index))
    return expansion


def _cookbooks(expansion: Expansion, library: Library, found: Found) -> dict[str, Cookbook]:
    """Every cookbook that the recipes need, with all that those depend on."""
    books: dict[str, Cookbook] = {}
    missing: set[str] = set()
    waiting = [(recipe.partition("::")[0], where) for recipe, where in expansion.recipes.items()]
    while waiting:
        name, where = waiting.pop(0)
        if name in books or name in missing:
            continue
        book = cookbooks.load(name, library, found)
        if book is None:
            missing.add(name)
            found.wrong(f"there is no cookbook {name!r}", where, fix=library.suggestion("cookbooks", name))
            continue
        books[name] = book
        waiting += book.depends.items()
    for recipe, where in expansion.recipes.items():
        _check_recipe(recipe, where, books, found)
    return books


def _check_recipe(recipe: str, where: str, books: dict[str, Cookbook], found: Found) -> None:
    name, _, own = recipe.partition("::")
    book = books.get(name)
    if book is not None and own not in book.recipes:
        have = ", ".join(book.recipes) or "none"
        fix = did_you_mean(own, book.recipes, f"its recipes are: {have}")
        found.wrong(f"the cookbook {name} has no recipe {own!r}", where, str(book.folder / "recipes"), fix)


def _check_includes(books: dict[str, Cookbook], found: Found) -> None:
    for book in books.values():
        for recipe, where in book.includes.items():
            name = recipe.partition("::")[0]
            if name != book.name and name not in book.depends:
                why = f"{book.name}/metadata.rb does not say that it depends on {name}"
                found.wrong(f"recipe {recipe} is included", where, why, f"add to metadata.rb: depends '{name}'")
            else:
                _check_recipe(recipe, where, books, found)


def _check_secrets(attributes: dict[str, Any], profile: str, found: Found, where: Where) -> None:
    for loc, kind in secrets.found(attributes):
        name = ".".join(map(str, loc))
        place = where("profiles", profile, "attributes", *loc)
        found.wrong(f"the attribute {name} looks like {kind}", place, "it would be on every machine", secrets.FIX)
    for path, raw in found.files.items():
        if path.startswith("roles/"):
            for loc, kind in secrets.found(_json(raw)):
                name = ".".join(map(str, loc))
                found.wrong(f"{name} looks like {kind}", str(found.sources[path]), "", secrets.FIX)
            continue
        text = raw.decode("utf-8", "replace")
        kind = secrets.in_text(text)
        if kind:
            line = next((n for n, row in enumerate(text.splitlines(), 1) if secrets.in_text(row)), 1)
            found.wrong(f"the file holds {kind}", f"{found.sources[path]}:{line}", "", secrets.FIX)


def _json(raw: bytes) -> Any:
    try:
        return json.loads(raw)
    except ValueError:
        return None  # a problem already


def _policy(
    cluster: Cluster,
    profile: str,
    attributes: dict[str, Any],
    expansion: Expansion,
    books: dict[str, Cookbook],
    found: Found,
    library: Library,
) -> Policy:
    run_list, recipes = tuple(cluster.profiles[profile].run_list), tuple(expansion.recipes)
    parts = layers.layers(recipes, books, found.files, attributes, expansion.attributes)
    known = versions(attributes, set(books))
    about = {
        "format": FORMAT,
        "profile": profile,
        "run_list": list(run_list),
        "recipes": list(recipes),
        "versions": known,
        "layers": {layer.name: layer.digest for layer in parts},
    }
    for path, source in library.programs().items():
        found.read(path, source)
    if found.problems:
        raise PolicyError(found.problems[0].what, problems=found.problems)
    made = {
        "node.json": _text({"run_list": list(run_list), **attributes}),
        "policy.json": _text(about),
        "smoke.conf": expectations.conf(attributes, recipes).encode(),
    }
    return Policy(profile, run_list, recipes, attributes, known, parts, {**found.files, **made}, found.sources)


def _text(value: Any) -> bytes:
    return (json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False) + "\n").encode()
