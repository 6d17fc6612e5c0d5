"""paramiko's transport, a little stricter and cheaper: it notes when it last heard anything, keeps its thread asleep
while nothing comes, ends at once when closed, takes host certificates, and refuses a host key that changes at rekeying.
"""

from __future__ import annotations

import contextlib
import logging
import socket
import time
from typing import Any

import paramiko
from paramiko.common import cMSG_CHANNEL_REQUEST, cMSG_GLOBAL_REQUEST
from paramiko.packet import Packetizer

# Elsewhere nobody listens, and the last resort of logging would print to stderr.
logging.getLogger("paramiko").addHandler(logging.NullHandler())

ECDSA = tuple(f"ecdsa-sha2-nistp{bits}" for bits in (256, 384, 521))
PLAIN = ("ssh-ed25519", *ECDSA, "rsa-sha2-512", "rsa-sha2-256")
CERTIFIED = tuple(f"{kind}-cert-v01@openssh.com" for kind in PLAIN)
CIPHERS = ("aes128-gcm@openssh.com", "aes256-gcm@openssh.com", "aes128-ctr", "aes192-ctr", "aes256-ctr")
MACS = ("hmac-sha2-256-etm@openssh.com", "hmac-sha2-512-etm@openssh.com", "hmac-sha2-256", "hmac-sha2-512")


class _Packets(Packetizer):  # type: ignore[misc]
    """``heard`` is when the last packet came (monotonic seconds). The handshake's deadline needs no thread here."""

    def __init__(self, sock: Any) -> None:
        super().__init__(sock)
        self._sock = sock
        self.heard = time.monotonic()
        self._until = 0.0

    def read_message(self) -> Any:
        got = super().read_message()
        self.heard = time.monotonic()
        return got

    def start_handshake(self, timeout: float) -> None:
        self._until = time.monotonic() + timeout

    def handshake_timed_out(self) -> bool:
        return bool(self._until) and time.monotonic() > self._until

    def complete_handshake(self) -> None:
        self._until = 0.0

    def close(self) -> None:
        with contextlib.suppress(OSError, EOFError, paramiko.SSHException):
            self._sock.shutdown(socket.SHUT_RDWR)  # whoever reads wakes now, not at the next look
        super().close()


class Transport(paramiko.Transport):  # type: ignore[misc]
    """A client's transport. ``farewell`` is what the other side said when it hung up."""

    _active_check_timeout = 2.0
    _preferred_ciphers = CIPHERS
    _preferred_macs = MACS

    def __init__(self, sock: Any, keys: tuple[str, ...]) -> None:
        self._preferred_keys = keys
        super().__init__(sock, packetizer_class=_Packets)
        self.farewell = ""
        self._first: bytes = b""
        self._asked = 0.0

    @property
    def heard(self) -> float:
        return float(self.packetizer.heard)

    def shown(self) -> tuple[str, bytes]:
        """The host key's type and blob as they were shown: a certificate's when it was one."""
        return self.host_key_type, self._first

    def ping(self) -> None:
        """Ask for any answer at all."""
        message = paramiko.Message()
        message.add_byte(cMSG_GLOBAL_REQUEST)
        message.add_string("keepalive@openssh.com")
        message.add_boolean(True)
        self._send_user_message(message)

    def start_command(self, channel: paramiko.Channel, command: str) -> None:
        """Run a command on a fresh channel without waiting for the answer: what it reads is on its way at once."""
        message = paramiko.Message()
        message.add_byte(cMSG_CHANNEL_REQUEST)
        message.add_int(channel.remote_chanid)
        message.add_string("exec")
        message.add_boolean(False)
        message.add_string(command)
        self._send_user_message(message)

    def end(self) -> None:
        """Close, and wait until the thread has ended."""
        self.close()
        if self.is_alive():
            self.join(5)

    def _verify_key(self, host_key: bytes, sig: bytes) -> None:
        super()._verify_key(host_key, sig)
        if self._first and host_key != self._first:
            raise paramiko.SSHException("the host key changed while connected")
        self._first = host_key

    def _parse_disconnect(self, m: Any) -> None:
        m.get_int()
        self.farewell = m.get_text()
