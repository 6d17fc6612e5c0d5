"""``infra image list``, ``show``, ``tree`` and ``diff``: they change nothing."""

from __future__ import annotations

from pathlib import Path

import click

from infra.cli.common import emit, region_option, spec_options

LIST_EPILOG = """\b
Examples:
  infra image list
  infra image list --region us-west-2
  infra image list --json | jq '.images[] | select(.promoted != "") | .id'
"""
SHOW_EPILOG = """\b
Examples:
  infra image show gpu                       the promoted one
  infra image show ami-0123456789abcdef0
  infra image show 3f9a1c --packages
"""
TREE_EPILOG = """\b
Examples:
  infra image tree
  infra image tree --json | jq '.roots[].children[].id'
"""
DIFF_EPILOG = """\b
Examples:
  infra image diff gpu ami-0123456789abcdef0
  infra image diff 3f9a1c 8be204 --json | jq '.packages[] | select(.action == "changed")'
"""
packages_option = click.option("--packages", is_flag=True, help="Name every package.")


@click.command("list", epilog=LIST_EPILOG)
@spec_options
@region_option
def list_(file: Path, endpoint: str | None, as_json: bool, regions: tuple[str, ...]) -> int:
    """Show all images of the cluster, regions side by side: age, size, promoted, in use, shared.

    Exit code 0; 1: an error.
    """
    from infra.cli.image_common import desk

    seen = desk(file, endpoint, regions).look()
    if as_json:
        listed = [seen.data(image) for image in seen.images]
        emit({"format": 1, "cluster": seen.cluster, "regions": list(seen.regions), "images": listed})
    else:
        from infra.ui import image_view

        image_view.listing(seen)
    return 0


@click.command("show", epilog=SHOW_EPILOG)
@click.argument("image")
@spec_options
@region_option
@packages_option
def show(image: str, file: Path, endpoint: str | None, as_json: bool, regions: tuple[str, ...], packages: bool) -> int:
    """Show IMAGE: versions, packages, SBOM, where it is in use, and what changed from its parent.

    Exit code 0; 1: an error.
    """
    from infra.cli.image_common import desk
    from infra.image import compare, lineage, world

    at = desk(file, endpoint, regions)
    seen = at.look()
    found = at.find(image, seen)
    cluster = at.loaded.cluster
    side = world.side(at.session, cluster, found)
    above = next(iter(lineage.ancestors(found, seen.images)), None)
    changes = compare.compare(world.side(at.session, cluster, above), side) if above else None
    if as_json:
        emit(
            {
                "format": 1,
                **seen.data(found),
                "copies": [{"region": item.region, "id": item.id} for item in seen.copies(found)],
                "children": [item.id for item in lineage.children(found, seen.images)],
                "packages": None if side.packages is None else [item.data() for item in side.packages],
                "changes": changes.data() if changes else None,
            }
        )
    else:
        from infra.ui import image_view

        image_view.one(seen, found, side, changes, packages)
    return 0


@click.command("tree", epilog=TREE_EPILOG)
@spec_options
@region_option
def tree(file: Path, endpoint: str | None, as_json: bool, regions: tuple[str, ...]) -> int:
    """Show the lineage of all images: from Canonical's base over the layers that were baked on it.

    Exit code 0; 1: an error.
    """
    from infra.cli.image_common import desk
    from infra.image import lineage

    seen = desk(file, endpoint, regions).look()
    roots = lineage.tree(seen.images, seen.regions)
    if as_json:
        emit({"format": 1, "cluster": seen.cluster, "roots": [root.data() for root in roots]})
    else:
        from infra.ui import image_tree

        image_tree.show(seen, roots)
    return 0


@click.command("diff", epilog=DIFF_EPILOG)
@click.argument("before")
@click.argument("after")
@spec_options
@region_option
@packages_option
def diff(
    before: str,
    after: str,
    file: Path,
    endpoint: str | None,
    as_json: bool,
    regions: tuple[str, ...],
    packages: bool,
) -> int:
    """Compare the images BEFORE and AFTER: packages, versions, layers, and the attributes of their policies.

    Exit code 0: no difference; 2: there is one; 1: an error.
    """
    from infra.cli.image_common import desk
    from infra.image import compare, world

    at = desk(file, endpoint, regions)
    seen = at.look()
    pair = [at.find(name, seen) for name in (before, after)]
    old, new = (world.side(at.session, at.loaded.cluster, image) for image in pair)
    found = compare.compare(old, new)
    if as_json:
        emit({"format": 1, **found.data()})
    else:
        from infra.ui import image_view

        image_view.comparison(found, packages)
    return 0 if found.empty else 2
