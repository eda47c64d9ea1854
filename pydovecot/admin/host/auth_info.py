"""`-x name=value`: what is told to the auth process about an imagined client."""

import ipaddress
from collections.abc import Mapping, Sequence

from pydovecot.admin.errors import AdminError
from pydovecot.base import tabescape

SERVICE = "doveadm"
_ADDRESSES = ("lip", "rip", "real_lip", "real_rip")
_PORTS = ("lport", "rport", "real_lport", "real_rport")


def parse_info(words: Sequence[str]) -> dict[str, str | None]:
    """Fields of a request; `service` first. Raises AdminError."""
    fields: dict[str, str | None] = {"service": SERVICE}
    forwarded: list[str] = []
    for word in words:
        name, equals, value = word.partition("=")
        if equals and name in _ADDRESSES:
            _check_address(name, value)
        elif equals and name in _PORTS and not (value.isdigit() and 0 < int(value) < 65536):
            raise AdminError(f"{name}: Invalid port number")
        if name.startswith("forward_"):
            forwarded.append(tabescape.escape_text(f"{name.removeprefix('forward_')}={value}"))
        elif name:
            fields[name] = value if equals else None
    if forwarded:
        fields["forward_fields"] = "\t".join(forwarded)
    return fields


def _check_address(name: str, value: str) -> None:
    try:
        ipaddress.ip_address(value)
    except ValueError:
        raise AdminError(f"{name}: Invalid ip") from None


def as_words(fields: Mapping[str, str | None]) -> list[str]:
    """For the auth-master protocol."""
    return [name if value is None else f"{name}={value}" for name, value in fields.items()]
