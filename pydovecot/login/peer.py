"""Who is connected: addresses as they are and as a trusted proxy tells them, and the session id."""

import base64
import ipaddress
from dataclasses import dataclass
from typing import Final

from pydovecot.runtime.context import Proxied

MAX_SESSION_ID: Final = 64  # Dovecot: LOGIN_MAX_SESSION_ID_LEN


@dataclass(slots=True)
class Peer:
    """Both ends of a client's connection. real_* never change; a trusted proxy may correct the others."""

    local_ip: str
    local_port: int
    remote_ip: str
    remote_port: int
    listener: str = ""
    proxied: Proxied | None = None  # by the PROXY protocol
    real_local_ip: str = ""
    real_local_port: int = 0
    real_remote_ip: str = ""
    real_remote_port: int = 0

    def __post_init__(self) -> None:
        proxied = self.proxied
        if proxied is not None:
            self.real_local_ip, self.real_local_port = proxied.real_local_ip, proxied.real_local_port
            self.real_remote_ip, self.real_remote_port = proxied.real_remote_ip, proxied.real_remote_port
            return
        self.real_local_ip, self.real_local_port = self.local_ip, self.local_port
        self.real_remote_ip, self.real_remote_port = self.remote_ip, self.remote_port

    @property
    def is_local(self) -> bool:
        """The client is on this host: both ends have the same address."""
        return bool(self.real_remote_ip) and self.real_remote_ip == self.real_local_ip

    @property
    def hostname(self) -> str:
        """The server name that the client gave to a proxy."""
        return self.proxied.hostname if self.proxied is not None else ""

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
