"""Address lists such as `allow_nets=10.0.0.0/8,127.0.0.1,local`."""

import ipaddress
from collections.abc import Iterable


def matches(remote: str, networks: str) -> tuple[bool, list[str]]:
    """Whether `remote` is in one of the comma separated networks; the second part are unreadable ones.

    "local" stands for connections without an address.
    """
    address = parse_address(remote)
    bad: list[str] = []
    for word in _words(networks):
        if word == "local":
            if not remote:
                return True, bad
            continue
        try:
            network = ipaddress.ip_network(word, strict=False)
        except ValueError:
            bad.append(word)
            continue
        if address is not None and address.version == network.version and address in network:
            return True, bad
    return False, bad


def _words(networks: str) -> Iterable[str]:
    return (word for word in networks.replace(",", " ").split() if word)


def parse_address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """The address, or None; an IPv4 address in IPv6 form is IPv4."""
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    if address.version == 6 and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address
