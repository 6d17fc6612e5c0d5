"""An account that we came into by password gets our public key first: the policy switches passwords off."""

from __future__ import annotations

from pathlib import Path

from infra import proc
from infra.errors import LoginRefused, NodeError, NodeUnfit, ToolError
from infra.node.ssh.auth import Auth
from infra.node.ssh.fleet import Connection

DEADLINE = 20.0
# As the account itself. $1 is the key; a last line without its end gets one first.
SCRIPT = """\
set -eu
umask 077
mkdir -p "$HOME/.ssh"
file=$HOME/.ssh/authorized_keys
[ ! -f "$file" ] || grep -qxF "$1" "$file" && [ -f "$file" ] && exit 0
[ ! -s "$file" ] || [ -z "$(tail -c 1 "$file")" ] || echo >>"$file"
printf '%s\\n' "$1" >>"$file"
"""


def public_key(auth: Auth) -> str:
    """One of our public keys: of the key files, else of the agent; "" when there is none."""
    for path in (*auth.identities, *auth.usual_files()):
        beside = Path(f"{path}.pub")
        if beside.is_file():
            return beside.read_text(encoding="utf-8").strip()
        try:
            return proc.run(["ssh-keygen", "-y", "-P", "", "-f", str(path)], deadline=DEADLINE).out.strip()
        except ToolError:
            continue  # it has a passphrase, and no .pub
    if auth.agent:
        try:
            listed = proc.run(["ssh-add", "-L"], deadline=DEADLINE).out.splitlines()
        except ToolError:
            return ""
        return next((line for line in listed if line.count(" ") >= 1), "")
    return ""


def place(connection: Connection) -> bool:
    """Put our key there and log in by it once more. False when we came by key anyhow.

    Raises NodeUnfit when we have no key, and NodeError when the one that was put there does not open the door.
    """
    if connection.login != "password":
        return False
    node, auth = connection.node, connection.fleet.auth
    key = public_key(auth)
    if not key:
        raise NodeUnfit(
            f"{node.name} let us in by password, and we have no key to put there",
            where=node.where or node.login,
            why="the policy switches passwords off: after it, nobody could log in",
            fix="make a key (ssh-keygen -t ed25519), or name one with --identity; then run the same command again",
        )
    connection.run(SCRIPT, key, root=False, deadline=DEADLINE)
    only_keys = Auth(identities=auth.identities, agent=auth.agent, usual=auth.usual, config=auth.config, sudo=auth.sudo)
    again = connection.fleet.using(only_keys)
    try:
        again.connect(node).close()
    except LoginRefused as error:
        raise NodeError(
            f"{node.name} has our key now, and still does not let us in by it",
            where=node.where or node.login,
            why=error.problems[0].why,
            fix="see there why: sudo journalctl -u ssh -n 20; the home folder and ~/.ssh must be nobody else's to "
            "write to, and sshd must look there (AuthorizedKeysFile). Nothing else was changed",
        ) from error
    return True
