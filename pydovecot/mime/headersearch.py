"""Does a header field contain a text, the way Dovecot looks for it. RFC 3501 6.4.4 HEADER, FROM, SUBJECT …"""

import re
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from itertools import accumulate
from typing import Final

from pydovecot.mime import address, header, words
from pydovecot.mime.scanner import ATEXT
from pydovecot.mime.textsearch import Needle

# Fields that are compared as addresses, written in one form whatever the sender's quoting was.
ADDRESS_FIELDS: Final = frozenset(("from", "to", "cc", "bcc"))
_FOLD: Final = re.compile(rb"\r?\n[ \t]")
_BLANKS: Final = re.compile(rb"[ \t]+")
_ATOM: Final = re.compile(rb"[" + ATEXT + rb"]*")
_ATOM_DOTS: Final = re.compile(rb"[." + ATEXT + rb"]*")
_ESCAPED: Final = re.compile(rb"([\"\\'])")


class FieldSearch:
    """One field name and text to look for in many headers. An empty text: the field exists.

    `exact`: compare values as they are written, see model.search.Header.
    """

    def __init__(self, name: str, text: str, exact: bool = False) -> None:
        lower = name.lower()
        self._needle = Needle(text)
        self._values = re.compile(
            rb"\n"
            + header.any_case(name.encode("utf-8", "replace"))
            + rb"(?:[ \t]{0,8180}|\0[^\n:]*):[ \t]?([^\n]*(?:\n[ \t][^\n]*)*)",
        )
        self._addresses = not exact and lower in ADDRESS_FIELDS
        self._compress = not exact and lower == "subject"

    def matches(self, block: bytes) -> bool:
        """True when a field of the header block (any line ends) matches."""
        if not self._needle.may_be_in(block):
            return False
        values = self._values.findall(b"\n" + block)
        if not values or not self._needle.text:
            return bool(values)
        return any(self._is_in(value) for value in values)

    def select(self, rows: Sequence[tuple[int, bytes]]) -> Iterator[int]:
        """Of (number, header block) rows the numbers of those that match. Cheaper than `matches` for each."""
        matches = self.matches
        word = self._needle.longest_word
        if not word:
            yield from [number for number, block in rows if matches(block)]
            return
        # All are looked through at once; few have the word, or something encoded.
        blocks = [block for _, block in rows]
        joined = b"".join(blocks)
        ends = list(accumulate(map(len, blocks)))
        likely = _places(joined.upper(), word, ends)
        likely.update(_places(joined, b"=?", ends))
        if not joined.isascii():
            likely.update([place for place, block in enumerate(blocks) if not block.isascii()])
        for place in sorted(likely):
            if matches(blocks[place]):
                yield rows[place][0]

    def _is_in(self, value: bytes) -> bool:
        value = _FOLD.sub(b" ", value).removesuffix(b"\r")
        text = self._needle.text
        if self._addresses:
            value = written(address.parse(value))
        elif self._compress:
            value = _BLANKS.sub(b" ", value).lstrip(b" ")
        if b"=?" not in value and value.isascii():
            return text in value.decode("ascii").upper()
        return text in words.normalised(value)


def _places(joined: bytes, word: bytes, ends: list[int]) -> set[int]:
    """Which of the blocks that were joined contain a word; `ends` are their end offsets."""
    places: set[int] = set()
    at = joined.find(word)
    while at >= 0:
        place = bisect_right(ends, at)
        places.add(place)
        at = joined.find(word, ends[place])
    return places


def written(addresses: list[address.Address]) -> bytes:
    """Addresses in the one form in which they are compared."""
    out: list[bytes] = []
    in_group = False
    first = True
    for one in addresses:
        if not first:
            out.append(b", ")
        first = False
        if one.domain is None:
            if in_group:
                out.append(_end_group(out))
            else:
                name = one.mailbox or b'""'
                out.append((name if b"=?" in name or name == b'""' else _quoted(name, _ATOM)) + b": ")
                first = True
            in_group = not in_group
        else:
            out.append(_one(one))
    return b"".join(out)


def _end_group(out: list[bytes]) -> bytes:
    if out[-1] == b", ":
        out.pop()
    elif out[-1].endswith(b": "):
        out[-1] = out[-1][:-1]
    return b";"


def _one(one: address.Address) -> bytes:
    name = one.name or b""
    if name and b"=?" not in name:
        name = _quoted(name, _ATOM)
    mailbox = _quoted(one.mailbox, _ATOM_DOTS) if one.mailbox else b'""'
    route = one.route + b":" if one.route is not None else b""
    domain = b"@" + one.domain if one.domain else b""
    return (name + b" " if name else b"") + b"<" + route + mailbox + domain + b">"


def _quoted(text: bytes, plain: "re.Pattern[bytes]") -> bytes:
    if plain.fullmatch(text):
        return text
    return b'"' + _ESCAPED.sub(rb"\\\1", text) + b'"'
