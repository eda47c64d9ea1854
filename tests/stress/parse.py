"""Server responses as values: words and strings are bytes, parentheses are lists."""

import re
from dataclasses import dataclass

Value = bytes | list["Value"] | None

_LITERAL = re.compile(rb"~?\{(\d+)\}\Z")
_ATOM_END = re.compile(rb"[ ()\r]")
_BRACKETS = re.compile(rb"\[[^]]*\](?:<\d+>)?")


class Violation(Exception):
    """The server said something that cannot be."""


def response_end(data: bytes, start: int = 0) -> int:
    """Where the response at `start` ends, its literals included; -1 when it is not all there."""
    at = start
    while True:
        eol = data.find(b"\r\n", at)
        if eol < 0:
            return -1
        size = _LITERAL.search(data, at, eol) if data[eol - 1 : eol] == b"}" else None
        if size is None:
            return eol + 2
        at = eol + 2 + int(size[1])
        if len(data) < at:
            return -1


@dataclass(slots=True)
class Reader:
    """Walks through one response."""

    data: bytes
    at: int = 0

    def more(self) -> bool:
        """There is another value before the end or the closing parenthesis."""
        while self.data[self.at : self.at + 1] == b" ":
            self.at += 1
        return self.data[self.at : self.at + 1] not in (b"", b"\r", b")")

    def value(self) -> Value:
        """The next word, string or list; NIL is None."""
        if not self.more():
            raise Violation(f"value missing in {self.data[:200]!r}")
        first = self.data[self.at : self.at + 1]
        if first == b"(":
            return self._list()
        if first == b'"':
            return self._quoted()
        if first in (b"{", b"~"):
            return self._literal()
        word = self.word()
        return None if word.upper() == b"NIL" else word

    def word(self) -> bytes:
        """An atom, with what stands in brackets as in BODY[HEADER.FIELDS (DATE)]."""
        self.more()
        start = self.at
        while True:
            end = _ATOM_END.search(self.data, self.at)
            stop = end.start() if end else len(self.data)
            bracket = self.data.find(b"[", self.at, stop)
            found = _BRACKETS.match(self.data, bracket) if bracket >= 0 else None
            if found is None:
                self.at = stop
                return self.data[start:stop]
            self.at = found.end()

    def _list(self) -> list[Value]:
        self.at += 1
        found: list[Value] = []
        while self.more():
            found.append(self.value())
        if self.data[self.at : self.at + 1] != b")":
            raise Violation(f"unclosed list in {self.data[:200]!r}")
        self.at += 1
        return found

    def _quoted(self) -> bytes:
        end = self.at + 1
        while self.data[end : end + 1] != b'"':
            if not self.data[end : end + 1]:
                raise Violation(f"unclosed string in {self.data[:200]!r}")
            end += 2 if self.data[end : end + 1] == b"\\" else 1
        text = self.data[self.at + 1 : end]
        self.at = end + 1
        return re.sub(rb"\\(.)", rb"\1", text)

    def _literal(self) -> bytes:
        eol = self.data.index(b"\r\n", self.at)
        size = _LITERAL.match(self.data, self.at, eol)
        if size is None:
            raise Violation(f"broken literal in {self.data[:200]!r}")
        start = eol + 2
        self.at = start + int(size[1])
        return self.data[start : self.at]

    def rest(self) -> list[Value]:
        """All values up to the end of the line."""
        found: list[Value] = []
        while self.more():
            found.append(self.value())
        return found


def numbers(text: bytes) -> list[int]:
    """`3,5:7` in its order."""
    found: list[int] = []
    for part in text.split(b","):
        low, colon, high = part.partition(b":")
        if not low.isdigit() or (colon and not high.isdigit()):
            raise Violation(f"not a set of numbers: {text!r}")
        first, last = int(low), int(high) if colon else int(low)
        found.extend(range(first, last + 1) if first <= last else range(last, first + 1))
    return found


def number_set(found: list[int]) -> bytes:
    """As short as can be."""
    parts: list[bytes] = []
    start = end = -2
    for one in [*sorted(set(found)), -1]:
        if one == end + 1:
            end = one
            continue
        if start >= 0:
            parts.append(b"%d" % start if start == end else b"%d:%d" % (start, end))
        start = end = one
    return b",".join(parts)


def code(text: bytes) -> tuple[bytes, bytes]:
    """The response code of a status text and its argument: `[APPENDUID 1 2] Done` -> APPENDUID, `1 2`."""
    if not text.startswith(b"["):
        return b"", b""
    name, _, argument = text[1 : text.index(b"]")].partition(b" ")
    return name.upper(), argument


def flat(value: Value) -> list[bytes]:
    """All words below."""
    if isinstance(value, list):
        return [word for one in value for word in flat(one)]
    return [value] if value is not None else []
