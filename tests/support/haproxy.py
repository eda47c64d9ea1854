"""Headers of the PROXY protocol, whole and broken: what a proxy sends before the client's first byte."""

import socket
import struct
from typing import Final

SIGNATURE: Final = b"\r\n\r\n\0\r\nQUIT\n"
CLIENT, SERVER = "192.0.2.5", "198.51.100.7"
CLIENT6, SERVER6 = "2001:db8::5", "2001:db8::7"
PORTS: Final = struct.pack("!HH", 4711, 143)
IPV4: Final = socket.inet_aton(CLIENT) + socket.inet_aton(SERVER) + PORTS
IPV6: Final = socket.inet_pton(socket.AF_INET6, CLIENT6) + socket.inet_pton(socket.AF_INET6, SERVER6) + PORTS
LINE: Final = f"PROXY TCP4 {CLIENT} {SERVER} 4711 143\r\n".encode()


def tlv(kind: int, value: bytes) -> bytes:
    """One fact behind the addresses."""
    return struct.pack("!BH", kind, len(value)) + value


def tls(client: int = 1, name: bytes = b"carol") -> bytes:
    """The fact that the client uses TLS, and the name in its certificate."""
    return tlv(0x20, bytes([client]) + bytes(4) + tlv(0x21, b"TLSv1.3") + tlv(0x22, name) + tlv(0x23, b"AES"))


def binary(body: bytes = IPV4, *, command: int = 0x21, family: int = 0x11) -> bytes:
    """A header of version 2."""
    return SIGNATURE + struct.pack("!BBH", command, family, len(body)) + body


# name: header. Those that are good let the client go on with its greeting.
HEADERS: Final[dict[str, bytes]] = {
    "line": LINE,
    "line of IPv6": f"PROXY TCP6 {CLIENT6} {SERVER6} 4711 143\r\n".encode(),
    "line, unknown": b"PROXY UNKNOWN\r\n",
    "line, unknown and more": b"PROXY UNKNOWN ffff:f a b c d e\r\n",
    "line, client on the server's address": f"PROXY TCP4 {SERVER} {SERVER} 4711 143\r\n".encode(),
    "binary": binary(),
    "binary of IPv6": binary(IPV6, family=0x21),
    "binary, the proxy itself": binary(b"", command=0x20, family=0),
    "binary, UNIX sockets": binary(bytes(216), family=0x31),
    "binary, unspecified family": binary(b"", family=0x01),
    "binary, TLS": binary(IPV4 + tls()),
    "binary, no TLS": binary(IPV4 + tls(client=0)),
    "binary, server name": binary(IPV4 + tlv(2, b"mail.example.org") + tls()),
    "binary, ALPN": binary(IPV4 + tlv(1, b"imap")),
}
BROKEN: Final[dict[str, bytes]] = {
    "line, UDP": b"PROXY UDP4 192.0.2.5 198.51.100.7 4711 143\r\n",
    "line, bad client address": b"PROXY TCP4 192.0.2.555 198.51.100.7 4711 143\r\n",
    "line, other family": b"PROXY TCP4 2001:db8::5 198.51.100.7 4711 143\r\n",
    "line, address with a zone": b"PROXY TCP6 fe80::5%eth0 2001:db8::7 4711 143\r\n",
    "line, address with a line end": b"PROXY TCP6 fe80::5%a\nb\tc 2001:db8::7 4711 143\r\n",
    "line, bad server address": b"PROXY TCP4 192.0.2.5 x 4711 143\r\n",
    "line, bad client port": b"PROXY TCP4 192.0.2.5 198.51.100.7 47110000 143\r\n",
    "line, port 0": b"PROXY TCP4 192.0.2.5 198.51.100.7 0 143\r\n",
    "line, bad server port": b"PROXY TCP4 192.0.2.5 198.51.100.7 4711 -3\r\n",
    "line, protocol only": b"PROXY TCP4\r\n",
    "line, one address": b"PROXY TCP4 192.0.2.5\r\n",
    "line, no ports": b"PROXY TCP4 192.0.2.5 198.51.100.7\r\n",
    "line, one port": b"PROXY TCP4 192.0.2.5 198.51.100.7 4711\r\n",
    "line, a word more": b"PROXY TCP4 192.0.2.5 198.51.100.7 4711 143 x\r\n",
    "line, empty protocol": b"PROXY \r\n\r\n",
    "line, control characters": b"PROXY T\x01\xff 192.0.2.5 198.51.100.7 4711 143\r\n",
    "no header": b"a CAPABILITY\r\n",
    "binary, UDP": binary(family=0x12),
    "binary, no protocol": binary(b"", family=0),
    "binary, unknown family": binary(family=0x51),
    "binary, version 1": binary(command=0x11),
    "binary, unknown command": binary(command=0x23),
    "binary, short IPv4": binary(bytes(8)),
    "binary, short IPv6": binary(family=0x21),
    "binary, short TLS": binary(IPV4 + tlv(0x20, b"\0\0")),
    "binary, torn fact in TLS": binary(IPV4 + tlv(0x20, b"\1\0\0\0\0\x22\0\x09ab")),
    "binary, torn fact": binary(IPV4 + b"\x01\x00"),
    "binary, too long": binary(IPV4 + tlv(4, b"x" * 1600)),
}
