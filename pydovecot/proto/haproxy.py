"""The PROXY protocol, versions 1 and 2: who is behind a proxy, told before the first byte of the client.

https://www.haproxy.org/download/2.8/doc/proxy-protocol.txt; what is refused, and how, is Dovecot's.
"""

import ipaddress
import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final

MAX_V1: Final = 108
MAX_V2: Final = 1500
_V1: Final = b"PROXY"
_V1_LEAST: Final = 8  # "PROXY" and what makes it a line
_V2: Final = b"\r\n\r\n\0\r\nQUIT\n"
_V2_FIXED: Final = struct.Struct("!12sBBH")
_V4: Final = struct.Struct("!4s4sHH")
_V6: Final = struct.Struct("!16s16sHH")
_UNIX_BYTES: Final = 216

_LOCAL: Final = 0
_PROXY: Final = 1
_STREAM: Final = 1
_UNSPEC, _INET, _INET6, _UNIX = range(4)

_TLV_AUTHORITY: Final = 0x02
_TLV_SSL: Final = 0x20
_TLV_SSL_CN: Final = 0x22
_TLV_HEAD: Final = 3
_SSL_HEAD: Final = 5
_SSL_CLIENT: Final = 0x01

_INVALID: Final = "haproxy: Client disconnected: Failed to read valid HAproxy data"
_UNPRINTABLE: Final = re.compile(rb"[^\x20-\x7e]")
_SHOWN: Final = 64


class BadHeader(Exception):
    """The connection must be closed; for the log: what is wrong, and facts for the bracket behind it."""

    def __init__(self, text: str, facts: str = "") -> None:
        super().__init__(text, facts)


@dataclass(frozen=True, slots=True)
class Header:
    """What the proxy says. No addresses ("" and 0): those of the connection hold.

    `size`: octets of the header. `tls`: the client's connection to the proxy is TLS. `complaint`: to be
    logged as BadHeader is, though the connection goes on.
    """

    size: int
    remote_ip: str = ""
    remote_port: int = 0
    local_ip: str = ""
    local_port: int = 0
    tls: bool = False
    hostname: str = ""
    certificate_name: str = ""
    complaint: tuple[str, str] | None = None


def parse(data: bytes) -> Header | None:
    """The header at the start of `data`; None while it is not whole. Raises BadHeader."""
    if data.startswith(_V1) and len(data) >= _V1_LEAST:
        return _version1(data)
    if data.startswith(_V2):
        return _version2(data) if len(data) >= _V2_FIXED.size else None
    if _V2.startswith(data) or _V1.startswith(data[: len(_V1)]):
        return None
    raise BadHeader(_INVALID)


# Version 1: a line


def _version1(data: bytes) -> Header | None:
    end = data.find(b"\r", 0, MAX_V1)
    if end < 0 and len(data) < MAX_V1:
        return None
    if end < 0 or data[end + 1 : end + 2] not in (b"", b"\n"):
        raise BadHeader(_INVALID)
    if end + 1 == len(data):
        return None
    return _line(data[:end].split(b" ")[1:], end + 2)


def _line(fields: list[bytes], size: int) -> Header:
    words = iter(fields)
    protocol = next(words, None)
    if protocol is None:
        raise _bad1("Field for proxied protocol is missing")
    if protocol == b"UNKNOWN":
        return Header(size)
    if protocol not in (b"TCP4", b"TCP6"):
        raise _bad1("Unknown proxied protocol", "protocol", protocol)
    version = 4 if protocol == b"TCP4" else 6
    remote_ip = _address(words, "remote", version)
    local_ip = _address(words, "local", version)
    remote_port = _port(words, "remote")
    local_port = _port(words, "local")
    extra = next(words, None)
    if extra is not None:
        raise _bad1("Header line has spurius extra field", "field", extra)  # Dovecot's spelling
    return Header(size, remote_ip, remote_port, local_ip, local_port)


def _address(words: Iterator[bytes], end: str, version: int) -> str:
    word = next(words, None)
    if word is None:
        raise _bad1(f"Field for proxied {end} address is missing")
    try:
        ip = ipaddress.ip_address(word.decode("ascii"))
    except ValueError:
        ip = None
    if ip is None or ip.version != version or b"%" in word:  # a zone may be any text
        raise _bad1(f"Proxied {end} address is invalid", "address", word)
    return str(ip)


def _port(words: Iterator[bytes], end: str) -> int:
    word = next(words, None)
    if word is None:
        raise _bad1("Field for proxied local port is missing")  # said of both ports
    if not word.isdigit() or len(word) > 5 or not 0 < int(word) <= 65535:
        raise _bad1(f"Proxied {end} port is invalid", "port", word)
    return int(word)


def _bad1(text: str, name: str = "", word: bytes = b"") -> BadHeader:
    shown = _UNPRINTABLE.sub(b"?", word).decode()
    if len(shown) > _SHOWN:
        shown = shown[: _SHOWN - 3] + "..."
    return BadHeader(f"haproxy(v1): Client disconnected: {text}", f"{name}=`{shown}'" if name else "")


# Version 2: binary, with more facts behind the addresses


def _version2(data: bytes) -> Header | None:
    _signature, command, family, length = _V2_FIXED.unpack_from(data)
    size = _V2_FIXED.size + length
    if size > MAX_V2:
        raise BadHeader("haproxy: Client disconnected: Too long header")
    if len(data) < size:
        return None
    if command >> 4 != 2:
        raise BadHeader(
            "haproxy: Client disconnected: Unsupported protocol version", f"version={command >> 4:02x}"
        )
    body = data[_V2_FIXED.size : size]
    if command & 15 == _LOCAL:
        return Header(size)  # the proxy's own connection: the receiver must ignore the rest
    if command & 15 != _PROXY:
        raise _bad2("Invalid command", f"cmd={command & 15:02x}")
    if family & 15 != _STREAM:
        raise _bad2("Not using TCP", f"type={family & 15:02x}")
    return _told(body, family >> 4, Header(size))


def _told(body: bytes, family: int, header: Header) -> Header:
    if family in (_INET, _INET6):
        form = _V4 if family == _INET else _V6
        if len(body) < form.size:
            raise _bad2(f"{'IPv4' if family == _INET else 'IPv6'} data is incomplete")
        source, target, remote_port, local_port = form.unpack_from(body)
        header = replace(
            header,
            remote_ip=str(ipaddress.ip_address(source)),
            remote_port=remote_port,
            local_ip=str(ipaddress.ip_address(target)),
            local_port=local_port,
        )
        return _facts(body[form.size :], header)
    if family in (_UNSPEC, _UNIX):
        complaint = "haproxy(v2): Unsupported address family", f"family={family:02x}"
        skipped = body[_UNIX_BYTES:] if family == _UNIX else body
        return _facts(skipped, replace(header, complaint=complaint))
    raise _bad2("Unknown address family", f"family={family:02x}")


def _facts(data: bytes, header: Header) -> Header:
    for at, kind, value in _tlvs(data):
        if kind == _TLV_AUTHORITY:
            header = replace(header, hostname=_text(value))
        elif kind == _TLV_SSL:
            if len(value) < _SSL_HEAD:
                raise _bad_tlv("get_ssl_tlv", at)
            header = replace(header, tls=bool(value[0] & _SSL_CLIENT))
            for _, inner, name in _tlvs(value[_SSL_HEAD:]):
                if inner == _TLV_SSL_CN:
                    header = replace(header, certificate_name=_text(name))
    return header


def _tlvs(data: bytes) -> Iterator[tuple[int, int, bytes]]:
    """Place, type and value of each."""
    at = 0
    while at < len(data):
        head = data[at : at + _TLV_HEAD]
        length = int.from_bytes(head[1:], "big")
        if len(head) < _TLV_HEAD or at + _TLV_HEAD + length > len(data):
            raise _bad_tlv("get_tlv", at)
        yield at, head[0], data[at + _TLV_HEAD : at + _TLV_HEAD + length]
        at += _TLV_HEAD + length


def _text(value: bytes) -> str:
    return value.split(b"\0", 1)[0].decode("utf-8", "replace")


def _bad2(text: str, facts: str = "") -> BadHeader:
    return BadHeader(f"haproxy(v2): Client disconnected: {text}", facts)


def _bad_tlv(function: str, at: int) -> BadHeader:
    return _bad2(f"Invalid TLV: {function}({at}) failed: Truncated data", f"cmd={_PROXY:02x}")
