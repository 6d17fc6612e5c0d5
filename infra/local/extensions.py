"""Everything that we change in moto, in one list.

A patch is one small function with the reason in its docstring; it changes classes, never instances, so it is put in
before the first request of a service and state is kept on moto's own backends (a reset then clears it with the rest).
To add one: write the function in ``moto_<service>*.py`` and name it in that module's ``PATCHES``.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

Patch = Callable[[], None]

MODULES: dict[str, tuple[str, ...]] = {
    "core": ("moto_core",),
    "ec2": (
        "moto_ec2",
        "moto_ec2_images",
        "moto_ec2_types",
        "moto_ec2_placement",
        "moto_ec2_templates",
        "moto_ec2_launch",
        "moto_ec2_interfaces",
        "moto_ec2_endpoints",
        "moto_ec2_peering",
        "moto_ec2_nodes",
        "moto_ec2_spot",
    ),
    "iam": ("moto_iam",),
    "efs": ("moto_efs",),
    "elbv2": ("moto_elbv2",),
    "ssm": ("moto_ssm",),
    "autoscaling": ("moto_autoscaling", "moto_autoscaling_refresh"),
}
"""moto's name of a service -> our modules for it, in the order in which they are put in."""

ALONE = frozenset({"sts", "iam", "s3"})
"""Services that never touch EC2's models, so that they can answer before those are loaded."""

_installed: set[str] = set()


def install(service: str) -> None:
    """Put in what a service needs. Idempotent; the caller makes sure that one thread does it at a time."""
    wanted = ["core", "iam"] if service in ALONE else ["core", "iam", "ec2"]
    for name in [*wanted, service]:
        if name in _installed:
            continue
        _installed.add(name)
        for module in MODULES.get(name, ()):
            for patch in patches(module):
                patch()


def patches(module: str) -> tuple[Patch, ...]:
    """The patches of one of our modules, in order."""
    found: tuple[Patch, ...] = importlib.import_module(f"infra.local.{module}").PATCHES
    return found


def reset() -> None:
    """Forget every resource of every account and region."""
    from moto.core.base_backend import BackendDict
    from moto.core.model_instances import reset_model_data

    from infra.local import supply

    BackendDict.reset()
    reset_model_data()
    supply.reset()


def put(owner: Any, name: str, value: Any) -> None:
    """Set an attribute of one of moto's classes or modules; what it was, or whether it was, does not matter."""
    setattr(owner, name, value)


def wrap(owner: Any, name: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Replace ``owner.name`` by a function that gets the original as its first argument.

    ``@wrap(EC2Backend, "run_instances")`` on ``def _(original, self, ...)``.
    """
    original = getattr(owner, name)

    def decorate(replacement: Callable[..., Any]) -> Callable[..., Any]:
        def method(*args: Any, **kwargs: Any) -> Any:
            return replacement(original, *args, **kwargs)

        method.__name__ = name
        setattr(owner, name, method)
        return method

    return decorate
