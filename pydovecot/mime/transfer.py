"""Content-Transfer-Encodings undone, also where senders broke them. RFC 2045 6."""

import re
from binascii import a2b_base64
from collections.abc import Iterator
from enum import Enum
from typing import Final

from pydovecot.mime.scanner import Scanner

PIECE: Final = 1 << 17  # octets of a large text that are decoded together


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
_OPEN_END: Final = re.compile(rb"=|[ \t\r]\Z")
_MORE_BLANKS: Final = re.compile(rb"[ \t\r]*")
_DIGITS: Final = b"0123456789abcdefABCDEF"
# What stands behind a "=": hexadecimal digits, or the end of a line that goes on in the next.
_ESCAPES: Final = {
    bytes([high, low]): bytes([int(bytes([high, low]), 16)]) for high in _DIGITS for low in _DIGITS
} | {b"\r\n": b""}
_CUT_OFF: Final = frozenset((b"", *(bytes([digit]) for digit in _DIGITS)))


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
    """Decode with CRLF line ends; an `=` that makes no sense stays, one that the end cuts off goes."""
    if b"\r" in data:
        data = data.replace(b"\r\n", b"\n")
    if b" \n" in data or b"\t\n" in data:
        data = b"\n".join([line.rstrip(b" \t") for line in data.split(b"\n")])
    else:
        data = data.rstrip(b" \t")
    data = data.replace(b"\n", b"\r\n")
    if b"=" not in data:
        return data
    first, *pieces = data.split(b"=")
    out = [first]
    get = _ESCAPES.get
    for piece in pieces:
        byte = get(piece[:2])
        out += (b"=", piece) if byte is None else (byte, piece[2:])
    if pieces[-1] in _CUT_OFF:
        del out[-2:]
    return b"".join(out)


def pieces(data: bytes, start: int, end: int, encoding: Encoding) -> Iterator[bytes]:
    """`data[start:end]` decoded, some 100 KB at a time; nothing when the encoding is unknown."""
    if encoding is Encoding.BASE64:
        stop = _NOT_BASE64.search(data, start, end)
        yield from _base64_pieces(data, start, stop.start() if stop is not None else end)
    elif encoding is Encoding.QUOTED_PRINTABLE:
        for low, high in line_blocks(data, start, end):
            yield decode_quoted_printable(data[low:high])
    elif encoding is Encoding.IDENTITY:
        for low in range(start, end, PIECE):
            yield data[low : min(low + PIECE, end)]


def _base64_pieces(data: bytes, start: int, end: int) -> Iterator[bytes]:
    rest = b""
    for low in range(start, end, PIECE):
        rest += data[low : min(low + PIECE, end)].translate(None, b" \t\r\n")
        whole = len(rest) // 4 * 4
        yield a2b_base64(rest[:whole])
        rest = rest[whole:]
    yield decode_base64(rest)


def line_blocks(data: bytes, start: int, end: int) -> Iterator[tuple[int, int]]:
    """Blocks that end with a line, or in the middle of an endless one, but not in an escape or in blanks."""
    while start < end:
        stop = end
        if end - start > 2 * PIECE:
            at = data.find(b"\n", start + PIECE, start + 2 * PIECE)
            stop = at + 1 if at >= 0 else start + PIECE
            while at < 0 and stop < end and _OPEN_END.search(data[stop - 2 : stop]):
                stop = min(end, _MORE_BLANKS.match(data, stop).end() + 1)  # type: ignore[union-attr]
        yield start, stop
        start = stop


def decode(data: bytes, encoding: Encoding) -> bytes | None:
    """Undo `encoding`; None when it is unknown."""
    if encoding is Encoding.IDENTITY:
        return data
    if encoding is Encoding.BASE64:
        return decode_base64(data)
    if encoding is Encoding.QUOTED_PRINTABLE:
        return decode_quoted_printable(data)
    return None
