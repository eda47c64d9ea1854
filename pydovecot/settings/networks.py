"""Filters by address: parsing networks and the order in which filters nest."""

import ipaddress
import socket

from pydovecot.settings.kinds import BadValue
from pydovecot.settings.tree import Filter, Network


def parse_network(value: str) -> Network:
    """An address, a network, or a host name that is looked up once. Raises BadValue in Dovecot's words."""
    host, slash, bits = value.partition("/")
    try:
        address = ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        address = ipaddress.ip_address(_resolve(host))
    if slash and (not bits.isdecimal() or len(bits) > 3 or int(bits) > address.max_prefixlen):
        raise BadValue(f"Invalid network mask: {bits}")
    return ipaddress.ip_interface(f"{address}/{bits or address.max_prefixlen}")


def _resolve(host: str) -> str:
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as exc:
        reason = exc.strerror if isinstance(exc, OSError) else "Name or service not known"
        raise BadValue(f"gethostbyname({host}) failed: {reason}") from exc
    return str(found[0][4][0]).partition("%")[0]


def nesting_refusal(key: str, parent: Filter) -> str:
    """Filters nest in one order only: local, local_name, remote, protocol."""
    if key == "protocol":
        return "Nested protocol { protocol { .. } } block not allowed" if parent.protocol else ""
    outer = ""
    if parent.remote and key in ("local", "local_name"):
        outer = "remote"
    elif parent.protocol:
        outer = "protocol"
    elif parent.local_name and key == "local":
        outer = "local_name"
    if not outer:
        return ""
    return f"{outer} {{ {key} {{ .. }} }} not allowed (use {key} {{ {outer} {{ .. }} }} instead)"


def inside(inner: Network, outer: Network) -> bool:
    """True if the inner network is part of the outer one."""
    return inner.version == outer.version and (
        inner.network.prefixlen >= outer.network.prefixlen and inner.ip in outer.network
    )
