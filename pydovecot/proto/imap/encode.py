"""Values to the bytes of IMAP: strings in the shortest form the grammar allows. RFC 3501 9."""

import re
from typing import Final

# As Dovecot: a quoted string only when it is short and plain.
MAX_QUOTED: Final = 128
_ATOM: Final = re.compile(rb"[^\x00-\x20(){%*\"\\\]\x7f-\xff]+")
_QUOTABLE: Final = re.compile(rb'[^\x00\r\n"\\\x80-\xff]*')
_SPECIAL: Final = re.compile(rb'(["\\])')


def quoted(text: bytes) -> bytes:
    """A quoted string; `text` must hold no NUL, CR or LF."""
    return b'"%b"' % _SPECIAL.sub(rb"\\\1", text)


def literal(text: bytes) -> bytes:
    """A literal."""
    return b"{%d}\r\n%b" % (len(text), text)


def string(text: bytes) -> bytes:
    """Quoted when plain, else a literal."""
    if len(text) <= MAX_QUOTED and _QUOTABLE.fullmatch(text):
        return b'"%b"' % text
    return literal(text)


def nstring(text: bytes | None) -> bytes:
    """A string or NIL."""
    return b"NIL" if text is None else string(text)


def utf8_astring(text: str) -> bytes:
    """As `astring`, for who may be sent UTF-8 in quoted strings (RFC 9051 9: UTF8-2, UTF8-3, UTF8-4)."""
    data = text.encode("utf-8", "surrogateescape")
    if data.isascii() or b"\r" in data or b"\n" in data or b"\0" in data:
        return astring(data)
    return quoted(data)


def astring(text: bytes) -> bytes:
    """An atom when possible, else a string; NIL and the empty string are quoted."""
    if _ATOM.fullmatch(text) and text.upper() != b"NIL":
        return text
    if b"\r" in text or b"\n" in text or b"\x00" in text or max(text, default=0) > 0x7F:
        return literal(text)
    return quoted(text)
