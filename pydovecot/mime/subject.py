"""Base subjects for SORT and THREAD. RFC 5256 2.1."""

import re
from typing import Final, NamedTuple

from pydovecot.mime import words

MAX_SUBJECT: Final = 8192  # characters; nothing behind them tells subjects apart

_BLANKS: Final = re.compile(r"[ \t\r\n]+")
_TO_PACK: Final = re.compile(r"[\t\r\n]| [ \t]")
_BLOB: Final = re.compile(r"\[[^\[\]]*\] ?")
_LEADER: Final = re.compile(r" ?(?:\[[^\[\]]*\] ?)*(?:RE|FWD|FW) ?(?:\[[^\[\]]*\] ?)?:")
_BRACKETED: Final = "[FWD:"


class BaseSubject(NamedTuple):
    """`text` in the form in which subjects are compared; `is_reply`: something like "Re:" was taken off."""

    text: str
    is_reply: bool


def base(value: bytes) -> BaseSubject:
    """The base subject of a Subject field's value (folded or not)."""
    text = words.normalised(value)[:MAX_SUBJECT]
    if (found := _TO_PACK.search(text)) is not None:
        # A blank right before the first line end stays beside the line end's own, as in Dovecot.
        at = found.start()
        text = text[:at] + _BLANKS.sub(" ", text[at:])
    is_reply = False
    while True:
        text, replied = _without_trailers(text)
        is_reply |= replied
        text, replied = _without_leaders(text)
        is_reply |= replied
        if not (text.startswith(_BRACKETED) and text.endswith("]")):
            return BaseSubject(text, is_reply)
        text = text[len(_BRACKETED) : -1]
        is_reply = True


def _without_trailers(text: str) -> tuple[str, bool]:
    stripped = text.rstrip(" ")
    if not stripped.endswith("(FWD)"):
        return stripped, False
    size = len(stripped)
    while stripped.endswith("(FWD)", 0, size):
        size -= 5
        while size and stripped[size - 1] == " ":
            size -= 1
    return stripped[:size], True


def _without_leaders(text: str) -> tuple[str, bool]:
    found = False
    pos = 0
    while True:
        while (leader := _LEADER.match(text, pos)) is not None:
            found = True
            pos = leader.end()
        if text.startswith(" ", pos):
            pos += 1
            continue
        # No leader stands behind these blobs, it would have been found with them.
        start = pos
        while (blob := _BLOB.match(text, pos)) is not None and blob.end() < len(text):
            pos = blob.end()
        if pos == start:
            return text[pos:], found
