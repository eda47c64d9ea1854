"""Differences that are meant: each is a line of docs/differences.md, and says which rule decides it."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from tests.support.duel import Difference

Test = Callable[[bytes, Difference], bool]

_FILTERED: Final = re.compile(
    rb"\* \d+ FETCH \(BODY\[[0-9.]*HEADER\.FIELDS[^\]]*\]<\d+> \{1\}\r\n(.)\)", re.DOTALL
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


KNOWN: Final = (
    Known("* A partial that begins at the last octet of HEADER.FIELDS", "RFC 3501 6.4.5", _last_octet),
)


def explained(message: bytes, difference: Difference) -> Known | None:
    """The entry that explains a difference."""
    return next((known for known in KNOWN if known.fits(message, difference)), None)
