"""How text becomes an IMAP string: quoted where possible, a literal where not. RFC 3501 4.3."""

import re
from typing import Final

PLAIN: Final = re.compile(rb'[^"\\\r\n\x00\x80-\xff]*')
_QUOTABLE: Final = re.compile(rb"[^\r\n\x80-\xff]*")
_SPECIAL: Final = re.compile(rb'(["\\])')
_READABLE: Final = re.compile(rb'[^"\\\r\n\t\x00\x80-\xff]*')
_FOLDING: Final = re.compile(rb"[\r\n]+(?=[ \t]|\Z)")
_OTHER_LINE_END: Final = re.compile(rb"[\r\n]+")
_BLANKS: Final = re.compile(rb"[ \t]+")
# More escapes than this and a literal is shorter (Dovecot's threshold).
MAX_ESCAPES: Final = 4


def string(text: bytes) -> bytes:
    """An IMAP string of these exact bytes."""
    if PLAIN.fullmatch(text):
        return b'"' + text + b'"'
    if _QUOTABLE.fullmatch(text) and text.count(b'"') + text.count(b"\\") <= MAX_ESCAPES:
        return b'"' + _SPECIAL.sub(rb"\\\1", text) + b'"'
    return b"{%d}\r\n%b" % (len(text), text)


def nstring(text: bytes | None) -> bytes:
    """As `string`; None is NIL."""
    return b"NIL" if text is None else string(text)


def one_line(text: bytes) -> bytes:
    """Without line ends: those of folding go, others become a blank."""
    if b"\n" not in text and b"\r" not in text:
        return text
    return _OTHER_LINE_END.sub(b" ", _FOLDING.sub(b"", text))


def readable(text: bytes) -> bytes:
    """A string for people to read (subjects and names): line ends go, runs of blanks become one blank."""
    if _READABLE.fullmatch(text) and b"  " not in text and text[:1] != b" " and text[-1:] != b" ":
        return b'"' + text + b'"'
    changed = _BLANKS.sub(b" ", one_line(text))
    bare = changed.strip(b" ")
    if not bare:
        return b'""'
    if bare == text and _READABLE.fullmatch(text):
        return b'"' + text + b'"'
    bare = bare.replace(b"\0", b"\x80")
    return b"{%d}\r\n%b" % (len(bare), bare)
