"""What OpenSSH and Ansible are told: the pins and nothing else, on every hop."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from infra.cli.ssh_config import _included
from infra.node.export import ansible, openssh
from infra.node.export.openssh import Trust, outside
from infra.node.model import Node

PINS = Path("/lab/.infra/desk/known_hosts")
LEFT = Node("left", "metal", "desk", "gpu", "sam", address="192.0.2.11")
RIGHT = Node("right", "metal", "desk", "gpu", "sam", address="192.0.2.12", port=2222, jump="left")
DEEP = Node("gpu-c1d2e3", "pool", "gpu", "gpu", "ubuntu", address="10.0.0.4", jump="right", instance="i-0c1d2e3", region="us-west-2")  # fmt: skip  # noqa: E501
DOORS = {node.name: node for node in (LEFT, RIGHT, DEEP)}
TRUST = Trust(PINS, frozenset({"metal/left", "metal/right", "i-0c1d2e3"}), DOORS)


def proxy(words: list[str]) -> list[str]:
    """The command that a ProxyCommand is, as the shell splits it once its tokens are expanded."""
    value = next(word.removeprefix("ProxyCommand=") for word in words if word.startswith("ProxyCommand="))
    return shlex.split(value.replace("%%", "\0").replace("%h", "H").replace("%p", "P").replace("\0", "%"))


def test_direct() -> None:
    words = openssh.argv(LEFT, TRUST, identities=[Path("/k")], words=["echo", "a b"])
    assert words[:3] == ["ssh", "-p", "22"]
    assert words[-4:] == ["sam@192.0.2.11", "--", "echo", "a b"]
    assert "StrictHostKeyChecking=yes" in words
    assert "HostKeyAlias=metal/left" in words
    assert f'UserKnownHostsFile="{PINS}"' in words
    assert words[words.index("-i") + 1] == "/k"


def test_every_hop_is_checked_under_its_own_name() -> None:
    words = openssh.argv(DEEP, TRUST)
    assert "HostKeyAlias=i-0c1d2e3" in words
    first = proxy(words)
    assert first[:3] == ["ssh", "-W", "[H]:P"]
    assert (first[-1], "HostKeyAlias=metal/right" in first, first[first.index("-p") + 1]) == (
        "sam@192.0.2.12",
        True,
        "2222",
    )
    second = proxy(first)
    assert second[:3] == ["ssh", "-W", "[H]:P"]
    assert (second[-1], "HostKeyAlias=metal/left" in second) == ("sam@192.0.2.11", True)
    assert all("StrictHostKeyChecking=yes" in hop for hop in (words, first, second))


def test_a_ring_of_jumps_ends() -> None:
    one, two = (Node(name, "metal", "g", "p", "u", address=name, jump=jump) for name, jump in (("a", "b"), ("b", "a")))
    assert openssh.argv(one, Trust(PINS, frozenset(), {"a": one, "b": two}))


def test_jump_hosts_that_are_not_ours() -> None:
    far = Node("far", "metal", "g", "p", "u", address="far", jump="ada@gate:2200,in.lab")
    words = openssh.argv(far, TRUST)
    first = proxy(words)
    assert (first[-1], "HostKeyAlias=host/in.lab" in first) == ("in.lab", True)
    second = proxy(first)
    assert (second[-1], second[second.index("-p") + 1]) == ("ada@gate", "2200")
    assert "HostKeyAlias=host/gate:2200" in second
    text = openssh.config("lab", [far], TRUST)
    assert "ProxyJump gate-2200.lab,in.lab.lab" in text
    assert "Host gate-2200.lab\n  HostName gate\n  User ada\n  Port 2200" in text


@pytest.mark.parametrize(
    "jump, name, user, address, port",
    [
        ("gate", "gate", "", "gate", 22),
        ("ada@gate", "gate", "ada", "gate", 22),
        ("gate:2200", "gate:2200", "", "gate", 2200),
        ("ada@[2001:db8::1]:2200", "2001:db8::1:2200", "ada", "2001:db8::1", 2200),
        ("2001:db8::1", "2001:db8::1", "", "2001:db8::1", 22),
    ],
)
def test_outside(jump: str, name: str, user: str, address: str, port: int) -> None:
    node = outside(jump)
    assert (node.name, node.user, node.address, node.port) == (name, user, address, port)


def test_a_path_with_a_percent_sign_and_spaces() -> None:
    odd = Trust(Path("/my lab/50%/known_hosts"), TRUST.pinned, DOORS)
    assert 'UserKnownHostsFile="/my lab/50%%/known_hosts"' in openssh.argv(LEFT, odd)
    assert 'UserKnownHostsFile="/my lab/50%%/known_hosts"' in proxy(openssh.argv(RIGHT, odd))
    assert '  UserKnownHostsFile "/my lab/50%%/known_hosts"' in openssh.config("desk", [LEFT], odd)


def test_a_machine_without_a_pin_is_believed_by_its_certificate() -> None:
    ca = Trust(PINS, frozenset({"metal/left"}), DOORS, Path("/lab/.infra/desk/known_authorities"))
    assert "HostKeyAlias=metal/left" in openssh.argv(LEFT, ca)
    words = openssh.argv(Node("new", "metal", "desk", "gpu", "sam", address="new.lab"), ca)
    assert not any(word.startswith("HostKeyAlias") for word in words), "a certificate is for a name or an address"
    assert 'UserKnownHostsFile="/lab/.infra/desk/known_authorities"' in words
    assert openssh.authorities(["ssh-ed25519 AAAA"]) == "@cert-authority * ssh-ed25519 AAAA\n"


def test_config() -> None:
    text = openssh.config("desk", [LEFT, RIGHT, Node("off", "pool", "p", "p", "u")], Trust(PINS, frozenset(), DOORS))
    assert text.count("# its host key is not pinned yet: infra ssh ") == 2
    assert "# off has no address yet" in text
    assert "Host right right.desk\n  HostName 192.0.2.12\n  User sam\n  Port 2222\n" in text
    assert "  ProxyJump left.desk\n\n" in text
    assert "StrictHostKeyChecking yes" in text


def test_ansible() -> None:
    found = ansible.document([LEFT, DEEP], TRUST)
    assert found["group_desk"] == {"hosts": ["left"]}
    assert found["region_us_west_2"] == {"hosts": ["gpu-c1d2e3"]}
    assert found["all"]["hosts"] == ["left", "gpu-c1d2e3"]
    values = found["_meta"]["hostvars"]["gpu-c1d2e3"]
    assert (values["ansible_host"], values["ansible_user"], values["ansible_port"]) == ("10.0.0.4", "ubuntu", 22)
    words = shlex.split(values["ansible_ssh_common_args"])
    assert words[0] == "-o"
    assert "HostKeyAlias=i-0c1d2e3" in words
    assert proxy(words)[-1] == "sam@192.0.2.12"


@pytest.mark.parametrize(
    "text, wanted",
    [
        ("Include config.d/*\n", True),
        ("include ~/.ssh/config.d/infra-desk\n", True),
        ("Include other config.d/infra-desk\n", True),
        ("Include=config.d/infra-*\n", True),
        ("Host x\n  User y\nInclude config.d/*\n", False),
        ("", False),
    ],
)
def test_included(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, wanted: bool) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    config = tmp_path / ".ssh" / "config"
    config.parent.mkdir()
    assert not _included(config, config.parent / "config.d" / "infra-desk")
    config.write_text(text)
    assert _included(config, config.parent / "config.d" / "infra-desk") is wanted
