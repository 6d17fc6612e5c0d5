"""The client that converges machines."""

from __future__ import annotations

from collections.abc import Iterator

from infra.errors import Problem
from infra.spec.rules.base import Context, Rule


class ChefPackage(Rule):
    name = "chef-package"
    level = "error"
    summary = "Chef's own client comes with the url of its package; Cinc's may be left out."
    passes = "chef: {client: cinc, version: 18.5.0}"
    fails = "chef: {client: chef, version: 18.5.0}"

    def check(self, ctx: Context) -> Iterator[Problem]:
        chef = ctx.cluster.chef
        if chef.client == "chef" and chef.url is None:
            yield self.found(
                ctx,
                ("chef",),
                "where the chef client's package comes from is not given",
                "Chef's own packages are not to be had without a licence",
                "write chef: {client: chef, url: …, sha256: …}, or leave client out for Cinc, which is free",
            )


class ChefPinned(Rule):
    name = "chef-pinned"
    level = "error"
    summary = "A package of the client is pinned by its sha256."
    passes = f"chef: {{url: https://example.org/cinc.deb, sha256: {'0123456789abcdef' * 4}}}"
    fails = "chef: {url: https://example.org/cinc.deb}"

    def check(self, ctx: Context) -> Iterator[Problem]:
        chef = ctx.cluster.chef
        if chef.url is not None and not chef.sha256:
            yield self.found(
                ctx,
                ("chef", "url"),
                f"{chef.url} is not pinned",
                "it is installed as root on every machine: it must be the one that you have looked at",
                "add sha256, as its publisher says it: chef: {url: …, sha256: …}",
            )


RULES = (ChefPackage, ChefPinned)
