"""Differences that are meant: each is a line of docs/differences.md, and says which rule decides it."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from pydovecot.mime import binary, structure
from pydovecot.model.section import Section
from tests.support.duel import Difference

Test = Callable[[bytes, Difference], bool]

_FILTERED: Final = re.compile(
    rb"\* \d+ FETCH \(BODY\[[0-9.]*HEADER\.FIELDS[^\]]*\]<\d+> \{1\}\r\n(.)\)", re.DOTALL
)

_BARE_CR: Final = re.compile(rb"\r(?!\n)")
_BINARY_SIZE: Final = re.compile(rb"BINARY\.SIZE\[([0-9.]*)\]")
_NO_BINARY: Final = re.compile(rb"\* \d+ FETCH \(UID \d+\)\r\n.*", re.DOTALL)  # Dovecot did not answer
_LITERAL: Final = re.compile(rb"\{\d+\}\r\n(.*\)\r\n)", re.DOTALL)
_CHARSET: Final = re.compile(rb"=\?([^?]*)\?|charset\*?[0-9*]*\s*=\s*\"?([^\"\s;]*)", re.IGNORECASE)
# Charsets that Python and Dovecot's iconv know by the same names, with the same letters.
_SHARED: Final = re.compile(
    rb"|us-ascii|ascii|utf-?[78]|iso-8859-(?:[1-9]|1[013456])|windows-125[0-46-7]|koi8-[ru]|iso-2022-jp|euc-jp",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Known:
    """`line` is how the entry in docs/differences.md begins; `fits` takes the message and the answers."""

    line: str
    rule: str
    fits: Test


def _last_octet(_message: bytes, difference: Difference) -> bool:
    ours, theirs = _FILTERED.match(difference.ours), _FILTERED.match(difference.theirs)
    return ours is not None and theirs is not None and (ours[1], theirs[1]) == (b"\n", b"\r")


def _binary(message: bytes, difference: Difference) -> bool:
    if b"BINARY" not in difference.question:
        return False
    if _NO_BINARY.fullmatch(difference.theirs) or _BARE_CR.search(message):
        return True
    ours, theirs = _LITERAL.search(difference.ours), _LITERAL.search(difference.theirs)
    if (
        ours
        and theirs
        and ours[1].startswith(theirs[1].removesuffix(b")\r\n"))
        and len(ours[1]) > len(theirs[1])
    ):
        return True  # cut off
    parts = [structure.parse(message)]
    for part in parts:
        parts += part.children
    return not all(structure.has_empty_line(message[part.start : part.body]) for part in parts)


def _charset(message: bytes, difference: Difference) -> bool:
    if not difference.question.startswith(b"SEARCH"):
        return False
    return not shares_charsets(message)


def shares_charsets(message: bytes) -> bool:
    """All charsets that the message names are the same to both servers."""
    return all(_SHARED.fullmatch(a or b) for a, b in _CHARSET.findall(message))


def _binary_size(message: bytes, difference: Difference) -> bool:
    """Our size is that of BINARY, which is compared with Dovecot's on its own."""
    asked = _BINARY_SIZE.search(difference.question)
    if asked is None:
        return False
    path = tuple(map(int, filter(None, asked[1].split(b"."))))
    try:
        size = binary.extract(message, None, Section(path)).size
    except (binary.UnknownEncodingError, binary.InvalidDataError):
        return False
    return b"BINARY.SIZE[%b] %d)" % (asked[1], size) in difference.ours


KNOWN: Final = (
    Known("* BINARY.SIZE is the number of octets", "RFC 3516 4.3", _binary_size),
    Known("* BINARY of messages in which a header has no empty line", "RFC 3516 4.3", _binary),
    Known("* Charsets: text that is no", "senders mean by them", _charset),
    Known("* A partial that begins at the last octet of HEADER.FIELDS", "RFC 3501 6.4.5", _last_octet),
)


def explained(message: bytes, difference: Difference) -> Known | None:
    """The entry that explains a difference."""
    return next((known for known in KNOWN if known.fits(message, difference)), None)
