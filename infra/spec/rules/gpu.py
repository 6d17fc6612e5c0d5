"""GPU ↔ driver ↔ CUDA ↔ kernel module."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from infra.errors import Problem
from infra.spec import gpus
from infra.spec.explain import did_you_mean
from infra.spec.models import Nvidia
from infra.spec.rules.base import Context, Loc, Rule


@dataclass(frozen=True)
class Use:
    """A GPU model in a group of machines, and the driver part of the profile that they have."""

    label: str
    loc: Loc
    model: gpus.Model
    profile: str
    nvidia: Nvidia


def uses(ctx: Context) -> Iterator[Use]:
    """Every known GPU model that meets a profile with a driver; each model once for a group."""
    for group in ctx.groups:
        profile = ctx.profile(group.profile)
        if profile is None or profile.nvidia is None or profile.image is not None:
            continue
        seen = set()
        for place, name in enumerate(group.types):
            for model in models(ctx, name):
                if model.name not in seen:
                    seen.add(model.name)
                    label = f"{group.label} ({name}: {model.title}, {model.architecture})"
                    yield Use(label, group.type_loc(place), model, group.profile or "", profile.nvidia)
    for name, metal in ctx.cluster.metal.items():
        profile = ctx.profile(metal.profile)
        found = gpus.by_name(metal.gpus.model) if metal.gpus else None
        if profile and profile.nvidia and found:
            loc: Loc = ("metal", name, "gpus", "model")
            label = f"metal.{name} ({found.title}, {found.architecture})"
            yield Use(label, loc, found, metal.profile, profile.nvidia)


def models(ctx: Context, type_name: str) -> list[gpus.Model]:
    kind = ctx.kind(type_name)
    found = [gpus.by_ec2_name(gpu.name, gpu.manufacturer) for gpu in (kind.gpus if kind else ())]
    return [model for model in found if model is not None]


class GpuDriver(Rule):
    name = "gpu-driver"
    level = "error"
    summary = "The driver branch supports every GPU that has it: 470 is the last for Kepler, 580 for Maxwell to Volta."
    passes = 'profiles: {gpu: {nvidia: {driver: "580"}}}\npools: {gpu: {instance_types: [p3.8xlarge]}}'
    fails = 'profiles: {gpu: {nvidia: {driver: "590"}}}\npools: {gpu: {instance_types: [p3.8xlarge]}}'

    def check(self, ctx: Context) -> Iterator[Problem]:
        for use in uses(ctx):
            last, least = use.model.architecture.last_driver, use.model.least_driver
            driver = gpus.branch(use.nvidia.driver)
            if last is not None and driver > last:
                why, fix = f"{last} is the last branch for {use.model.architecture}", f'write: driver: "{last}"'
            elif driver < least:
                why, fix = f"{use.model.title} needs {least} or newer", f'write: driver: "{max(least, 580)}"'
            else:
                continue
            what = f"driver {use.nvidia.driver} of the profile {use.profile} does not run {use.label}"
            yield self.found(ctx, use.loc, what, why, f"{fix}, or use a profile of its own for these machines")


class GpuCuda(Rule):
    name = "gpu-cuda"
    level = "error"
    summary = "The CUDA toolkit supports every GPU that has it: 12.9 is the last for Maxwell, Pascal and Volta."
    passes = 'profiles: {gpu: {nvidia: {cuda: "12.9"}}}\npools: {gpu: {instance_types: [p3.8xlarge]}}'
    fails = 'profiles: {gpu: {nvidia: {cuda: "13.0"}}}\npools: {gpu: {instance_types: [p3.8xlarge]}}'

    def check(self, ctx: Context) -> Iterator[Problem]:
        for use in uses(ctx):
            kind, cuda = use.model.architecture, gpus.version(use.nvidia.cuda)
            first, last = ".".join(map(str, kind.first_cuda)), ".".join(map(str, kind.last_cuda or ()))
            if kind.last_cuda is not None and cuda[:2] > kind.last_cuda:
                why, fix = f"CUDA {last} is the last for {kind}", f'write: cuda: "{last}"'
            elif cuda[:2] < kind.first_cuda[: len(cuda)]:
                why, fix = f"{kind} needs CUDA {first} or newer", f'write: cuda: "{first}" or newer'
            else:
                continue
            what = f"CUDA {use.nvidia.cuda} of the profile {use.profile} has no code for {use.label}"
            yield self.found(ctx, use.loc, what, why, f"{fix}, or use a profile of its own for these machines")


class GpuModule(Rule):
    name = "gpu-module"
    level = "error"
    summary = "The kernel module fits: open needs Turing or newer and driver 515; Blackwell has only the open one."
    passes = "profiles: {gpu: {nvidia: {module: proprietary}}}\npools: {gpu: {instance_types: [p3.8xlarge]}}"
    fails = "profiles: {gpu: {nvidia: {module: open}}}\npools: {gpu: {instance_types: [p3.8xlarge]}}"

    def check(self, ctx: Context) -> Iterator[Problem]:
        for use in uses(ctx):
            module, allowed = use.nvidia.module, use.model.architecture.modules
            if module is not None and module not in allowed:
                yield self.found(
                    ctx,
                    use.loc,
                    f"the {module} kernel module of the profile {use.profile} does not drive {use.label}",
                    f"{use.model.architecture} needs the {allowed[0]} one",
                    f"write: module: {allowed[0]}; or leave module out, and what the GPU needs is taken",
                )
        for name, profile in ctx.cluster.profiles.items():
            nvidia = profile.nvidia
            if nvidia and nvidia.module == "open" and gpus.branch(nvidia.driver) < gpus.OPEN_SINCE:
                yield self.found(
                    ctx,
                    ("profiles", name, "nvidia", "module"),
                    f"driver {nvidia.driver} has no open kernel module",
                    f"it came with {gpus.OPEN_SINCE}",
                    "remove module, or take a newer driver",
                )


class GpuModuleOne(Rule):
    name = "gpu-module-one"
    level = "error"
    summary = "All machines of a profile can have the same kernel module."
    passes = "pools: {gpu: {instance_types: [p3.8xlarge]}}\nhosts: {dev: {profile: gpu, instance_type: g4dn.xlarge}}"
    fails = (
        "pools: {gpu: {instance_types: [p3.8xlarge]}}\nhosts: {dev: {profile: gpu, instance_type: p6-b200.48xlarge}}"
    )

    def check(self, ctx: Context) -> Iterator[Problem]:
        found: dict[str, list[Use]] = {}
        for use in uses(ctx):
            if use.nvidia.module is None:
                found.setdefault(use.profile, []).append(use)
        for profile, group in found.items():
            only = {use.model.architecture.modules[0]: use for use in group if len(use.model.architecture.modules) == 1}
            if len(only) > 1:
                yield self.found(
                    ctx,
                    ("profiles", profile),
                    f"the machines of the profile {profile} need different kernel modules",
                    f"{only['proprietary'].label} needs the proprietary one, {only['open'].label} the open one",
                    "give them a profile each",
                )


class CudaDriver(Rule):
    name = "cuda-driver"
    level = "error"
    summary = "The driver is new enough for the CUDA toolkit: 11.x needs 450, 12.x 525, 13.x 580."
    passes = 'profiles: {gpu: {nvidia: {driver: "580", cuda: "13.0"}}}'
    fails = 'profiles: {gpu: {nvidia: {driver: "570", cuda: "13.0"}}}'

    def check(self, ctx: Context) -> Iterator[Problem]:
        for name, profile in ctx.cluster.profiles.items():
            if profile.nvidia is None:
                continue
            least = gpus.least_driver(gpus.version(profile.nvidia.cuda))
            driver = gpus.branch(profile.nvidia.driver)
            if least is not None and driver < least:
                newest = gpus.newest_cuda(driver)
                yield self.found(
                    ctx,
                    ("profiles", name, "nvidia", "driver"),
                    f"driver {profile.nvidia.driver} of the profile {name} is too old for CUDA {profile.nvidia.cuda}",
                    f"programs of CUDA {profile.nvidia.cuda} need driver {least} or newer",
                    f'write: driver: "{least}"' + (f'; or cuda: "{newest}"' if newest else ""),
                )


class CudaDriverMinor(Rule):
    name = "cuda-driver-minor"
    level = "warning"
    summary = "The driver is at least the one that the CUDA toolkit came with."
    passes = 'profiles: {gpu: {nvidia: {driver: "580", cuda: "12.9"}}}'
    fails = 'profiles: {gpu: {nvidia: {driver: "535", cuda: "12.9"}}}'

    def check(self, ctx: Context) -> Iterator[Problem]:
        for name, profile in ctx.cluster.profiles.items():
            if profile.nvidia is None:
                continue
            cuda, driver = gpus.version(profile.nvidia.cuda), gpus.branch(profile.nvidia.driver)
            own, least = gpus.CUDA_DRIVER.get(cuda[:2]), gpus.least_driver(cuda)
            if own and least and least <= driver < own:
                yield self.found(
                    ctx,
                    ("profiles", name, "nvidia", "driver"),
                    f"driver {profile.nvidia.driver} of the profile {name} is older than CUDA {profile.nvidia.cuda}",
                    f"it came with {own}; an older one runs its compiled kernels, but not its PTX",
                    f'write: driver: "{max(own, 580) if own <= 580 else own}"; or cuda: "{gpus.newest_cuda(driver)}"',
                )


class GpuProfile(Rule):
    name = "gpu-profile"
    level = "warning"
    summary = "Machines with NVIDIA GPUs have a profile with nvidia."
    passes = "pools: {gpu: {profile: gpu, instance_types: [g4dn.xlarge]}}"
    fails = "pools: {gpu: {profile: cpu, instance_types: [g4dn.xlarge]}}"

    def check(self, ctx: Context) -> Iterator[Problem]:
        for group in ctx.groups:
            profile = ctx.profile(group.profile)
            if profile is None or profile.nvidia is not None or profile.image is not None:
                continue
            for place, name in enumerate(group.types):
                if models(ctx, name):
                    yield self._problem(ctx, group.type_loc(place), f"{group.label} has GPUs ({name})", group.profile)
                    break
        for name, metal in ctx.cluster.metal.items():
            profile = ctx.profile(metal.profile)
            if metal.gpus and profile and profile.nvidia is None:
                yield self._problem(ctx, ("metal", name, "profile"), f"metal.{name} has GPUs", metal.profile)

    def _problem(self, ctx: Context, loc: Loc, what: str, profile: str | None) -> Problem:
        return self.found(
            ctx,
            loc,
            f"{what}, and its profile {profile} has no driver",
            "the GPUs could not be used",
            f"add nvidia to the profile: profiles: {{{profile}: {{nvidia: {{}}}}}}; or use another profile",
        )


class CpuProfile(Rule):
    name = "cpu-profile"
    level = "warning"
    summary = "Machines without an NVIDIA GPU do not have a profile with nvidia."
    passes = "pools: {cpu: {profile: cpu, instance_types: [m5.large]}}"
    fails = "pools: {cpu: {profile: gpu, instance_types: [m5.large]}}"

    def check(self, ctx: Context) -> Iterator[Problem]:
        for group in ctx.groups:
            profile = ctx.profile(group.profile)
            if profile is None or profile.nvidia is None:
                continue
            for place, name in enumerate(group.types):
                kind = ctx.kind(name)
                if kind and not any(gpu.manufacturer.upper() == "NVIDIA" for gpu in kind.gpus):
                    have = ", ".join(f"{gpu.manufacturer} {gpu.name}" for gpu in kind.gpus) or "no GPU"
                    yield self.found(
                        ctx,
                        group.type_loc(place),
                        f"{group.label} has NVIDIA's driver in its profile, and {name} has {have}",
                        "the driver's kernel module would not load there",
                        "use a profile without nvidia, or an instance type with NVIDIA GPUs",
                    )
                    break


class GpuMixed(Rule):
    name = "gpu-mixed"
    level = "warning"
    summary = "A pool has one model of GPU."
    passes = "pools: {gpu: {instance_types: [p3.8xlarge, p3.16xlarge]}}"
    fails = "pools: {gpu: {instance_types: [p3.8xlarge, g4dn.xlarge]}}"

    def check(self, ctx: Context) -> Iterator[Problem]:
        for group in ctx.groups:
            found = {name: [model.title for model in models(ctx, name)] or ["no GPU"] for name in group.types}
            titles = {title for item in found.values() for title in item}
            if len(titles) > 1 and titles != {"no GPU"}:
                shown = ", ".join(f"{name} ({'+'.join(item)})" for name, item in found.items())
                yield self.found(
                    ctx,
                    (*group.loc, "instance_types"),
                    f"{group.label} mixes GPUs: {shown}",
                    "which one a job gets is chance, and so are its memory and speed",
                    "make a pool for each",
                )


def _models_like(name: str) -> str:
    """``titan-x`` is two generations: all that begin so are named."""
    longer = [model for model in gpus.MODELS if model.startswith(name)]
    return f"did you mean: {' or '.join(longer)}" if longer else did_you_mean(name, gpus.MODELS, "check its name")


class GpuKnown(Rule):
    name = "gpu-known"
    level = "warning"
    summary = "metal.*.gpus.model is a model we know, so that driver and CUDA can be checked."
    passes = "metal: {desk: {profile: gpu, hosts: [left], gpus: {model: titan-x-pascal, count: 1}}}"
    fails = "metal: {desk: {profile: gpu, hosts: [left], gpus: {model: titan-x, count: 1}}}"

    def check(self, ctx: Context) -> Iterator[Problem]:
        for name, metal in ctx.cluster.metal.items():
            if metal.gpus and gpus.by_name(metal.gpus.model) is None:
                yield self.found(
                    ctx,
                    ("metal", name, "gpus", "model"),
                    f"the GPU {metal.gpus.model!r} is not known",
                    "whether driver, CUDA and kernel module fit it cannot be checked",
                    _models_like(metal.gpus.model),
                )


RULES = (
    GpuDriver,
    GpuCuda,
    GpuModule,
    GpuModuleOne,
    CudaDriver,
    CudaDriverMinor,
    GpuProfile,
    CpuProfile,
    GpuMixed,
    GpuKnown,
)
