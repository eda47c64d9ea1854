"""Encoded words of header values. RFC 2047, and what senders make of it."""

import re
from collections.abc import Iterator
from typing import Final

from pydovecot.mime import casemap, charset, transfer

# `=?charset?encoding?text?=`: the text may hold anything but "?", even blanks, and there is no length limit.
_WORD: Final = re.compile(rb"=\?([^?]*)\?([^?]*)\?([^?]*)\?=")
_UNDERSCORED_HEX: Final = re.compile(rb"=([0-9A-Fa-f]{2})")


def decode(value: bytes) -> str:
    """The text of an unfolded value."""
    return "".join(charset.decode(data, name or "utf-8") for data, name in _pieces(value))


def normalised(value: bytes) -> str:
    """The text in the form in which searches compare it (casemap.normalise)."""
    if b"=?" not in value:
        return casemap.normalise(charset.decode(value))
    out: list[str] = []
    for data, name in _pieces(value):
        # Dovecot leaves words of unknown charsets as they are.
        out.append(casemap.normalise(charset.decode(data, name)) if name else charset.decode(data))
    return "".join(out)


def _pieces(value: bytes) -> Iterator[tuple[bytes, str | None]]:
    """(bytes, Python's charset name or None if unknown) of the plain and encoded stretches in order."""
    pos = start = 0
    while (at := value.find(b"=?", pos)) >= 0:
        if at != start and value[start:at].strip(b" \t\r\n"):
            # White space between two encoded words is not part of the text.
            yield value[start:at], "utf-8"
        found = _WORD.match(value, at)
        data = _decoded(found[2], found[3]) if found is not None else None
        if found is None or data is None:
            start = at
            pos = at + 2
            continue
        if data:
            name = found[1].partition(b"*")[0]
            yield data, charset.lookup(name) if name else "ascii"
        pos = start = found.end()
    if start < len(value):
        yield value[start:], "utf-8"


def _decoded(encoding: bytes, text: bytes) -> bytes | None:
    kind = encoding[:1].lower()
    if kind == b"q":
        return _UNDERSCORED_HEX.sub(_unhex, text.replace(b"_", b" "))
    if kind == b"b":
        return transfer.decode_base64(text)
    return None


def _unhex(found: "re.Match[bytes]") -> bytes:
    return bytes([int(found[1], 16)])
