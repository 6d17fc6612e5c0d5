"""What ``infra node verify`` shows: a table, a page that needs nothing else, and JSON as it is documented."""

from __future__ import annotations

import re

import pytest

from infra.errors import HostKeyError, UsageError
from infra.node.model import Node
from infra.node.proof import compare, signature, verify
from infra.node.proof.signature import BEGIN, END, Signed
from infra.node.proof.verify import Drifted, Since, Verdict
from infra.ui import verify_html, verify_view
from tests.unit.test_json_docs import plain, table
from tests.unit.test_node_compare import BASE, TWIN, compared, of

EVIL = "etc:/etc/<script>alert(1)</script>\\n\\x1b[2J"
FAILED = {"titan-09": HostKeyError("not its key", where="cluster.yaml:9", why="<b>", fix="ask")}
VERDICT = Verdict(
    (compared(BASE, TWIN | {EVIL: "0644 root:root sha256:" + "ab" * 32, "sysctl:net.core.somaxconn": "128"}, BASE),),
    ("lonely-1",),
    FAILED,
)
DRIFT = compare.drift(of(BASE), of({**BASE, "sysctl:net.core.somaxconn": "128", "x:y": "1"}))


def test_table(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "150")
    verify_view.console.cache_clear()
    verify_view.verdict(VERDICT, True)
    said = capsys.readouterr().out
    assert "\x1b" not in said and "<script>" in said and "abababababab…" in said
    assert re.search(r"sysctl net\.core\.somaxconn +4096 +128", said)
    assert re.search(r"A  m0, m2\n +B  m1\n", said)
    assert "etc /etc/machine-id: the same on several machines, and must not be" in said
    assert "lonely-1: nothing of its profile to compare it with" in said
    assert "titan-09: not compared\nerror: cluster.yaml:9: not its key" in said
    nodes = (Since("a", True, "2026-11-22T08:00:00Z", DRIFT), Since("b", False, "", ()), Since("c", True, "", ()))
    verify_view.drifted(Drifted((*nodes, Since("d", True, "", DRIFT, accepted=True)), {}))
    said = capsys.readouterr().out
    assert "a: 2 differences (sysctl 1, x 1) since its last converge (2026-11-22T08:00:00Z)" in said
    assert "b: no baseline" in said and "c: as it was after its last converge" in said
    assert "d: what it is now is its baseline; 2 differences" in said
    verify_view.console.cache_clear()


def test_an_account_is_one_row(capsys: pytest.CaptureFixture[str]) -> None:
    verify_view.console.cache_clear()
    eve = {"user:eve.uid": "1001", "user:eve.home": "/home/eve", "user:eve.password": "locked", "group:eve.gid": "1001"}
    verify_view.verdict(Verdict((compared({"a:b": "c"}, {"a:b": "c"} | eve),), (), {}), False)
    said = capsys.readouterr().out
    assert re.search(r"\n user eve +– +uid 1001, home /home/eve, password locked +\n", said)
    assert re.search(r"\n group eve.gid +– +1001 +\n", said) and "4 differences (user 3, group 1)" in said


def test_many_groups_and_many_differences(capsys: pytest.CaptureFixture[str]) -> None:
    verify_view.console.cache_clear()
    sides = [{f"a:{row:03}": str(number) for row in range(70)} for number in range(6)]
    verify_view.verdict(Verdict((compared(*sides),), (), {}), False)
    said = capsys.readouterr().out
    assert "F  m5" in said and "and 10 differences (a 10): --html FILE or --json has all" in said
    assert "3  m3" in said


def test_page() -> None:
    page = verify_html.page("lab <1>", VERDICT, "2026-11-22T08:00:00Z")
    assert page.count("<script>") == 1 and "&lt;script&gt;" in page and "lab &lt;1&gt;" in page and "&lt;b&gt;" in page
    assert not re.search(r"(src|href)=|https?:|@import|url\(", page)
    assert "\x1b" not in page and "ab" * 32 in page
    assert "not all answered" in page
    assert "identical" in verify_html.page("lab", Verdict((compared(BASE, TWIN),), (), {}), "now")


def test_json() -> None:
    table(plain({"format": 1, "cluster": "lab", **VERDICT.data()}), "infra node verify")
    nodes = (Since("a", True, "x", DRIFT), Since("b", False, "", ()))
    table(plain({"format": 1, "cluster": "lab", **Drifted(nodes, FAILED).data()}), "infra node verify --since-converge")


def test_exit_codes() -> None:
    same, other = compared(BASE, TWIN), compared(BASE, TWIN | {"a:b": "c"})
    assert [Verdict((same,), (), {}).code, Verdict((same, other), (), {}).code] == [0, 2]
    assert Verdict((other,), (), FAILED).code == 1
    drifted, whole, none = Since("a", True, "", DRIFT), Since("a", True, "", ()), Since("a", False, "", ())
    assert [Drifted((item,), {}).code for item in (drifted, whole, none)] == [2, 0, 2]
    assert Drifted((whole,), FAILED).code == 1 and Drifted((Since("a", True, "", DRIFT, accepted=True),), {}).code == 0


def box(name: str, profile: str) -> Node:
    return Node(name, "metal", "rack", profile, "ops")


def test_what_there_is_to_compare() -> None:
    verify.together([box("a", "gpu"), box("b", "cpu"), box("c", "gpu")])
    for nodes in ([box("a", "gpu")], [box("a", "gpu"), box("b", "cpu")], []):
        with pytest.raises(UsageError):
            verify.together(nodes)


def test_a_nonce_is_new_and_says_who_was_asked() -> None:
    node = Node("gpu-1", "pool", "gpu", "gpu", "ubuntu", instance="i-0abc")
    one, two = signature.nonce(node), signature.nonce(node)
    assert one != two and "\n" not in one
    said = signature.asked(one, "x")
    assert (said.ident, said.name, said.profile, said.user) == ("i-0abc", "gpu-1", "gpu", "ubuntu")


@pytest.mark.parametrize(
    ("armour", "what"),
    [("", "is not signed"), (BEGIN, "is not signed"), (BEGIN + "AAAA\n" + END, "is not signed by its host key")],
)
def test_signatures_that_are_none(armour: str, what: str) -> None:
    key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIDk0SRZFXRFjRZ6XfeuN+Mv2hLFWAGAWxqOCb+tKiHfT"
    with pytest.raises(HostKeyError, match=what):
        signature.check(Signed("n", "t", armour), [key], "titan-01")
    with pytest.raises(HostKeyError, match="no host key of titan-01 is known" if armour.endswith(END) else what):
        signature.check(Signed("n", "t", armour), [], "titan-01")
