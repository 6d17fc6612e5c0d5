"""What every service of moto gets: speed."""

from __future__ import annotations

from functools import cache

from infra.local.extensions import put


def remembered_method_names() -> None:
    """moto walks all attributes of the response class for each request (2 ms for EC2); the class does not change."""
    from moto.core import responses

    put(responses, "method_names_from_class", cache(vars(responses)["method_names_from_class"]))


PATCHES = (remembered_method_names,)
