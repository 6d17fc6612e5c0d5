"""Test machines: Debian with a systemd, sshd, address and host key of its own, on one Linux machine, as root.

``Bed().start(2)`` gives two of them. A machine is a set of namespaces over one root file system that is built once;
what it writes goes to an overlay of its own. All of them hang on one bridge in a network namespace without a route
out; a veth joins that bridge to the host, so tests reach a machine at its address and a machine reaches what the test
serves there, and nothing else.
"""

from tests.bed.bed import Bed, unavailable
from tests.bed.machine import Machine, Ran

__all__ = ["Bed", "Machine", "Ran", "unavailable"]
