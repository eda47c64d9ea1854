"""XCLIENT: what a trusted proxy tells of its client. Postfix: XCLIENT_README."""

import ipaddress
import re
from collections.abc import Callable, Mapping
from typing import Final

from pydovecot.services.lmtp.transaction import Client

NAMES: Final = "ADDR PORT PROTO HELO LOGIN SESSION TTL TIMEOUT"
MAX_VALUE: Final = 255
_XTEXT: Final = re.compile(rb"\+([0-9A-F]{2})")  # RFC 3461 4
_UNKNOWN: Final = ("[UNAVAILABLE]", "[TEMPUNAVAIL]")


class BadXclient(Exception):
    """The name of the attribute that cannot be used."""


def apply(client: Client, args: bytes) -> None:
    """Take `NAME=value` words; unknown names are ignored. Raises BadXclient."""
    for word in args.split():
        name, equals, raw = word.partition(b"=")
        key = name.decode("ascii", "replace").upper()
        take = _ATTRIBUTES.get(key)
        if take is None:
            continue
        value = plain(raw).decode("utf-8", "replace")
        if not equals or len(value) > MAX_VALUE or not value.isprintable():
            raise BadXclient(key)
        if value.upper() in _UNKNOWN:
            continue
        try:
            take(client, value)
        except ValueError as exc:
            raise BadXclient(key) from exc


def plain(text: bytes) -> bytes:
    """xtext decoded."""
    return _XTEXT.sub(lambda found: bytes([int(found[1], 16)]), text)


def _address(client: Client, value: str) -> None:
    text = value[5:] if value[:5].upper() == "IPV6:" else value
    client.remote_ip = str(ipaddress.ip_address(text))


def _port(client: Client, value: str) -> None:
    client.remote_port = _number(value, 65535)


def _proto(_client: Client, value: str) -> None:
    if value.upper() not in ("SMTP", "ESMTP", "LMTP"):
        raise ValueError(value)


def _helo(client: Client, value: str) -> None:
    client.helo = value


def _login(client: Client, value: str) -> None:
    client.login = value


def _session(client: Client, value: str) -> None:
    client.session = value


def _ttl(client: Client, value: str) -> None:
    client.ttl = _number(value, 2**31)


def _timeout(client: Client, value: str) -> None:
    client.timeout = _number(value, 2**31)


def _number(value: str, limit: int) -> int:
    if not (value.isascii() and value.isdigit()) or int(value[:12]) > limit:
        raise ValueError(value)
    return int(value)


_ATTRIBUTES: Final[Mapping[str, Callable[[Client, str], None]]] = {
    "ADDR": _address,
    "PORT": _port,
    "PROTO": _proto,
    "HELO": _helo,
    "LOGIN": _login,
    "SESSION": _session,
    "TTL": _ttl,
    "TIMEOUT": _timeout,
}
