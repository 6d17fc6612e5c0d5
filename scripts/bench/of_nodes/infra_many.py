"""Many connections held at once, a script run on each; prints how much memory this process took."""

import json
import resource
import sys
import threading
import time
from pathlib import Path

from infra.node.model import Node
from infra.node.ssh.auth import Auth
from infra.node.ssh.fleet import Fleet
from infra.node.ssh.trust import Pins

lab, many = json.loads(Path(sys.argv[1]).read_text()), int(sys.argv[2])
real = lab["nodes"]
nodes = [
    Node(
        f"n{i}",
        "metal",
        "lab",
        "gpu",
        lab["user"],
        real[i % len(real)]["address"],
        real[i % len(real)]["port"],
        host_keys=(real[i % len(real)]["key"],),
    )
    for i in range(many)
]
together = threading.Barrier(many, timeout=900)


def one(connection):
    together.wait()
    return connection.run("cat /etc/os-release", root=False, deadline=300).out


auth = Auth(identities=[Path(lab["key"])], agent=False, usual=False, config=None, sudo="")
began = time.monotonic()
said = Fleet(Pins(Path(lab["folder"]) / "pins"), auth, parallel=many).each(nodes, one)
bad = [item for item in said.values() if isinstance(item, Exception)]
print(
    json.dumps(
        {
            "failed": len(bad),
            "why": bad[0].text() if bad else "",
            "seconds": time.monotonic() - began,
            "megabytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        }
    )
)
