"""The beginning of a message's text, as PREVIEW shows it. RFC 8970; the choice of text is Dovecot's.

Lines that quote (`>`) are left out unless there is nothing else, white space is folded, and the text ends
after MAX_CHARS characters. Only as much of the message is decoded as that needs.
"""

import codecs
import re
from typing import Final

from pydovecot.mime import binary, charset, html, params, structure, transfer
from pydovecot.mime.structure import IS_MIME, Part
from pydovecot.mime.transfer import Encoding

MAX_CHARS: Final = 200  # RFC 8970 3.1: no more than 256
_WINDOW: Final = 4096  # octets of a body that are decoded first
_GROWTH: Final = 8
_MOST: Final = 1 << 20  # text that has not begun by then is not looked for: markup costs time
_MARGIN: Final = 16  # characters at the end of a window that its cut may have made
_UNFINISHED_QP: Final = re.compile(rb"(?:=[0-9A-Fa-f]?|=[ \t]*\r?|\r)\Z")
_UNUSUAL: Final = re.compile(r"[\0\x1c-\x1f]")  # NUL, and what Python takes for white space
_WORD: Final = re.compile(r"[^ \t\n\v\f\r]+")
_DROPPED: Final = {0: None, 0xFEFF: None}  # NUL and byte order marks
_HTML: Final = (b"text/html", b"application/xhtml+xml")


def of(message: bytes, root: Part | None = None) -> str:
    """The preview of a message as stored; "" when it has no text."""
    part = _first_text(root or structure.parse(message, measure=False), message)
    if part is None:
        return ""
    reader = _Body(part, message)
    window = _WINDOW
    while True:
        text, whole = reader.read(window)
        found = of_text(text)
        if whole or (found.enough and len(text) > _MARGIN):
            return found.text
        window = min(window * _GROWTH, _MOST)


def _kind(part: Part, message: bytes) -> tuple[bytes, bytes] | None:
    """Type and subtype, lower case; None: there is none."""
    if part.flags & IS_MIME:
        for name, value in structure.head_of(part, message).content:
            if name == b"content-type":
                kind, _, sub = params.content_type(value)[0].lower().partition(b"/")
                return kind, sub
    return None


def _first_text(part: Part, message: bytes) -> Part | None:
    """The part whose text is shown: the first that is text; of alternatives plain text, else HTML."""
    kind = _kind(part, message)
    if kind is None or kind[0] == b"text":
        return part
    if kind[0] != b"multipart":
        return None
    if kind[1] != b"alternative":
        found = (_first_text(child, message) for child in part.children)
        return next((text for text in found if text is not None), None)
    chosen: dict[bytes, Part] = {}
    for child in part.children:
        inner = _kind(child, message)
        if inner is None or inner == (b"text", b"plain"):
            return child
        if inner[0] == b"text":
            chosen[b"html" if inner[1] == b"html" else b""] = child
    return chosen.get(b"html") or chosen.get(b"")


class _Body:
    """Decodes the beginning of a part's body."""

    def __init__(self, part: Part, message: bytes) -> None:
        self._body = memoryview(message)[part.body : part.end]
        self._encoding = binary.encoding_of(part, message)
        self._text = True
        self._charset = "utf-8"
        self._html = False
        for name, value in structure.head_of(part, message).content:
            if name == b"content-type":
                kind, _, found = params.content_type(value)
                self._html = kind.lower() in _HTML
                self._text = self._html or kind.lower().startswith(b"text/")
                named = params.find(found, b"charset")
                self._charset = (charset.lookup(named) if named else None) or "utf-8"
                break

    def read(self, window: int) -> tuple[str, bool]:
        """The text of the first `window` octets, and whether that was all."""
        data = bytes(self._body[:window])
        if self._encoding is Encoding.QUOTED_PRINTABLE:
            data = _UNFINISHED_QP.sub(b"", data)
        decoded = transfer.decode(data, self._encoding) if self._text else None
        if decoded is None:
            return "", True
        text = charset.decode_shown(decoded, self._charset)
        if text.endswith("\ufffd"):
            # A character that the end cuts off is none, what is broken before it stays.
            reader = codecs.getincrementaldecoder(self._charset)("replace")
            text = text.rstrip("\ufffd") + ("\ufffd" if reader.decode(decoded).endswith("\ufffd") else "")
        return html.to_text(text) if self._html else text, window >= min(len(self._body), _MOST)


class _Words:
    """Text being collected. `left` are the characters it may still get."""

    def __init__(self, left: int) -> None:
        self.parts: list[str] = []
        self.left = left

    def add(self, words: list[str], *, space: bool) -> None:
        """Words of one line, with white space before them."""
        if space:
            self.left -= 1
            if self.left > 0 and self.parts:
                self.parts.append(" ")
        if self.left > 0:
            text = " ".join(words)[: self.left]
            self.left -= len(text)
            self.parts.append(text if self.left else text.rstrip(" "))


class Snippet:
    """`enough`: more text would not change it."""

    __slots__ = ("enough", "text")

    def __init__(self, text: str, *, enough: bool) -> None:
        self.text, self.enough = text, enough


def of_text(text: str) -> Snippet:
    """The snippet of decoded text."""
    own, quoted = _Words(MAX_CHARS), _Words(MAX_CHARS - 1)  # and the `>`
    space = False  # white space waits for the next word, be it quoted or not: as Dovecot
    start = 0
    size = len(text)
    plain = text.isascii() and _UNUSUAL.search(text) is None
    while start < size and own.left > 0:
        end = text.find("\n", start)
        end = size if end < 0 else end
        words = own
        if text.startswith(">", start):
            words = quoted
            start += 1
        line = text[start:end]
        if not plain:
            line = line.translate(_DROPPED)
        start = end + 1
        found = line.split() if plain else _WORD.findall(line)
        if found:
            words.add(found, space=space or (bool(words.parts) and not line.startswith(found[0])))
            space = False
        space = space or bool(words.parts)
    if own.parts:
        return Snippet("".join(own.parts), enough=own.left <= 0)
    if quoted.parts:
        return Snippet(">" + "".join(quoted.parts), enough=False)
    return Snippet("", enough=False)
