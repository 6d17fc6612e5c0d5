"""A Kubernetes API server for tests: true to the protocol, in memory, in a thread, on a free port.

``with KubeServer() as kube:`` gives one at ``kube.url``; ``kube.kubeconfig(path)`` lets any client in. It keeps
objects, and knows lists, watches, patches, evictions and bindings as clients meet them; nothing runs in it. Where
pods are to run, ``tests.kube.worker`` binds them to nodes and ends them.
"""

from tests.kube.faults import Fault
from tests.kube.server import KubeServer

__all__ = ["Fault", "KubeServer"]
