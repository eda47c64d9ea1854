"""Identifiers of Message-ID, References and In-Reply-To, as leniently read as in Dovecot. RFC 5322 3.6.4."""

import re
from collections.abc import Iterator
from typing import Final

from pydovecot.mime.scanner import REPLACEMENT, Scanner

_QUICK: Final = re.compile(rb"<([^>]*)>")
_STOP: Final = re.compile(rb'[>"(]')
_BLANKS: Final = b" \t\r\n"


def find_all(value: bytes) -> list[bytes]:
    """All identifiers of a field's value in order, without their angle brackets; what is none is left out."""
    if b"\0" in value:
        value = value.replace(b"\0", REPLACEMENT)
    if b'"' in value or b"(" in value:
        return list(_careful(value))
    return [_stripped(found) for found in _QUICK.findall(value) if b"@" in found]


def _stripped(found: bytes) -> bytes:
    if b" " in found or b"\n" in found or b"\t" in found or b"\r" in found:
        return found.translate(None, _BLANKS)
    return found


def _careful(value: bytes) -> Iterator[bytes]:
    """The same where quotes or comments may stand inside of an identifier."""
    rest: list[bytes] = []  # what broken ones leave in front of the next, as in Dovecot
    pos = value.find(b"<") + 1
    while pos:
        stop = _STOP.search(value, pos)
        if stop is None:
            return
        if stop[0] == b">":
            found = value[pos : stop.start()]
            if b"@" in found:
                yield _stripped(found)
                rest.clear()
            pos = stop.end()
        elif end := _spelled_out(value, pos, rest):
            yield b"".join(rest)
            rest.clear()
            pos = end
        pos = value.find(b"<", pos) + 1


def _spelled_out(value: bytes, pos: int, out: list[bytes]) -> int:
    """Read one identifier by the whole grammar into `out`; where it ends, 0 when it is none."""
    scanner = Scanner(value)
    scanner.pos = pos
    scanner.skip_ws()
    ret = scanner.take_quoted(out) if scanner.peek(b'"') else scanner.take_dot_atom(out)
    if ret <= 0 or not scanner.peek(b"@"):
        return 0
    out.append(b"@")
    scanner.pos += 1
    scanner.skip_ws()
    if scanner.take_dot_atom(out) <= 0 or not scanner.peek(b">"):
        return 0
    return scanner.pos + 1
