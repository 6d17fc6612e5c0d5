"""What sudo's refusals mean, in a user's words. Pure."""

from __future__ import annotations

from infra.errors import SudoRefused
from infra.node.model import Node

WRONG = "the password is wrong"
MISSING = "it wants a password, and there is none"
ASK = "give the password: --ask-sudo at a terminal, or INFRA_SUDO_PASSWORD in the environment"

# What sudo says (in English, which it is told to) -> why, fix. The first that is found counts.
_SAYS: tuple[tuple[tuple[str, ...], str, str], ...] = (
    (
        ("you must have a tty",),
        "its sudoers file says requiretty, and no terminal is used here",
        "add a line there with visudo: Defaults:{user} !requiretty",
    ),
    (
        ("not in the sudoers file", "may not run sudo", "is not allowed to execute", "not allowed to run sudo"),
        "its sudoers file does not allow {user} to run everything as root",
        "as root on that machine: usermod --append --groups sudo {user} (group wheel where there is no group sudo)",
    ),
    (("incorrect password attempt", "Sorry, try again", "Maximum"), WRONG, ASK.replace("give", "give the right", 1)),
    (("a password is required", "no password was provided", "terminal is required to read"), MISSING, ASK),
    (
        ("No such file or directory", "command not found", "Command not found", "Unknown command"),
        "there is no sudo on it",
        "install sudo there, or log in as root",
    ),
    (
        ("expired",),
        "the account's password has expired",
        "log in by hand and change it: passwd",
    ),
)


def needs_password(said: str) -> bool:
    return "a password is required" in said or "terminal is required to read" in said


def about_sudo(said: str) -> bool:
    """Is it sudo that speaks here, and not a login shell?"""
    return "sudo" in said or "Sorry, " in said


def refusal(node: Node, said: str) -> SudoRefused:
    """The error for what sudo said; ``said`` may be one of WRONG and MISSING."""
    last = next((line for line in reversed(said.strip().splitlines()) if line.strip()), "it ended without a word")
    why, fix = last, f"try it there by hand: sudo -v, as {node.user}"
    if said in (WRONG, MISSING):
        why, fix = said, ASK
    else:
        for words, meaning, mend in _SAYS:
            if any(word in said for word in words):
                why, fix = f"{meaning} ({last})" if meaning != last else last, mend
                break
    return SudoRefused(
        f"{node.user} cannot become root on {node.name}",
        where=node.where or node.login,
        why=why.format(user=node.user) if "{user}" in why else why,
        fix=fix.format(user=node.user),
    )
