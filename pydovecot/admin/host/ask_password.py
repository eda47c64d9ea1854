"""A password from the terminal, or a line of standard input when that is none."""

import getpass
import sys

from pydovecot.admin.context import Context


def ask_password(context: Context, prompt: str) -> bytes:
    """Without its line end; empty at the end of the input."""
    if context.input is None and sys.stdin.isatty():
        return getpass.getpass(prompt).encode("utf-8", "surrogateescape")
    return context.stdin().readline(65536).rstrip(b"\r\n")


def ask_new_password(context: Context) -> bytes:
    """Asked twice, until both are the same."""
    while True:
        first = ask_password(context, "Enter new password: ")
        if first == ask_password(context, "Retype new password: "):
            return first
        context.log.error("Passwords don't match!")
