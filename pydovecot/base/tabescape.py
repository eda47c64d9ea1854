"""TAB-separated lines between processes: a field may hold any byte, four of them escaped by \\001.

The line protocols of auth, anvil, master, log and dict all use it (reference: features E.4).
"""

import re
from collections.abc import Iterable
from typing import Final

_ESCAPED: Final = {b"\x00": b"\x010", b"\x01": b"\x011", b"\t": b"\x01t", b"\r": b"\x01r", b"\n": b"\x01n"}
_PLAIN: Final = {b"0": b"\x00", b"1": b"\x01", b"t": b"\t", b"r": b"\r", b"n": b"\n"}
_NEEDS_ESCAPE: Final = re.compile(rb"[\x00\x01\t\r\n]")
_IS_ESCAPE: Final = re.compile(rb"\x01(.?)", re.DOTALL)


def escape(field: bytes) -> bytes:
    """Return `field` with NUL, \\001, TAB, CR and LF written as \\001 and a letter."""
    if _NEEDS_ESCAPE.search(field) is None:
        return field
    return _NEEDS_ESCAPE.sub(lambda m: _ESCAPED[m[0]], field)


def unescape(field: bytes) -> bytes:
    """Undo `escape`. An unknown escape gives its own letter, as Dovecot's reader does."""
    if b"\x01" not in field:
        return field
    return _IS_ESCAPE.sub(lambda m: _PLAIN.get(m[1], m[1]), field)


def escape_text(field: str) -> str:
    """`escape` for text; bytes that are not UTF-8 travel as surrogates."""
    return escape(field.encode("utf-8", "surrogateescape")).decode("utf-8", "surrogateescape")


def unescape_text(field: str) -> str:
    """`unescape` for text; bytes that are not UTF-8 travel as surrogates."""
    return unescape(field.encode("utf-8", "surrogateescape")).decode("utf-8", "surrogateescape")


def split(line: bytes) -> list[bytes]:
    """Fields of a line without its LF, unescaped."""
    return [unescape(field) for field in line.split(b"\t")]


def split_text(line: bytes) -> list[str]:
    """Fields of a line without its LF, unescaped, as text (surrogates for bytes that are not UTF-8)."""
    return [unescape(field).decode("utf-8", "surrogateescape") for field in line.split(b"\t")]


def join(fields: Iterable[bytes]) -> bytes:
    """A line of escaped fields, LF included."""
    return b"\t".join(map(escape, fields)) + b"\n"


def join_text(fields: Iterable[str]) -> bytes:
    """A line of escaped text fields, LF included."""
    return join(field.encode("utf-8", "surrogateescape") for field in fields)
