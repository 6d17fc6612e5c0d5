"""Values of a ``main.tf.json``: Terraform reads every text there as a template, so literals are escaped here."""

from __future__ import annotations

import json
from typing import Any


class Ref(str):
    """A Terraform expression, such as ``module.network.vpc_id``."""

    __slots__ = ()


def terms(value: Any) -> Any:
    """``value`` as JSON data for Terraform: a Ref becomes ``${…}``, in other texts and keys ``${`` and ``%{`` lose
    their meaning."""
    if isinstance(value, Ref):
        return "${" + value + "}"
    if isinstance(value, str):
        return _literal(value)
    if isinstance(value, dict):
        return {_literal(key): terms(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [terms(item) for item in value]
    return value


def expression(value: Any) -> str:
    """Data as an expression of HCL, which reads JSON."""
    return json.dumps(terms(value), ensure_ascii=False)


def identifier(name: str) -> str:
    """A name of the file as a Terraform name: dashes become underscores (names have no underscores of their own)."""
    return name.replace("-", "_")


def tag_of_address(address: str) -> str:
    """The value of the tag ``infra:address`` for a Terraform address.

    Most AWS services refuse brackets and quotes in tags, so ``aws_subnet.private["us-west-2a"]`` is written
    ``aws_subnet.private/us-west-2a``.
    """
    return address.replace('["', "/").replace('"]', "")


def address_of_tag(value: str) -> str:
    """The Terraform address behind a value of the tag ``infra:address``; the inverse of :func:`tag_of_address`."""
    path, slash, key = value.partition("/")
    return f'{path}["{key}"]' if slash and "[" not in path else value


def _literal(text: str) -> str:
    if "{" not in text:
        return text
    return text.replace("${", "$${").replace("%{", "%%{")
