"""``python -m tests.kube KUBECONFIG [NODES]``: a server to look at by hand, with nodes that run pods; ends with ^C."""

from __future__ import annotations

import contextlib
import sys
import threading
from pathlib import Path

from tests.kube.server import KubeServer
from tests.kube.worker import Worker


def main(config: str, nodes: str = "2") -> None:
    with KubeServer() as kube, Worker(kube) as worker, contextlib.suppress(KeyboardInterrupt):
        for number in range(int(nodes)):
            worker.join(f"node-{number + 1}")
        print(f"{kube.url}  export KUBECONFIG={kube.kubeconfig(Path(config)).resolve()}", flush=True)
        threading.Event().wait()


if __name__ == "__main__":
    if len(sys.argv) not in (2, 3):
        sys.exit(__doc__)
    main(*sys.argv[1:])
