"""The driver's own rules: nothing leaks in, refusals are translated, secrets are known to the redactor."""

from __future__ import annotations

import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import pytest
from botocore import exceptions as boto

from infra import proc
from infra.cloud import aws
from infra.errors import (
    AccessDenied,
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
from infra.spec.models import Aws

LOCAL = Aws(regions=["us-west-2"], endpoint="local")
HERE = "http://127.0.0.1:9"


def refusal(code: str, message: str = "words", operation: str = "DescribeVpcs", status: int = 400) -> boto.ClientError:
    answer = {"Error": {"Code": code, "Message": message}, "ResponseMetadata": {"HTTPStatusCode": status}}
    return boto.ClientError(answer, operation)


@pytest.fixture
def bad_configuration(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Everything in a user's AWS configuration that could break or bend a session."""
    config = tmp_path / "config"
    config.write_text("[default]\nuse_dualstack_endpoint = true\n[broken\n")
    monkeypatch.setenv("HOME", str(tmp_path))
    for name, value in {
        "AWS_PROFILE": "nobody",
        "AWS_CONFIG_FILE": str(config),
        "AWS_SHARED_CREDENTIALS_FILE": str(config),
        "AWS_ENDPOINT_URL": "http://elsewhere.invalid",
        "AWS_ENDPOINT_URL_EC2": "http://elsewhere.invalid",
        "AWS_CA_BUNDLE": "/nowhere.pem",
        "AWS_USE_FIPS_ENDPOINT": "true",
        "AWS_RETRY_MODE": "bogus",
        "AWS_MAX_ATTEMPTS": "many",
        "AWS_DEFAULTS_MODE": "bogus",
        "AWS_ACCESS_KEY_ID": "AKIAUSERSOWN00000000",
        "AWS_SECRET_ACCESS_KEY": "the-users-own-secret",
        "AWS_SESSION_TOKEN": "the-users-own-token",
        "HTTP_PROXY": "http://127.0.0.1:1",
    }.items():
        monkeypatch.setenv(name, value)


def test_importing_the_driver_is_free() -> None:
    names = ("boto3", "botocore", "pydantic", "email.utils")
    code = f"import sys, infra.cloud.aws; print([name for name in {names} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=30)
    assert done.stdout.strip() == "[]"


@pytest.mark.usefixtures("bad_configuration")
def test_nothing_of_the_user_reaches_the_embedded_aws() -> None:
    session = aws.session(LOCAL, HERE)
    client = session.client("ec2")
    assert client.meta.endpoint_url == HERE
    assert session.profile == ""
    credentials = session._open().get_credentials()
    assert (credentials.access_key, credentials.secret_key, credentials.token) == (aws.DUMMY, aws.DUMMY, None)
    with pytest.raises(Unreachable) as caught, aws.translated("ec2:DescribeVpcs"):
        aws.session(LOCAL, HERE, aws.Limits(0.5, 0.5, 1)).client("ec2").describe_vpcs()
    assert "127.0.0.1:9" in caught.value.text()
    assert "proxy" not in caught.value.text()


def test_local_needs_a_running_server() -> None:
    with pytest.raises(LocalError, match="not running"):
        aws.session(LOCAL)


@pytest.mark.parametrize("url", ["http://ada:hunter22@127.0.0.1:5000", "http://ada@127.0.0.1"])
def test_no_password_in_an_endpoint(url: str) -> None:
    with pytest.raises(UsageError) as caught:
        aws.session(LOCAL, url)
    assert "hunter22" not in caught.value.text()


@pytest.mark.parametrize("url", ["127.0.0.1:5000", "ftp://x", "http://", "local"])
def test_an_endpoint_is_a_url(url: str) -> None:
    with pytest.raises(UsageError):
        aws.check_endpoint(url)


@pytest.mark.parametrize(
    ("error", "kind", "words"),
    [
        (boto.NoCredentialsError(), NoCredentials, "aws sso login --profile lab"),
        (boto.PartialCredentialsError(provider="env", cred_var="AWS_SECRET_ACCESS_KEY"), NoCredentials, "set both"),
        (boto.ProfileNotFound(profile="lab-x"), NoCredentials, "aws configure --profile lab-x"),
        (boto.NoRegionError(), UsageError, "regions: [us-west-2]"),
        (boto.EndpointConnectionError(endpoint_url="https://ec2/"), Unreachable, "https://ec2/"),
        (boto.ConnectTimeoutError(endpoint_url="https://ec2/"), Unreachable, "timeout"),
        (boto.ReadTimeoutError(endpoint_url="https://ec2/"), Unreachable, "timeout"),
        (boto.ConnectionClosedError(endpoint_url="https://ec2/"), Unreachable, "closed"),
        (boto.ProxyConnectionError(proxy_url="http://proxy:3128"), Unreachable, "HTTPS_PROXY"),
        (boto.SSLError(endpoint_url="https://ec2/", error="certificate verify failed"), Unreachable, "AWS_CA_BUNDLE"),
        (boto.UnauthorizedSSOTokenError(), ExpiredCredentials, "aws sso login --profile lab"),
        (boto.SSOTokenLoadError(error_msg="Token for lab does not exist"), ExpiredCredentials, "aws sso login"),
        (boto.LoginRefreshRequired(), ExpiredCredentials, "log in again"),
        (
            boto.TokenRetrievalError(provider="sso", error_msg="Token has expired and refresh failed"),
            ExpiredCredentials,
            "aws sso login",
        ),
        (boto.CredentialRetrievalError(provider="custom-process", error_msg="exit 1"), NoCredentials, "exit 1"),
        (boto.ConfigParseError(path="~/.aws/config"), UsageError, "~/.aws/config"),
        (boto.CapacityNotAvailableError(), Throttled, "throttling"),
        (boto.DataNotFoundError(data_path="x"), CloudError, "x"),
        (refusal("ExpiredToken"), ExpiredCredentials, "have expired"),
        (refusal("ExpiredTokenException"), ExpiredCredentials, "have expired"),
        (refusal("RequestExpired"), ExpiredCredentials, "have expired"),
        (refusal("InvalidClientTokenId"), ExpiredCredentials, "does not accept"),
        (refusal("UnauthorizedOperation"), AccessDenied, "AWS does not allow ec2:DescribeVpcs"),
        (refusal("403", "Forbidden", status=403), AccessDenied, "ec2:DescribeVpcs"),
        (
            refusal("AccessDenied", "User: x is not authorized to perform: ec2:DescribeVpcs with an explicit deny"),
            AccessDenied,
            "explicit deny",
        ),
        (refusal("RequestLimitExceeded"), Throttled, "wait a minute"),
        (refusal("SignatureDoesNotMatch", "Signature expired: x is now earlier than y"), CloudError, "the clock"),
        (refusal("VpcLimitExceeded"), CloudError, "L-F678F1CE"),
        (refusal("Strange.Code", "odd words"), CloudError, "AWS refused ec2:DescribeVpcs (Strange.Code)"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else None,
)
def test_every_exception_becomes_an_error_with_a_fix(error: Exception, kind: type[InfraError], words: str) -> None:
    with pytest.raises(InfraError) as caught, aws.translated("ec2:DescribeVpcs", "us-west-2", "lab"):
        raise error
    assert type(caught.value) is kind
    assert words in caught.value.text()
    for problem in caught.value.problems:
        assert problem.what and problem.fix
        assert problem.where == "us-west-2"


def test_other_exceptions_pass_untouched() -> None:
    with pytest.raises(ZeroDivisionError), aws.translated("ec2:DescribeVpcs"):
        _ = 1 / 0


def test_no_credentials_at_all(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    with pytest.raises(NoCredentials, match="no AWS credentials were found"):
        aws.session(Aws(regions=["us-west-2"])).client("sts")
    with pytest.raises(NoCredentials, match="there is no AWS profile lab"):
        aws.session(Aws(regions=["us-west-2"], profile="lab")).client("sts")


def test_a_credential_process_that_hangs_is_given_up(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    config = tmp_path / "config"
    config.write_text("[profile lab]\ncredential_process = /bin/sleep 3\n")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(config))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setattr(aws, "IDENTITY_DEADLINE", 0.3)
    started = time.monotonic()
    with pytest.raises(Unreachable, match="not to be had in time"):
        aws.session(Aws(regions=["us-west-2"], profile="lab")).client("ec2")
    assert time.monotonic() - started < 2


def test_the_account_guard() -> None:
    session = aws.session(Aws(regions=["us-west-2"], account="111111111111", endpoint=HERE))
    session._identity = aws.Identity("222222222222", "arn:aws:iam::222222222222:user/ada")
    with pytest.raises(Refused, match="222222222222"):
        session.guard()
    session._identity = aws.Identity("111111111111", "arn:aws:iam::111111111111:user/ada")
    assert session.guard().account == "111111111111"


def test_skew() -> None:
    def answer(date: str) -> dict[str, object]:
        return {"ResponseMetadata": {"HTTPHeaders": {"date": date}}}

    ahead = datetime.now(UTC) + timedelta(minutes=10)
    found = aws.skew(answer(format_datetime(ahead, usegmt=True)))
    assert found is not None
    assert 590 < found < 610
    assert aws.skew(answer("yesterday")) is None
    assert aws.skew({}) is None


def test_what_hangs_is_given_up() -> None:
    started = time.monotonic()
    with pytest.raises(Unreachable, match="it hung"):
        aws.within(0.2, "it hung", lambda: time.sleep(5))
    assert time.monotonic() - started < 2
    assert aws.within(5, "x", lambda: 42) == 42
    with pytest.raises(KeyError):
        aws.within(5, "x", lambda: {}["nothing"])


def test_secrets_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    secrets = proc.Secrets()
    monkeypatch.setattr(aws, "SECRETS", secrets)
    aws.register_environment(
        {
            "AWS_SECRET_ACCESS_KEY": "wJalrXUtnFEMI/K7MDENG/canary",
            "AWS_SESSION_TOKEN": "IQoJb3JpZ2luX2VjEXAMPLE==",
            "TF_VAR_db_password": "correct horse",
            "TF_TOKEN_app_terraform_io": "abcdefgh.atlasv1",
            "HTTPS_PROXY": "http://ada:proxy-word@proxy:3128",
            "AWS_WEB_IDENTITY_TOKEN_FILE": "/var/run/token",
            "AWS_ACCESS_KEY_ID": "AKIAIOSFODNN7EXAMPLE",
            "TOKENIZERS_PARALLELISM": "parallel-words",
            "SOME_TOKEN": "create",
            "HOME": "/home/ada",
        }
    )
    shown = secrets.redact(
        "wJalrXUtnFEMI/K7MDENG/canary wJalrXUtnFEMI%2FK7MDENG%2Fcanary IQoJb3JpZ2luX2VjEXAMPLE== correct horse "
        "abcdefgh.atlasv1 http://ada:proxy-word@proxy:3128 /var/run/token /home/ada create parallel-words"
    )
    for secret in ("wJalr", "IQoJ", "horse", "atlasv1", "proxy-word"):
        assert secret not in shown
    assert shown.endswith("/var/run/token /home/ada create parallel-words")


def test_code_of() -> None:
    assert aws.code_of(refusal("NoSuchKey")) == "NoSuchKey"
    assert aws.code_of(boto.NoCredentialsError()) == ""
    assert aws.code_of(boto.ClientError({"ResponseMetadata": {"HTTPStatusCode": 404}}, "HeadBucket")) == "404"
