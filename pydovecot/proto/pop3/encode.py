"""Answers as bytes: status lines, bulk lists and dot-stuffed messages. RFC 1939 3."""

from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Final

from pydovecot.base.rawname import raw

END: Final = b".\r\n"
CHUNK_BYTES: Final = 1 << 18  # so that a slow client holds up a piece, not a whole message


def ok(text: str = "") -> bytes:
    """A positive status line."""
    return f"+OK {text}\r\n".encode() if text else b"+OK\r\n"


def error(text: str) -> bytes:
    """A negative one; client bytes inside `text` come from `parser.text`."""
    return b"-ERR " + text.encode("utf-8", "surrogateescape") + b"\r\n"


def numbered(values: Iterable[tuple[int, int]]) -> bytes:
    """`number value` lines in one piece, for LIST."""
    return "".join(map("%d %d\r\n".__mod__, values)).encode()


def numbered_texts(values: Iterable[tuple[int, str]]) -> bytes:
    """The same for UIDL; texts that were no UTF-8 go out as they were (see base.rawname)."""
    return raw("".join(map("%d %s\r\n".__mod__, values))).encode("utf-8", "surrogateescape")


def stuffed(message: bytes) -> bytes:
    """A CRLF message as RETR sends it, without the final dot: lines that begin with a dot get one more.

    A last line without line end gets one.
    """
    if b"\n." in message:
        message = message.replace(b"\n.", b"\n..")
    if message.startswith(b"."):
        message = b"." + message
    return message if message.endswith(b"\n") else message + b"\r\n"


def stuffed_part(part: bytes, before: bytes) -> bytes:
    """A part of a message with its dots doubled; `before` is the octet before it, LF at the start."""
    if b"\n." in part:
        part = part.replace(b"\n.", b"\n..")
    return b"." + part if before == b"\n" and part.startswith(b".") else part


def head_and_lines_of(parts: Iterable[bytes], lines: int) -> Iterator[bytes]:
    """As `head_and_lines`, of a message in parts: only what is needed is asked for."""
    rest = iter(parts)
    before = b"\n"
    in_last_line = False
    for part in rest:
        start = 0
        if not in_last_line:
            start = (before + part).find(b"\n\r")  # counted with the octet before
            in_last_line = start >= 0
        end = part.find(b"\n", start) + 1 if in_last_line else 0
        if end:
            yield part[:end]
            yield from _lines_of(chain((part[end:],), rest), lines)
            return
        yield part
        before = part[-1:]


def _lines_of(parts: Iterable[bytes], lines: int) -> Iterator[bytes]:
    for part in parts:
        if not lines:
            return
        count = part.count(b"\n")
        if count < lines:
            lines -= count
            yield part
            continue
        at = 0
        for _ in range(lines):
            at = part.index(b"\n", at) + 1
        yield part[:at]
        return


def head_and_lines(message: bytes, lines: int) -> bytes:
    """The header and the first `lines` lines of the body, for TOP. RFC 1939 7."""
    end = header_end(message)
    if end is None:
        return message
    # A line costs at least its CRLF: more lines than that cannot be there.
    for _ in range(min(lines, (len(message) - end) // 2 + 1)):
        found = message.find(b"\n", end)
        if found < 0:
            return message
        end = found + 1
    return message[:end]


def header_end(message: bytes) -> int | None:
    """Where the body begins in a CRLF message; None when there is no empty line.

    As Dovecot's TOP: any line that begins with CR ends the header, not only an empty one.
    """
    start = 0 if message.startswith(b"\r") else message.find(b"\n\r") + 1
    if not start and not message.startswith(b"\r"):
        return None
    return message.find(b"\n", start) + 1 or None


def pieces(data: bytes) -> Iterator[bytes]:
    """Large answers in chunks."""
    if len(data) <= CHUNK_BYTES:
        yield data
        return
    view = memoryview(data)
    for start in range(0, len(data), CHUNK_BYTES):
        yield bytes(view[start : start + CHUNK_BYTES])
