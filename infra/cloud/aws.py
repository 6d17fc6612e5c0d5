"""The driver of AWS: sessions, clients, and AWS's refusals in a user's words. botocore is imported on first use.

With ``endpoint: local`` nothing of the user's AWS configuration is looked at: no environment, no files, no proxy, no
instance role. Every call has a deadline: connect, read, and a number of attempts.
"""

from __future__ import annotations

import contextlib
import os
import re
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import quote, urlsplit

from infra import __version__, proc
from infra.errors import (
    CloudError,
    ExpiredCredentials,
    InfraError,
    LocalError,
    NoCredentials,
    Refused,
    Throttled,
    Unreachable,
    UsageError,
)
from infra.proc import SECRETS

if TYPE_CHECKING:
    from infra.spec.models import Aws

T = TypeVar("T")
DUMMY = "infra-local"
IDENTITY_DEADLINE = 60.0


@dataclass(frozen=True, slots=True)
class Limits:
    """How patient a client is: seconds to connect, seconds between bytes, attempts in all."""

    connect: float
    read: float
    attempts: int


PATIENT = Limits(5.0, 30.0, 6)
QUICK = Limits(3.0, 8.0, 2)


@dataclass(frozen=True, slots=True)
class Identity:
    """Who we are to AWS. ``skew`` is AWS's clock minus ours in seconds, None when it did not say."""

    account: str
    arn: str
    skew: float | None = None

    def data(self) -> dict[str, str]:
        return {"account": self.account, "arn": self.arn}


@dataclass(slots=True)
class Session:
    """Clients for one cluster's account. Safe to use from many threads."""

    aws: Aws
    endpoint: str | None
    limits: Limits = PATIENT
    _core: Any = None
    _clients: dict[tuple[str, str], Any] = field(default_factory=dict)
    _lock: threading.RLock = field(default_factory=threading.RLock)
    _identity: Identity | None = None
    _asking: threading.Lock = field(default_factory=threading.Lock)

    @property
    def local(self) -> bool:
        return _local(self.aws)

    @property
    def profile(self) -> str:
        """The profile in use, '' for none; never one with the embedded AWS."""
        return "" if self.local else self.aws.profile or os.environ.get("AWS_PROFILE", "")

    def client(self, service: str, region: str = "") -> Any:
        """A botocore client. Raises NoCredentials, UsageError and what the credentials' source may say."""
        key = (service, region or self.aws.home)
        with self._lock:
            if key not in self._clients:
                with translated(f"{service}:client", profile=self.profile):
                    self._clients[key] = self._make(*key)
            return self._clients[key]

    def identity(self) -> Identity:
        """sts:GetCallerIdentity, asked once. A credential process that hangs is given up after a minute."""
        with self._asking:
            if self._identity is None:
                self._identity = within(IDENTITY_DEADLINE, "AWS did not say who we are", self._ask)
            return self._identity

    def guard(self) -> Identity:
        """The identity; Refused when cluster.yaml names another account than the credentials are of."""
        found = self.identity()
        if self.aws.account and not self.local and found.account != self.aws.account:
            raise Refused(
                f"these credentials are of account {found.account}, cluster.yaml is for {self.aws.account}",
                where="aws.account",
                why=f"you are {found.arn}",
                fix="use the right profile (aws.profile, AWS_PROFILE), or correct aws.account",
            )
        return found

    def expiry(self) -> datetime | None:
        """When the credentials end; None when they do not, or nobody knows."""
        with translated("credentials", profile=self.profile):
            credentials = self._open().get_credentials()
            if credentials is None or not hasattr(credentials, "_expiry_time"):
                return None
            credentials.get_frozen_credentials()
            moment = credentials._expiry_time
        return moment if isinstance(moment, datetime) else None

    def _ask(self) -> Identity:
        with translated("sts:GetCallerIdentity", profile=self.profile):
            said = self.client("sts").get_caller_identity()
        return Identity(said["Account"], said["Arn"], skew(said))

    def _open(self) -> Any:
        with self._lock:
            if self._core is None:
                # A credential process may hang, and botocore would wait for it.
                late = "the AWS credentials were not to be had in time"
                self._core = _shielded() if self.local else within(IDENTITY_DEADLINE, late, lambda: _users(self.aws))
            return self._core

    def _make(self, service: str, region: str) -> Any:
        from botocore.config import Config

        direct: dict[str, Any] = {"proxies": {}} if self.local else {}  # {} is «none», unlike leaving it out
        config = Config(
            connect_timeout=self.limits.connect,
            read_timeout=self.limits.read,
            retries={"mode": "adaptive", "total_max_attempts": self.limits.attempts},
            user_agent_extra=f"infra/{__version__}",
            max_pool_connections=20,
            ignore_configured_endpoint_urls=self.endpoint is not None,
            s3={"addressing_style": "path"} if self.endpoint else {},
            **direct,
        )
        return self._open().create_client(service, region_name=region, endpoint_url=self.endpoint, config=config)


def session(aws: Aws, endpoint_url: str | None = None, limits: Limits = PATIENT) -> Session:
    """A session for a cluster's ``aws:`` section.

    ``endpoint_url`` is where AWS is: None for AWS itself (or what the section says). For ``endpoint: local`` it must
    be the running server's URL. Raises LocalError without it, UsageError for a URL that holds a password.
    """
    url = endpoint_url or (None if _local(aws) else aws.endpoint)
    if _local(aws) and url is None:
        raise LocalError("the embedded AWS is not running", fix="start it: infra local up")
    if url is not None:
        check_endpoint(url)
    register_environment()
    return Session(aws, url, limits)


def check_endpoint(url: str) -> None:
    """Raise UsageError for an endpoint that cannot be used: it would be written into files, so no password in it."""
    parts = urlsplit(url)
    if parts.username or parts.password:
        SECRETS.add(parts.password)
        raise UsageError(
            "the endpoint's URL holds a user or a password",
            where="aws.endpoint, --endpoint or INFRA_AWS_ENDPOINT",
            why="it would be written into the Terraform project, its plan and its log",
            fix="leave it out of the URL; credentials go into the environment or ~/.aws/credentials",
        )
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise UsageError("the endpoint is not a URL", where="aws.endpoint", fix="write: http://127.0.0.1:5000")


@contextlib.contextmanager
def translated(action: str, where: str = "", profile: str = "") -> Iterator[None]:
    """Inside, botocore's exceptions become InfraErrors. ``action`` is as IAM names it, such as ec2:DescribeVpcs."""
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        yield
    except (BotoCoreError, ClientError) as error:
        raise translate(error, action, where, profile) from error


def translate(error: Exception, action: str, where: str = "", profile: str = "") -> InfraError:
    """The InfraError for an exception of botocore. AWS's error code decides, else the words."""
    from infra.cloud.refusals import diagnose

    code, message = code_of(error), SECRETS.redact(str(error))
    if code:
        operation = getattr(error, "operation_name", "")
        action = f"{action.partition(':')[0]}:{operation}" if operation else action
        message = SECRETS.redact(_message_of(error))
        found = diagnose.recognise(f"{code}: {message}", profile=profile, action=action)
        found = found or diagnose.coded(code, message, profile=profile, action=action)
    else:
        found = diagnose.recognise(message, profile=profile, action=action)
    if found is not None:
        problem = found.problem(where or action)
        return found.entry.kind(problem.what, problems=[problem])
    kind, what = _by_type(error, action, code)
    return kind(what, where=where or action, why=message, fix="look at what AWS says; see also: infra doctor")


def code_of(error: BaseException) -> str:
    """AWS's error code, such as NoSuchBucket; '' for an exception that did not come from AWS."""
    answer = getattr(error, "response", None)
    if not isinstance(answer, Mapping):
        return ""
    status = answer.get("ResponseMetadata", {}).get("HTTPStatusCode", "")
    return str(answer.get("Error", {}).get("Code") or status or "")


def skew(answer: Mapping[str, Any]) -> float | None:
    """AWS's clock minus ours in seconds, from an answer's Date header."""
    from email.utils import parsedate_to_datetime

    said = answer.get("ResponseMetadata", {}).get("HTTPHeaders", {}).get("date", "")
    try:
        return (parsedate_to_datetime(said) - datetime.now(UTC)).total_seconds()
    except (TypeError, ValueError):
        return None


def within(seconds: float, what: str, function: Callable[[], T]) -> T:
    """``function()``, or Unreachable after ``seconds``: for what has no deadline of its own."""
    try:
        return proc.bounded(seconds, function)
    except proc.Late as late:
        raise Unreachable(what, why=str(late), fix="check the network and proxy settings, then try again") from late


def register_environment(environment: Mapping[str, str] | None = None) -> None:
    """Tell the redactor every secret that the environment holds: nothing that we print or keep may show one."""
    for name, value in (os.environ if environment is None else environment).items():
        if _secret_name(name):
            _register(value)
        if "://" in value and "@" in value:
            with contextlib.suppress(ValueError):
                _register(urlsplit(value).password)


# Not every name with TOKEN in it: TOKENIZERS_PARALLELISM is none, and a _FILE or _PATH is only where a secret is.
_SECRET_NAME = re.compile(
    r"^TF_TOKEN_|(?:^|_)(?:SECRET|TOKEN|PASSWORD|PASSWD|PASSPHRASE|CREDENTIALS?|(?:SECRET|PRIVATE|API|ACCESS)_?KEY)$"
    r"|SECRET_ACCESS_KEY|^TF_VAR_.*(?:SECRET|TOKEN|PASSWORD|KEY)",
    re.IGNORECASE,
)
_SHORT_WORD = 8


def _secret_name(name: str) -> bool:
    return _SECRET_NAME.search(name) is not None


def _register(value: str | None) -> None:
    # A short plain word is no secret worth the name, and blotting it out would spoil what Terraform says.
    if value and value != DUMMY and not (value.isalpha() and len(value) < _SHORT_WORD):
        for form in (value, quote(value, safe="")):
            SECRETS.add(form)


def _local(aws: Aws) -> bool:
    from infra.spec.models import LOCAL  # costs pydantic: whoever has an Aws has paid for it

    return aws.endpoint == LOCAL


def _shielded() -> Any:
    """A botocore session that sees no environment variable and no file, with dummy credentials."""
    import botocore.session
    from botocore.configprovider import BOTOCORE_DEFAUT_SESSION_VARIABLES as KNOWN

    blind = {name: (None, None, default, convert) for name, (_, _, default, convert) in KNOWN.items()}
    for name in ("config_file", "credentials_file"):
        blind[name] = (None, None, os.devnull, None)
    core = botocore.session.Session(session_vars=blind)
    core.set_credentials(DUMMY, DUMMY)
    return core


def _users(aws: Aws) -> Any:
    import botocore.session

    core = botocore.session.Session(profile=aws.profile)
    credentials = core.get_credentials()
    if credentials is None:
        raise NoCredentials(
            "no AWS credentials were found",
            why="looked in the environment, ~/.aws and the instance's role",
            fix=(
                f"log in: aws sso login{f' --profile {aws.profile}' if aws.profile else ''}, or aws configure, or set "
                "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY; to try without an account: --endpoint local"
            ),
        )
    if not hasattr(credentials, "_expiry_time"):  # asking a refreshable one would fetch it
        _register(credentials.secret_key)
        _register(credentials.token)
    return core


def _message_of(error: BaseException) -> str:
    answer = getattr(error, "response", {})
    return str(answer.get("Error", {}).get("Message") or error)


def _by_type(error: Exception, action: str, code: str) -> tuple[type[InfraError], str]:
    """For words that the table does not know."""
    from botocore import exceptions

    if isinstance(error, exceptions.SSOError | exceptions.LoginError | exceptions.TokenRetrievalError):
        return ExpiredCredentials, "the AWS login is no longer good: log in again (aws sso login)"
    if isinstance(error, exceptions.CredentialRetrievalError | exceptions.NoAuthTokenError):
        return NoCredentials, "the AWS credentials cannot be fetched"
    if isinstance(error, exceptions.CapacityNotAvailableError):
        return Throttled, "AWS answers too slowly for so many requests (throttling)"
    if isinstance(error, exceptions.ConnectionError | exceptions.HTTPClientError):
        return Unreachable, "AWS cannot be reached"
    if isinstance(error, exceptions.ConfigParseError | exceptions.InvalidConfigError):
        return UsageError, "your AWS configuration (~/.aws/config) cannot be read"
    return CloudError, f"AWS refused {action}{f' ({code})' if code else ''}"
