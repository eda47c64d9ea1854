"""Networks as administrators write them ("10.0.0.0/8", "::1"); addresses and ports as proxies tell them."""

import ipaddress
from functools import lru_cache
from typing import Final

MAX_PORT_DIGITS: Final = 5


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
    if text.isascii() and text.isdigit() and len(text) <= MAX_PORT_DIGITS and 0 < int(text) <= 65535:
        return int(text)
    return None
