"""The ID command (RFC 2971): what a client or a trusted proxy tells, and what we answer."""

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from pydovecot.base.networks import valid_ip, valid_port
from pydovecot.services.imap_login.parser import Kind

if TYPE_CHECKING:
    from pydovecot.login.client import LoginClient

MAX_KEY: Final = 30  # RFC 2971 3.3
MAX_LOGGED: Final = 2048  # of one log line
NAME: Final = "Dovecot"  # clients adapt to the name: what we speak is Dovecot's IMAP

Pairs = Sequence[tuple[str, str | None]]


def pairs(arguments: Sequence[tuple[Kind, bytes]]) -> Pairs | None:
    """The fields of an ID command; None when they are none. What follows the list is ignored."""
    if not arguments:
        return []
    kind, value = arguments[0]
    if kind is Kind.ATOM and value.upper() == b"NIL":
        return []
    if kind is not Kind.OPEN:
        return None
    found: list[tuple[str, str | None]] = []
    key: bytes | None = None
    for kind, value in arguments[1:]:
        if kind is Kind.CLOSE:
            break
        if key is None:
            if kind is not Kind.STRING or len(value) > MAX_KEY:
                return None
            key = value
        else:
            nil = kind is Kind.ATOM and value.upper() == b"NIL"
            if kind is not Kind.STRING and not nil:
                return None
            found.append((_text(key), None if nil else _text(value)))
            key = None
    return found


def to_log(wanted: str, fields: Pairs) -> str:
    """The fields that imap_id_log names, as `name=value, name=value`."""
    if not wanted:
        return ""
    names = None if wanted.strip() == "*" else {name.lower() for name in wanted.split()}
    return ", ".join(
        f"{key}={'NIL' if value is None else value}"
        for key, value in fields
        if names is None or key.lower() in names
    )


def client_id(fields: Pairs) -> str:
    """The fields as one text for the auth process and the mail worker (%{client_id})."""
    return " ".join(f'"{key}" {"NIL" if value is None else _quote(value)}' for key, value in fields)


def forward(client: "LoginClient", fields: Pairs) -> None:
    """Take over what a trusted proxy says of the client behind it."""
    for name, value in fields:
        if value is None:
            continue
        match name.lower():
            case "x-originating-ip":
                client.peer.remote_ip = valid_ip(value) or client.peer.remote_ip
            case "x-originating-port":
                client.peer.remote_port = valid_port(value) or client.peer.remote_port
            case "x-connected-ip":
                client.peer.local_ip = valid_ip(value) or client.peer.local_ip
            case "x-connected-port":
                client.peer.local_port = valid_port(value) or client.peer.local_port
            case "x-session-id" | "x-session-ext-id":
                client.session = value
            case _:
                pass


def reply(configured: str, version: str) -> bytes:
    """The answer that imap_id_send describes: `name * version 1.0`; * is the usual value."""
    words = configured.split()
    if not words:
        return b"NIL"
    uname = os.uname()
    usual = {
        "name": NAME,
        "version": version,
        "os": uname.sysname,
        "os-version": uname.release,
        "support-url": "http://www.dovecot.org/",
        "support-email": "dovecot@dovecot.org",
    }
    parts = []
    for key, value in zip(words[::2], [*words[1::2], "*"], strict=False):
        known = usual.get(key.lower()) if value == "*" else value
        parts.append(f'"{key}" {"NIL" if known is None else _quote(known)}')
    return f"({' '.join(parts)})".encode("utf-8", "replace")


def _quote(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _text(value: bytes) -> str:
    return value.decode("utf-8", "replace")
