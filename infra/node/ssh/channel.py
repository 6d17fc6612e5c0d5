"""What is said over one exec channel, so that a script runs the same whatever the account's shell is and prints.

The command line holds only words that sh, bash, fish, csh and tcsh read alike: inside its single quotes there is no
quote, backslash, exclamation mark or line break. It starts a launcher in /bin/sh, which reads the script from stdin by
its size and leaves the rest of stdin for blobs. Every line that is ours begins with a random token: what rc files print
before it, or anybody after it, is cut off. All of it is pure.

    exec /bin/sh -c 'echo TOKEN:ready; eval "$(head -c SIZE)"'
    stdout:  noise TOKEN:ready TOKEN:begin BOOT …output… TOKEN:blob NAME …output… TOKEN:end CODE
    stderr:  noise TOKEN:begin …output… TOKEN:end
    stdin:   [password, TOKEN:script] the script, then for each blob asked for a line "SIZE SHA256" and its bytes
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal

# plain: as the account itself. free: sudo, no password. prompt: sudo that says TOKEN:password when it needs one.
# password: sudo that is known to need one, which is sent at once.
How = Literal["plain", "free", "prompt", "password"]
DAMAGED = 74
MOST = 64 << 20  # bytes of output that are kept; whoever prints more than that is stopped
Blob = Callable[[], bytes]


@dataclass(frozen=True, slots=True)
class Ran:
    """What a script did: its exit ``code``, what it printed, and the ``seconds`` it took."""

    code: int
    out: str
    err: str
    seconds: float


# tee appends to what the function's stdout is, the checksum goes into the variable. A tee that cannot write all
# changes the checksum too.
_BLOB = r"""infra_blob() {
  printf 'TOKEN:blob %s\n' "$1" >&8
  IFS=' ' read -r infra_size infra_sum <&9 || infra_size=0
  { infra_got=$(head -c "$infra_size" <&9 | { tee -a /dev/fd/7 || echo; } | sha256sum); } 7>&1
  [ "${infra_got%% *}" = "$infra_sum" ] && return 0
  printf 'TOKEN:damaged %s\n' "$1" >&8
  exit 74
}
"""


def quote(word: str) -> str:
    """A word for sh, in single quotes."""
    return "'" + word.replace("'", "'\\''") + "'"


def command(token: str, size: int, how: How) -> str:
    """The command line that starts the launcher of a payload of ``size`` bytes."""
    skip = f'while IFS= read -r l; do if [ "$l" = {token}:script ]; then break; fi; done; ' if how == "password" else ""
    launcher = f'{skip}echo {token}:ready; eval "$(head -c {size})"'
    # A language that is there nearly everywhere, so that what sudo says can be read.
    sudo = {
        "plain": "",
        "free": "env LC_ALL=C.UTF-8 sudo -n -H -- ",
        "prompt": f"env LC_ALL=C.UTF-8 sudo -S -H -p {token}:password -- ",
        "password": f"env LC_ALL=C.UTF-8 sudo -S -H -p {token}:password -- ",
    }[how]
    return f"exec {sudo}/bin/sh -c '{launcher}'"


def payload(token: str, script: str, args: Sequence[str] = ()) -> bytes:
    """What the launcher evaluates: the markers, ``infra_blob``, and the script in a subshell of its own."""
    words = " ".join(quote(arg) for arg in args)
    return f"""\
exec 9<&0 8>&1 </dev/null
cd /
umask 022
export LC_ALL=C.UTF-8
read -r infra_boot </proc/sys/kernel/random/boot_id
echo {token}:begin "$infra_boot"
echo {token}:begin >&2
{_BLOB.replace("TOKEN", token)}set -- {words}
( eval {quote(script)} )
infra_code=$?
echo {token}:end >&2
echo {token}:end $infra_code
exit 0
""".encode()


def header(data: bytes) -> bytes:
    """The line that goes before a blob's bytes."""
    return f"{len(data)} {hashlib.sha256(data).hexdigest()}\n".encode()


@dataclass(slots=True)
class Stream:
    """One of the two streams, taken apart: ``text`` is what the script printed, ``noise`` what others did before it.

    ``mark`` is called with each of our lines, without the token: ``("begin", "")``, ``("blob", "policy")``.
    """

    token: bytes
    mark: Callable[[str, str], None]
    on_line: Callable[[str], None] | None = None
    begun: bool = False
    ended: bool = False
    size: int = 0
    noise: bytearray = field(default_factory=bytearray)
    _kept: list[bytes] = field(default_factory=list)
    _rest: bytearray = field(default_factory=bytearray)
    _line: bytes = b""

    @property
    def text(self) -> str:
        return (b"".join(self._kept) + bytes(self._rest if self.begun and not self.ended else b"")).decode(
            "utf-8", "replace"
        )

    @property
    def held(self) -> int:
        """Bytes of output that are kept."""
        return self.size + len(self._rest)

    @property
    def before(self) -> str:
        """What was printed before the script began."""
        rest = b"" if self.begun else bytes(self._rest)
        return (bytes(self.noise) + rest).decode("utf-8", "replace").strip()

    def feed(self, data: bytes) -> None:
        self._rest += data
        if self.begun and b"\n" not in data:
            return  # every line of ours has an end; a long one of theirs is not looked through again and again
        prompt = self.token + b":password"  # sudo's, which has no line break
        while not self.begun and (at := self._rest.find(prompt)) >= 0:
            del self._rest[at : at + len(prompt)]
            self.mark("password", "")
        lines = bytes(self._rest).split(b"\n")
        self._rest[:] = lines.pop()
        for line in lines:
            self._take(line)

    def _take(self, line: bytes) -> None:
        head, found, tail = line.partition(self.token + b":")
        if not found:
            self._keep(line + b"\n")
            return
        self._keep(head)
        word, _, rest = tail.decode("utf-8", "replace").partition(" ")
        if word == "begin":
            self.begun = True
        elif word == "end":
            self.ended = True
            self.finish()
        self.mark(word, rest)

    def _keep(self, data: bytes) -> None:
        if not self.begun:
            self.noise += data
            del self.noise[:-4096]
        elif not self.ended and data:
            self._kept.append(data)
            self.size += len(data)
            if self.on_line:
                self._line += data
                if data.endswith(b"\n"):
                    self.finish()

    def finish(self) -> None:
        """Hand over a last line that has no line break."""
        if self.on_line and self._line:
            line, self._line = self._line, b""
            self.on_line(line.decode("utf-8", "replace").rstrip("\n"))
