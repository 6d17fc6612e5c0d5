"""Machines that fetch their policy by themselves."""

from __future__ import annotations

from collections.abc import Iterator

from infra.errors import Problem
from infra.spec import ledger
from infra.spec.rules.base import Context, Rule


class PullPlace(Rule):
    name = "pull-place"
    level = "error"
    summary = "Machines that pull are told which bucket: state.s3, or the account that the cluster's own is named by."
    passes = "converge: {pull: 30m}\nstate: {s3: {bucket: example-state, region: us-west-2}}"
    fails = "converge: {pull: 30m}"

    def check(self, ctx: Context) -> Iterator[Problem]:
        if ctx.cluster.converge.pull is not None and ledger.known(ctx.cluster) is None:
            yield self.found(
                ctx,
                ("converge", "pull"),
                "where machines find the promoted policy is not known",
                "the bucket's name is a part of their policy, and the cluster's own bucket is named by the account",
                'add state: {s3: {bucket: …, region: …}}, or the account: aws: {account: "123456789012"}',
            )


class PullBase(Rule):
    name = "pull-run-list"
    level = "warning"
    summary = "Where machines pull, every profile has a run-list: its recipes install the timer."
    passes = (
        "converge: {pull: 30m}\naws: {account: '123456789012'}\n"
        "profiles: {cpu: {run_list: ['recipe[base]']}, gpu: {run_list: ['recipe[base]']}}"
    )
    fails = "converge: {pull: 30m}\naws: {account: '123456789012'}\nprofiles: {gpu: {run_list: ['recipe[base]']}}"

    def check(self, ctx: Context) -> Iterator[Problem]:
        if ctx.cluster.converge.pull is None:
            return
        for name, profile in ctx.cluster.profiles.items():
            if not profile.run_list:
                yield self.found(
                    ctx,
                    ("profiles", name),
                    f"machines of {name} do not pull",
                    "it has no run_list, and the recipe base::pull is what installs the timer",
                    "give it one: run_list: [recipe[base]]",
                )


RULES = (PullPlace, PullBase)
