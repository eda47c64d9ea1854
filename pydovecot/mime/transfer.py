"""Content-Transfer-Encodings undone, also where senders broke them. RFC 2045 6."""

import re
from binascii import a2b_base64
from enum import Enum
from typing import Final

from pydovecot.mime.scanner import Scanner


class Encoding(Enum):
    """What a Content-Transfer-Encoding field says."""

    IDENTITY = "identity"  # 7bit, 8bit, binary, or no field
    BASE64 = "base64"
    QUOTED_PRINTABLE = "quoted-printable"
    UNKNOWN = "unknown"


_KNOWN: Final = {
    b"7bit": Encoding.IDENTITY,
    b"8bit": Encoding.IDENTITY,
    b"binary": Encoding.IDENTITY,
    b"base64": Encoding.BASE64,
    b"quoted-printable": Encoding.QUOTED_PRINTABLE,
}
_NOT_BASE64: Final = re.compile(rb"[^A-Za-z0-9+/ \t\r\n]")
# White space at the end of a line goes; so does a soft line break with what stands behind its "=".
_LINE_END: Final = re.compile(rb"(?<![ \t])[ \t]++(?=\r?\n|\Z)|=[ \t]*(?:\r?\n)|(?<!\r)\n")
_HEX: Final = {
    bytes([high, low]): bytes([int(bytes([high, low]), 16)])
    for high in b"0123456789abcdefABCDEF"
    for low in b"0123456789abcdefABCDEF"
}


def parse(value: bytes) -> Encoding:
    """Read a Content-Transfer-Encoding value: a word, behind which only a `;` may follow."""
    scanner = Scanner(value)
    scanner.skip_ws()
    out: list[bytes] = []
    if scanner.take_token(out) > 0 and not scanner.peek(b";"):
        return Encoding.UNKNOWN
    return _KNOWN.get(b"".join(out).lower(), Encoding.UNKNOWN)


def decode_base64(data: bytes) -> bytes:
    """Decode up to the first byte that is not base64; padding may be missing."""
    stop = _NOT_BASE64.search(data)
    if stop is not None:
        data = data[: stop.start()]
    data = data.translate(None, b" \t\r\n")
    rest = len(data) % 4
    if rest == 1:
        data = data[:-1]
    elif rest:
        data += b"=="[rest - 2 :]
    return a2b_base64(data)


def decode_quoted_printable(data: bytes) -> bytes:
    """Decode with CRLF line ends; an `=` that makes no sense stays."""
    data = _LINE_END.sub(_line_end, data)
    if b"=" not in data:
        return data
    first, *pieces = data.split(b"=")
    out = [first]
    get = _HEX.get
    for piece in pieces:
        byte = get(piece[:2])
        out += (b"=", piece) if byte is None else (byte, piece[2:])
    return b"".join(out)


def _line_end(found: "re.Match[bytes]") -> bytes:
    return b"\r\n" if found[0] == b"\n" else b""


def decode(data: bytes, encoding: Encoding) -> bytes | None:
    """Undo `encoding`; None when it is unknown."""
    if encoding is Encoding.IDENTITY:
        return data
    if encoding is Encoding.BASE64:
        return decode_base64(data)
    if encoding is Encoding.QUOTED_PRINTABLE:
        return decode_quoted_printable(data)
    return None
