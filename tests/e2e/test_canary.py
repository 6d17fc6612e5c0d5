"""Planted secrets reach no file of the work folder, no log and no screen, whatever is run and however it ends."""

from __future__ import annotations

import base64
import zipfile
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest

from tests.conftest import SLICE, Infra, Ran
from tests.e2e import embedded
from tests.e2e.faulty_aws import Refusal

pytestmark = pytest.mark.engine

CANARIES = {
    "AWS_SECRET_ACCESS_KEY": "canary/SecretKey+wJalrXUtnFEMI",
    "AWS_SESSION_TOKEN": "canaryTokenIQoJb3JpZ2luX2VjE==",
    "TF_VAR_registry_token": "canary-variable-5f4dcc3b5aa7",
    "TF_TOKEN_app_terraform_io": "canary.atlasv1.host-token",
    "GITHUB_TOKEN": "canary-ghp-16C7e42F292c6912",
}
PASSWORD = "canary-password-in-a-url"


@pytest.fixture
def planted(infra: Infra) -> Infra:
    """The command line with secrets in its environment and in the user's AWS files."""
    home = Path(infra.env["INFRA_LOCAL_DIR"]).parent / "home"
    (home / ".aws").mkdir(parents=True)
    lines = ["[default]", "aws_access_key_id = AKIACANARY0000000000", "aws_secret_access_key = canary-from-a-file"]
    (home / ".aws" / "credentials").write_text("\n".join(lines) + "\n", encoding="utf-8")
    proxy = {"HTTPS_PROXY": f"http://ada:{PASSWORD}@127.0.0.1:1", "NO_PROXY": "127.0.0.1"}
    infra.env |= {"HOME": str(home), "AWS_ACCESS_KEY_ID": "AKIACANARY0000000000", **CANARIES, **proxy}
    return infra


def spellings() -> Iterator[bytes]:
    """Every canary as it is, quoted for a URL, and in base64 (at each of the three places in a group)."""
    for secret in (*CANARIES.values(), PASSWORD, "canary-from-a-file"):
        raw = secret.encode()
        yield raw
        yield quote(secret, safe="").encode()
        for shift in range(3):
            whole = base64.b64encode(b"\0" * shift + raw)
            yield whole[4 if shift else 0 : len(whole) // 4 * 4 - 4]


def silent(where: str, raw: bytes) -> None:
    for secret in spellings():
        assert secret not in raw, f"{secret.decode()} is in {where}"


def quiet(ran: Ran) -> Ran:
    silent("what the command printed", ran.all.encode())
    return ran


def search(folder: Path) -> list[str]:
    """Look into every file, and into every plan's parts; the names of what was looked at."""
    seen = []
    for path in sorted(folder.rglob("*")):
        if not path.is_file() or path.is_symlink() or "providers" in path.parts:
            continue
        silent(str(path), path.read_bytes())
        seen.append(path.name)
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as bundle:
                for name in bundle.namelist():
                    silent(f"{path}:{name}", bundle.read(name))
                    seen.append(name)
    return seen


def test_a_whole_life_keeps_its_secrets(planted: Infra) -> None:
    planted.write(SLICE)
    quiet(planted("--debug", "plan", code=2))
    looked_at = search(planted.folder)
    assert {"plan.json", "main.tf.json", "plan.tfplan", "tfplan", "tfstate"} <= set(looked_at)
    quiet(planted("--debug", "apply"))
    quiet(planted("--debug", "plan", "--json", code=0))
    looked_at = search(planted.folder)
    assert "terraform.tfstate" in looked_at
    assert any(path.suffix == ".json" for path in (planted.folder / ".infra" / "demo@local" / "log").iterdir())
    quiet(planted("--debug", "doctor", code=None))
    quiet(planted("--debug", "unlock"))
    search(Path(planted.env["INFRA_LOCAL_DIR"]))


def test_state_in_s3_keeps_them_too(planted: Infra) -> None:
    planted.write(SLICE + "state: {s3: {bucket: lab-state, region: us-west-2}}\n")
    quiet(planted("--debug", "plan", code=2))
    search(planted.folder)


def test_failures_keep_them_too(planted: Infra) -> None:
    """AWS's own words may hold what was sent: here it says every secret back."""
    planted.write(SLICE)
    words = " ".join(CANARIES.values()).replace('"', "")
    with embedded.refusing(planted.env, [Refusal("SignatureDoesNotMatch", f"{words} {PASSWORD}", 403)]):
        for arguments in (("plan",), ("plan", "--json"), ("apply", "--yes"), ("doctor",), ("doctor", "--json")):
            quiet(planted("--debug", *arguments, code=1))
    search(planted.folder)


def test_the_account_out_of_reach(planted: Infra) -> None:
    """Online, with credentials that are real to everybody on the way: nothing answers."""
    planted.write(SLICE.replace(", endpoint: local", ""))
    quiet(planted("--debug", "plan", code=1, timeout=180))
    quiet(planted("--debug", "doctor", code=1, timeout=180))
    search(planted.folder)


@pytest.mark.parametrize("place", ["file", "option", "variable"])
@pytest.mark.parametrize("command", ["plan", "validate", "doctor"])
def test_a_password_in_the_endpoint_is_refused_unseen(planted: Infra, place: str, command: str) -> None:
    url = f"http://ada:{PASSWORD}@127.0.0.1:1"
    planted.write(SLICE.replace("endpoint: local", f'endpoint: "{url}"') if place == "file" else SLICE)
    arguments = ["--endpoint", url] if place == "option" else []
    env = {"INFRA_AWS_ENDPOINT": url} if place == "variable" else {}
    refused = quiet(planted("--debug", command, *arguments, code=1, **env))
    assert "password" in refused.all
    assert quiet(planted(command, "--json", *arguments, code=1, **env)).code == 1
    search(planted.folder / ".infra")
