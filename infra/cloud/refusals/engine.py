"""What Terraform says of its own accord: disk, state, plans, providers, modules."""

from __future__ import annotations

from infra.cloud.refusals.refusal import Refusal
from infra.errors import FileError, StalePlan, StateError, StateLocked, ToolFailed, Unreachable

LOCK = (
    r"Lock Info: ID: (?P<id>\S+) Path: (?P<path>.*?) Operation: (?P<operation>.*?) Who: (?P<who>.*?) "
    r"Version: (?P<version>\S+) Created: (?P<created>\S+ \S+)"
)

TABLE: tuple[Refusal, ...] = (
    # The machine.
    Refusal(
        "disk-full",
        FileError,
        "the disk is full",
        "free some disk space, then run the same command again: it goes on where it stopped",
        patterns=(r"no space left on device", r"disk quota exceeded", r"file too large"),
    ),
    # Terraform's state and plans.
    Refusal(
        "state-locked",
        StateLocked,
        "the state is locked by {who}",
        "wait for that run to end; if it is dead, look at its lock and release it: infra unlock",
        "{operation} since {created} UTC, lock {id} on {path}",
        patterns=(r"Error acquiring the state lock.*?" + LOCK,),
    ),
    Refusal(
        "state-lock-failed",
        StateError,
        "the state cannot be locked",
        "look at what locks there are: infra unlock; check that the state's place can be written to: infra doctor",
        patterns=(r"Error acquiring the state lock Error message: (?P<message>.*?)(?: Terraform acquires|$)",),
    ),
    Refusal(
        "state-lock-lost",
        StateError,
        "the state's lock was taken away while Terraform worked",
        "run infra plan and look at what it says before the next infra apply",
        patterns=(r"Error releasing the state lock", r"Failed to unlock state"),
    ),
    Refusal(
        "plan-stale",
        StalePlan,
        "the saved plan is no longer true",
        "make a new one: infra plan",
        patterns=(r"Saved plan is stale", r"Saved plan does not match the given state"),
    ),
    Refusal(
        "state-unsaved",
        StateError,
        "the new state could not be saved",
        "run infra apply again: what was made but not recorded is found by its tags and adopted",
        patterns=(r"Failed to (?:save|persist) state", r"Error saving state", r"errored\.tfstate"),
    ),
    Refusal(
        "state-bucket-missing",
        StateError,
        "the state bucket {bucket} is not there",
        "correct state.s3.bucket in cluster.yaml; if it was really removed, and the state with it: remove the region's "
        ".terraform folder and run infra plan, which makes a new one",
        "NoSuchBucket",
        patterns=(
            r'S3 bucket "(?P<bucket>[^"]+)" does not exist',
            r"NoSuchBucket.*?bucket (?P<bucket>\S+) does not exist",
        ),
    ),
    # Providers.
    Refusal(
        "provider-version",
        ToolFailed,
        "the wanted version of provider {provider} is not offered where Terraform looks",
        "check the mirror in your Terraform CLI configuration (TF_CLI_CONFIG_FILE, ~/.terraformrc): infra doctor",
        patterns=(r"provider (?P<provider>[\w./-]+): (?P<message>no available releases match[^.]*(?:\.\d[^ ]*)*)",),
    ),
    Refusal(
        "registry-unreachable",
        Unreachable,
        "provider {provider} cannot be downloaded",
        "check the network and proxy settings, then run the same command again; offline, use a provider mirror "
        "(provider_installation in ~/.terraformrc) or endpoint: local",
        patterns=(
            r"Could not retrieve the list of available versions for provider (?P<provider>[\w./-]+): (?P<message>.*?)"
            r"(?: To see which modules|$)",
            r"Failed to install provider.*?Error while installing (?P<provider>[\w./-]+)[^:]*: (?P<message>.*)",
        ),
    ),
    Refusal(
        "provider-lock",
        ToolFailed,
        "the installed provider does not fit the project's lock file",
        "run the same command again; if it stays, remove the region's .terraform folder and .terraform.lock.hcl",
        patterns=(r"Inconsistent dependency lock file", r"doesn't match any of the checksums"),
    ),
    Refusal(
        "init-needed",
        ToolFailed,
        "the region's project is not initialised for this state or provider",
        "run infra plan: it initialises the project; if it stays, remove the region's .terraform folder",
        patterns=(r"Backend initialization required", r"Required plugins are not installed", r"Module not installed"),
    ),
    Refusal(
        "provider-unfit",
        ToolFailed,
        "the modules and the AWS provider do not fit each other: {message}",
        "this is a mistake in infra, or a provider outside the supported range: see infra doctor, and report it",
        "the rendered project names something that this provider does not have",
        patterns=(
            r"(?P<message>Unsupported (?:argument|attribute|block type).*)",
            r"(?P<message>Invalid resource type.*)",
        ),
    ),
)
