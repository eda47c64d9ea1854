"""Who is connected: addresses as they are and as a trusted proxy tells them, and the session id."""

import base64
import ipaddress
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

MAX_SESSION_ID: Final = 64  # Dovecot: LOGIN_MAX_SESSION_ID_LEN


@dataclass(slots=True)
class Peer:
    """Both ends of a client's connection. real_* never change; a trusted proxy may correct the others."""

    local_ip: str
    local_port: int
    remote_ip: str
    remote_port: int
    listener: str = ""
    real_local_ip: str = ""
    real_local_port: int = 0
    real_remote_ip: str = ""
    real_remote_port: int = 0

    def __post_init__(self) -> None:
        self.real_local_ip, self.real_local_port = self.local_ip, self.local_port
        self.real_remote_ip, self.real_remote_port = self.remote_ip, self.remote_port

    @property
    def is_local(self) -> bool:
        """The client is on this host: both ends have the same address."""
        return bool(self.real_remote_ip) and self.real_remote_ip == self.real_local_ip

    @property
    def is_forwarded(self) -> bool:
        """A proxy told other addresses than those of the connection."""
        return (
            self.local_ip != self.real_local_ip
            or self.remote_ip != self.real_remote_ip
            or self.local_port != self.real_local_port
            or self.remote_port != self.real_remote_port
        )


def session_id(now: float, peer: Peer) -> str:
    """A session id as Dovecot makes it: microseconds (48 bits), port and address, in base64."""
    stamp = int(now * 1_000_000) & 0xFFFFFFFFFFFF
    try:
        address = ipaddress.ip_address(peer.remote_ip).packed
    except ValueError:
        address = b"\0\0\0\0"
    raw = stamp.to_bytes(6, "little") + peer.remote_port.to_bytes(2, "little") + address
    # base64 pads nothing for IPv4 (12 bytes) and IPv6 (24 bytes).
    return base64.b64encode(raw).decode()


@lru_cache(maxsize=64)
def _network(text: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network | None:
    try:
        return ipaddress.ip_network(text, strict=False)
    except ValueError:
        return None


def in_networks(address: str, networks: tuple[str, ...]) -> tuple[bool, str]:
    """Whether `address` is in one of `networks` ("10.0.0.0/8", "::1"), and the first that is not readable."""
    if not networks:
        return False, ""
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:
        return False, ""
    for word in networks:
        for text in word.split(","):
            if not text:
                continue
            network = _network(text)
            if network is None:
                return False, text
            if ip in network:
                return True, ""
    return False, ""


def valid_ip(text: str) -> str | None:
    """`text` as an address in its usual form, or None."""
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        return None


def valid_port(text: str) -> int | None:
    """`text` as a port number, or None."""
    if text.isascii() and text.isdigit() and len(text) <= 5 and 0 < int(text) <= 65535:
        return int(text)
    return None
