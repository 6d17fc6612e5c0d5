"""Manifests side by side: what is the same, what differs, what may, and that the list of what may is no wider."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.node.proof import allowed, compare
from infra.node.proof.allowed import Allowed, Entry
from infra.node.proof.compare import Census, Comparison
from infra.node.proof.manifest import Manifest, parse
from tests.unit.test_node_manifest import SAMPLE, made

NONE = Allowed([])
BASE = parse(SAMPLE, "sample").facts
# Another machine of the same make: what must be each one's own is.
TWIN = BASE | {
    name: value[:-4] + "0000" for name, value in BASE.items() if allowed.shipped().unique(name) and "sha256" in value
}


def of(facts: Mapping[str, str]) -> Manifest:
    return parse(made(dict(facts)), "x")


def compared(*sides: Mapping[str, str], by: Allowed | None = None, logins: tuple[str, ...] = ()) -> Comparison:
    census = Census("gpu")
    for number, facts in enumerate(sides):
        census.add(f"m{number}", of(facts), logins[number] if logins else "ops")
    return census.comparison(by)


def test_identical() -> None:
    found = compared(BASE, TWIN | {"address:eth0": "10.0.0.9/24"}, by=allowed.shipped())
    assert found.identical and found.groups == (("m0", "m1"),) and found.facts == len(BASE)
    own = "each machine has addresses and a name of its own"
    assert (found.allowed[0].what, found.allowed[0].reason) == ("address:eth0", own)
    assert {item.what for item in found.allowed[1:]} >= {"etc:/etc/machine-id"}


def test_the_majority_comes_first() -> None:
    found = compared({"a:x": "1"}, {"a:x": "2"}, {"a:x": "2"}, {"b:y": "3"}, by=NONE)
    first, second = found.differences
    assert first.what == "a:x"
    assert first.values == (("2", ("m1", "m2")), ("1", ("m0",)), (None, ("m3",)))
    assert second.values == ((None, ("m0", "m1", "m2")), ("3", ("m3",)))
    assert found.groups == (("m1", "m2"), ("m0",), ("m3",))
    assert found.facts == 1 and not found.identical
    assert found.data()["differences"][1] == {
        "what": "b:y",
        "values": [{"value": None, "nodes": ["m0", "m1", "m2"]}, {"value": "3", "nodes": ["m3"]}],
        "reason": "",
        "note": "",
    }


facts = st.dictionaries(st.sampled_from(["a:1", "a:2", "b:1", "hardware:x"]), st.sampled_from(["u", "v", "w"]))


@given(st.lists(facts, min_size=1, max_size=6))
def test_it_does_not_matter_which_comes_first(sides: list[dict[str, str]]) -> None:
    census, turned = Census("p"), Census("p")
    names = [f"m{number}" for number in range(len(sides))]
    for name, side in zip(names, sides, strict=True):
        census.add(name, of(side))
    for name, side in zip(names[::-1], sides[::-1], strict=True):
        turned.add(name, of(side))
    one, other = census.comparison(NONE, names), turned.comparison(NONE, names)
    assert one == other
    assert one.identical == all(side == sides[0] for side in sides)
    for name, side in zip(names, sides, strict=True):
        assert {key for key in side if census.fact(name, key) != side[key]} == set()


def test_drift() -> None:
    now = dict(BASE) | {"sysctl:net.core.somaxconn": "128", "address:eth0": "10.9.9.9/8", "package:htop:amd64": "3.2"}
    del now["user:ada.shell"]
    found = compare.drift(of(BASE), of(now))
    assert [(item.what, *(value for value, _ in item.values)) for item in found] == [
        ("package:htop:amd64", None, "3.2"),
        ("sysctl:net.core.somaxconn", "4096", "128"),
        ("user:ada.shell", "/bin/bash", None),
    ]
    assert compare.drift(of(BASE), of(BASE)) == ()
    # Hardware may differ between machines; on one machine it is news: a GPU that fell off the bus.
    lost = compare.drift(of({"hardware:gpus": "4"}), of({"hardware:gpus": "3"}))
    assert [item.what for item in lost] == ["hardware:gpus"]


def test_entries() -> None:
    def permits(entry: Entry, left: str | None, right: str | None, **more: tuple[str, str]) -> bool:
        sides: list[dict[str, str]] = [{}, {}]
        for name, pair in {"a:x": (left, right), **{key.replace("_", ":"): pair for key, pair in more.items()}}.items():
            for side, value in zip(sides, pair, strict=True):
                if value is not None:
                    side[name] = value
        return compared(*sides, by=Allowed([entry, Entry(("f:*",), "facts")])).identical

    assert permits(Entry(("a:*",), "w"), "1", None) and not permits(Entry(("b:*",), "w"), "1", "2")
    assert not permits(Entry(("a:*",), "w", but=("a:x",)), "1", "2")
    assert permits(Entry(("a:x",), "w", values="[0-9]"), "1", "2")
    assert not permits(Entry(("a:x",), "w", values="[0-9]"), "1", "22")
    assert not permits(Entry(("a:x",), "w", values="[0-9]"), "1", None)
    presence = Entry(("a:x",), "w", only="presence")
    assert permits(presence, "1", None) and not permits(presence, "1", "2")
    contents = Entry(("a:x",), "w", only="contents")
    assert permits(contents, "0644 root:root sha256:aa", "0644 root:root sha256:bb") and permits(contents, "x", None)
    assert not permits(contents, "0644 root:root sha256:aa", "0666 root:root sha256:bb")
    follows = Entry(("a:x",), "w", depends=("f:y",))
    assert permits(follows, "1", "2", f_y=("u", "v")) and not permits(follows, "1", "2", f_y=("u", "u"))
    assert not permits(follows, "1", "2")


def test_machines_that_agree_in_the_cause_must_agree_in_the_effect() -> None:
    memory = ("24 kB", "24 kB", "48 kB")
    sides = [{"hardware:memory": size, "kernel:release": "6", "sysctl:kernel.threads-max": "1"} for size in memory]
    sides[2]["sysctl:kernel.threads-max"] = "2"
    assert compared(*sides).identical
    sides[1]["sysctl:kernel.threads-max"] = "3"  # by hand: its twin has another
    assert [item.what for item in compared(*sides).differences] == ["sysctl:kernel.threads-max"]


def test_clones() -> None:
    key = "0644 root:root sha256:aa"
    found = compared(
        {"etc:/etc/machine-id": key}, {"etc:/etc/machine-id": key}, {"etc:/etc/machine-id": key[:-2] + "bb"}
    )
    assert not found.identical and "the same on several machines" in found.differences[0].note
    assert found.differences[0].values[0] == (key, ("m0", "m1"))
    assert len(found.groups) == 1  # they are the same; that is what is wrong


def test_what_could_not_be_read_is_never_allowed() -> None:
    entries = Allowed([Entry(("*",), "everything"), Entry(("hardware:*",), "hardware")])
    assert not compared({"hardware:!": "no"}, {}, by=entries).identical
    assert compare.drift(of({"address:!": "no"}), of({})) != ()
    # Nor is it proof of anything that two machines have nothing to say.
    (both,) = compared({"units:!": "no"}, {"units:!": "no"}, by=entries).differences
    assert both.note == compare.UNPROVEN and both.values == (("no", ("m0", "m1")),)
    assert [item.what for item in compare.drift(of({"units:!": "no"}), of({"units:!": "no"}))] == ["units:!"]


def test_the_accounts_that_infra_logs_in_with() -> None:
    assert allowed.accounts(["ops", "ops", "root"]) == []
    by = allowed.shipped().plus(allowed.accounts(["ubuntu", "titan"]))
    cloud = {"user:ubuntu.uid": "1000", "user:ubuntu.password": "locked", "group:sudo.members": "ubuntu"}
    box = {"user:titan.uid": "1000", "user:titan.password": "usable", "group:sudo.members": "titan"}
    assert compared(cloud, box, by=by, logins=("ubuntu", "titan")).identical
    third = compared(
        cloud, box, cloud | {"user:ubuntu.password": "usable"}, by=by, logins=("ubuntu", "titan", "ubuntu")
    )
    assert [item.what for item in third.differences] == ["user:ubuntu.password"]
    eve = compared(cloud, box | {"group:sudo.members": "titan eve"}, by=by, logins=("ubuntu", "titan"))
    assert [item.what for item in eve.differences] == ["group:sudo.members"]


# --- The list that ships

# What two machines of one kind and make may have differently at all, of everything that a machine is.
OWN = (
    *("address:", "hardware:", "node:converged", "node:baseline", "node:origin", "place:"),
    *("etc:/etc/ssh/ssh_host_", "etc:/etc/machine-id", "etc:/etc/hostname", "etc:/etc/hosts", "etc:/etc/fstab"),
    *("etc:/etc/passwd-", "etc:/etc/group-", "etc:/etc/shadow-", "etc:/etc/gshadow-", "etc:/etc/subuid-"),
    *("etc:/etc/subgid-", "etc:/etc/network/interfaces", "etc:/etc/systemd/network", "etc:/etc/default/kubelet"),
    # There once their module is loaded or their interface is made; the module itself, and who uses it, is compared.
    *("sysctl:net.bridge.", "sysctl:net.netfilter.", "sysctl:net.ipv4.conf.", "sysctl:net.ipv4.neigh."),
    *("sysctl:net.ipv6.conf.", "sysctl:net.ipv6.neigh."),
    *("etc:/etc/chef/accepted_licenses/", "etc:/etc/resolv.conf", "unit:kubelet.service"),
)


def other(value: str) -> str:
    """A value of the same kind that somebody may have set by hand."""
    if " sha256:" in value:
        return value[:-4] + ("0000" if value[-4:] != "0000" else "1111")
    return str(int(value) + 1) if value.isdigit() else value + " x"


@pytest.mark.parametrize("change", [other, lambda value: None], ids=["changed", "missing"])
def test_the_list_swallows_nothing(change: object) -> None:
    assert callable(change)
    listed = allowed.shipped()
    swallowed = []
    for name, value in BASE.items():
        now = {**BASE, name: change(value)}
        if listed.reason(
            name, {"m0": value, "m1": now[name]}, lambda node, fact, now=now: (BASE, now)[node == "m1"].get(fact)
        ):
            swallowed.append(name)
    numbers = {name for name in swallowed if name.endswith((".uid", ".gid")) and 100 <= int(BASE[name]) < 999}
    assert [name for name in swallowed if not name.startswith(OWN) and name not in numbers] == []
    if change is other:
        kinds = {name.partition(":")[0] for name in swallowed}
        assert kinds == {"address", "hardware", "node", "etc", "user", "group"}


CLOUD = {
    "hardware:platform": "ec2",
    "hardware:memory": "1 kB",
    "hardware:cpu": "96 x Xeon",
    "hardware:pci": "sha256:1",
    "hardware:gpus": "8",
    "hardware:nvswitches": "6",
    "hardware:firmware": "uefi",
    "hardware:bios_version": "1.0",
    "kernel:release": "6.8.0-1015-aws",
    "place:region": "us-west-2",
}
BOX = {
    "hardware:platform": "metal",
    "hardware:memory": "2 kB",
    "hardware:cpu": "16 x i7",
    "hardware:pci": "sha256:2",
    "hardware:gpus": "0",
    "hardware:firmware": "bios",
    "hardware:bios_version": "F4",
    "kernel:release": "6.8.0-45-generic",
}
FILE, FILE2 = "0644 root:root sha256:aa", "0644 root:root sha256:bb"
# One case for each entry of the list: what an instance of EC2 has, and what a box on the floor has.
CASES: dict[str, tuple[str | None, str | None]] = {
    "hardware:product_name": ("p4d.24xlarge", "X99"),
    "address:MAIN": ("10.0.0.1/24", "192.0.2.1/24"),
    "place:region": ("us-west-2", None),
    "node:converged": ("2026-11-22T07:00:00Z", "2026-11-22T08:00:00Z"),
    "node:origin": ("image", "bootstrap"),
    "etc:/etc/ssh/ssh_host_ed25519_key.pub": (FILE, FILE2),
    "etc:/etc/ssh/ssh_host_rsa_key": ("0600 root:root (contents not shown)", None),
    "etc:/etc/machine-id": (FILE, FILE2),
    "etc:/etc/iscsi/initiatorname.iscsi": (FILE, FILE2),
    "etc:/etc/ssl/certs/ssl-cert-snakeoil.pem": (FILE, FILE2),
    "etc:/etc/hostname": (FILE, FILE2),
    "etc:/etc/fstab": (FILE, FILE2),
    "etc:/etc/lvm/backup/vg0": (None, FILE),
    "etc:/etc/adjtime": (None, FILE),
    "etc:/etc/resolv.conf": ("-> ../run/systemd/resolve/stub-resolv.conf", FILE),
    "etc:/etc/netplan/50-cloud-init.yaml": ("0600 root:root sha256:aa", None),
    "etc:/etc/passwd-": (FILE, FILE2),
    "etc:/etc/infra/place.json": (FILE, None),
    "etc:/etc/infra/pull.env": (None, "0600 root:root"),
    "etc:/etc/apt/sources.list": (FILE, FILE2),
    "user:_chrony.uid": ("102", "104"),
    "group:_chrony.gid": ("102", "104"),
    "etc:/etc/chef/accepted_licenses/chef_infra_client": (FILE, FILE2),
    "etc:/etc/default/kubelet": (FILE, None),
    "unit:kubelet.service": ("enabled running", "enabled"),
    "unit:infra-kube-address.service": ("enabled", "enabled running"),
    "etc:/etc/kubernetes/pki/apiserver.crt": (None, FILE),
    "listen:tcp *:6443": (None, "kube-apiserver"),
    "kernel:release": (CLOUD["kernel:release"], BOX["kernel:release"]),
    "kernel:version": ("#16-Ubuntu SMP", "#45-Ubuntu SMP"),
    "package:linux-image-6.8.0-1015-aws:amd64": ("6.8.0-1015.16", None),
    "kernel:cmdline.console": ("tty1; ttyS0", None),
    "package:intel-microcode:amd64": (None, "3.2024"),
    "package:grub-pc:amd64": (None, "2.12"),
    "etc:/etc/default/grub": (FILE, FILE2),
    "package:cloud-init:all": ("24.1", None),
    "unit:cloud-init.service": ("enabled exited", None),
    "unit:serial-getty@ttyS0.service": ("enabled-runtime running", None),
    "module:ena": ("2.8", None),
    "driver:loaded": ("580.95.05", None),
    "module:efa": ("2.1", None),
    "module:nf_tables": ("loaded", None),
    "unit:nvidia-persistenced.service": ("enabled running", "enabled"),
    "unit:nvidia-fabricmanager.service": ("enabled running", "enabled"),
    "sysctl:kernel.threads-max": ("9", "4"),
    "limit:systemd.DefaultLimitNPROC": ("9", "4"),
    "sysctl:net.ipv4.conf.ens6.rp_filter": ("2", None),
    "sysctl:net.ipv6.conf.MAIN.mtu": ("9001", "1500"),
    "sysctl:net.netfilter.nf_conntrack_tcp_timeout_close": ("10", None),
    "sysctl:kernel.apparmor_restrict_unprivileged_unconfined": ("0", None),
    "sysctl:dev.hpet.max-user-freq": (None, "64"),
    "tuning:cpu.mds": ("Not affected", "Mitigation"),
    "tuning:clocksource": ("tsc", "hpet"),
    "system:swap": ("none", "1 in use, 4 kB"),
    "mount:/": ("ext4 rw,discard", "ext4 rw,errors=remount-ro"),
}
# Where another entry would do as well on these two machines, they are made alike in what that one depends on.
ALIKE = {
    "module:nf_tables": ("hardware:pci", "hardware:cpu", "hardware:platform"),
    "module:efa": (),
    "driver:loaded": (),
    "sysctl:net.ipv4.conf.ens6.rp_filter": ("kernel:release",),
    "sysctl:net.netfilter.nf_conntrack_tcp_timeout_close": ("kernel:release",),
    "sysctl:dev.hpet.max-user-freq": ("kernel:release",),
}


def differing(name: str, by: Allowed) -> bool:
    sides = [dict(CLOUD), dict(BOX)]
    for fact in ALIKE.get(name, ()):
        sides[1][fact] = sides[0][fact]
    for side, value in zip(sides, CASES[name], strict=True):
        side.pop(name, None)
        if value is not None:
            side[name] = value
    return name in [item.what for item in compared(*sides, by=by).differences]


def test_every_entry_is_needed() -> None:
    entries = allowed.shipped().entries
    for number, entry in enumerate(entries):
        mine = [name for name in CASES if entry.covers(name) and not differing(name, Allowed(entries))]
        assert mine, f"no case for {entry.what}"
        without = Allowed(entries[:number] + entries[number + 1 :])
        assert any(differing(name, without) for name in mine), f"{entry.what} is in other entries too"


def test_every_case_is_allowed_and_every_entry_has_a_reason() -> None:
    assert [name for name in CASES if differing(name, allowed.shipped())] == []
    for entry in allowed.shipped().entries:
        assert len(entry.why) > 20, entry
        assert all(not what.startswith("*") and ":" in what for what in entry.what), entry


def test_machines_of_one_platform_have_one_kernel() -> None:
    sides = [dict(BOX), dict(BOX) | {"kernel:release": "6.8.0-47-generic", "package:linux-image-generic:amd64": "47"}]
    assert [item.what for item in compared(*sides).differences] == [
        "kernel:release",
        "package:linux-image-generic:amd64",
    ]


def test_many_machines() -> None:
    """Equal but for what is each one's own: quick, and little more memory than one."""
    lines = SAMPLE.splitlines()[1:-1] + [f"package\tpackage-{number}:amd64\t1.{number}" for number in range(4000)]
    body = ["infra-manifest\t1", *lines]
    text = "\n".join([*body, f"end\t{len(body)}", ""])
    node0 = "address\tname\tnode0"
    assert node0 in text
    census = Census("gpu")
    for number in range(60):
        mine = text.replace(node0, f"address\tname\ttitan-{number:04}")
        for unique in BASE.items() - TWIN.items():
            mine = mine.replace(unique[1], f"{unique[1][:-4]}{number:04x}")
        if number == 40:
            mine = mine.replace("net.core.somaxconn\t4096", "net.core.somaxconn\t128")
        census.add(f"titan-{number:04}", parse(mine, "x"))
    found = census.comparison()
    assert [(item.what, item.values[1]) for item in found.differences] == [
        ("sysctl:net.core.somaxconn", ("128", ("titan-0040",)))
    ]
    assert [len(group) for group in found.groups] == [59, 1]
    assert sum(len(own) for own in census._other.values()) < 300
