"""The same by infra: one connection and one script for each machine."""

import json
import sys
from pathlib import Path

from infra.node.model import Node
from infra.node.ssh.auth import Auth
from infra.node.ssh.fleet import Fleet
from infra.node.ssh.trust import Pins

lab, load, nonce = json.loads(Path(sys.argv[1]).read_text()), sys.argv[2], sys.argv[3]
nodes = [
    Node(n["name"], "metal", "lab", "gpu", lab["user"], n["address"], n["port"], host_keys=(n["key"],))
    for n in lab["nodes"]
]
data = Path(lab["file"]).read_bytes()


def one(connection):
    if load == "transfer":
        script = 'infra_blob it >"$1"; sha256sum "$1"'
        return connection.run(script, f"/tmp/{nonce}", root=False, blobs={"it": lambda: data}).out
    return connection.run(lab["ten"], f"/tmp/{nonce}", root=False).out


auth = Auth(identities=[Path(lab["key"])], agent=False, usual=False, config=None, sudo="")
said = Fleet(Pins(Path(lab["folder"]) / "pins"), auth, parallel=len(nodes)).each(nodes, one)
bad = [item for item in said.values() if isinstance(item, Exception)]
assert not bad, bad[0].text()
assert load != "transfer" or all(lab["sum"] in item for item in said.values())
