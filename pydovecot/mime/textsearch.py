"""Does a message contain a text: decoded, in all its text parts and headers, the way Dovecot looks for it."""

import re
from collections.abc import Iterator
from typing import Final

from pydovecot.mime import casemap, charset, header, params, structure, transfer, words
from pydovecot.mime.address import INVALID_ROUTE, MISSING_DOMAIN, MISSING_MAILBOX, SYNTAX_ERROR
from pydovecot.mime.structure import Part

LARGE: Final = 1 << 20  # octets from which on a text is decoded piece by piece
_FOLD: Final = re.compile(rb"\n[ \t]")
_SOFT_BREAK: Final = re.compile(rb"=[ \t]*\r?\n")
_QP_ESCAPE: Final = re.compile(rb"=(?!3D|20)[0-9A-Fa-f]{2}")
_CHARSET: Final = re.compile(rb'CHARSET="?([^"; \t\r\n]*)')
# Charsets in which ASCII octets (without ESC) mean ASCII.
_ASCII_SAFE: Final = re.compile(
    rb"US-ASCII|ASCII|UTF-?8|ISO[-_]?8859[-_]\d+|(?:WINDOWS-|CP)12\d\d|KOI8-[RU]|GBK?|GB2312|GB18030|BIG5|EUC-\w+"
    rb"|SHIFT_JIS|ISO-2022-[JK][PR]|KS_C_5601-1987|TIS-620"
).fullmatch
_PLAIN_TYPE: Final = re.compile(rb"\nCONTENT-TYPE: TEXT/[A-Z0-9.+-]+[ \t]*+(?:;|\r?\n(?![ \t]))")
_PLAIN_ENCODING: Final = re.compile(rb"\nCONTENT-TRANSFER-ENCODING: [78]BIT\r?\n(?![ \t])")
_PLACEHOLDERS: Final = b" ".join((MISSING_MAILBOX, MISSING_DOMAIN, SYNTAX_ERROR, INVALID_ROUTE))
_WORDS: Final = re.compile(r"[A-Z0-9]+|[^\x00-\x7f]+")


class Needle:
    """One text to look for in many messages."""

    __slots__ = ("_words", "text")

    def __init__(self, text: str) -> None:
        self.text = casemap.normalise(text)
        # Each of these must occur somewhere in a raw message that has nothing encoded.
        found = _WORDS.findall(self.text)
        self._words = [word.encode() for word in found] if self.text.isascii() else None

    @property
    def longest_word(self) -> bytes:
        """A word that a header with nothing encoded must have (in capitals) to match, or b""."""
        word = max(self._words or (), key=len, default=b"")
        return b"" if word in _PLACEHOLDERS else word

    def may_be_in(self, block: bytes) -> bool:
        """False when a header block (or the placeholders of its addresses) cannot contain the text; cheap."""
        if b"=?" in block or not block.isascii():
            return True
        if self._words is None:
            return False
        upper = block.upper()
        return all([word in upper or word in _PLACEHOLDERS for word in self._words])

    def is_in_message(self, message: bytes, headers: bool) -> bool:
        """TEXT (with `headers`) or BODY. RFC 3501 6.4.4."""
        if len(message) < LARGE:
            end = header.end(message)
            if headers and self.text in header_text(message[:end]):
                return True
            found = self._is_behind(message, end)
            if found is not None:
                return found
        return self._is_in_part(message, structure.parse(message, measure=False), headers)

    def _is_behind(self, message: bytes, end: int) -> bool | None:
        """Whether the text is in the body as far as its raw octets tell; None: it must be decoded."""
        body = message[end:]
        if not body.isascii() or b"=?" in body or b"\x1b" in message:
            return None
        upper = message.upper()
        if b"BASE64" in upper or b"CHARSET*" in upper or not all(map(_ASCII_SAFE, _CHARSET.findall(upper))):
            return None
        quoted = b"QUOTED-PRINTABLE" in upper
        if quoted and _QP_ESCAPE.search(body) is not None:
            return None
        if self._words is None:
            return False
        if all([word in upper for word in self._words]):
            return self._is_in_plain(upper, end)
        # Soft line breaks may cut words.
        if quoted and self._words_in(_SOFT_BREAK.sub(b"", upper)):
            return None
        return False

    def _words_in(self, upper: bytes) -> bool:
        return all([word in upper for word in self._words or ()])

    def _is_in_plain(self, upper: bytes, end: int) -> bool | None:
        """The answer for a single text that is not encoded; None when it is not that simple."""
        head = b"\n" + upper[:end]
        if b"CONTENT-T" in head:
            types, encodings = head.count(b"CONTENT-TYPE"), head.count(b"CONTENT-TRANSFER-ENCODING")
            if types > 1 or encodings > 1:
                return None
            if (types and not _PLAIN_TYPE.search(head)) or (encodings and not _PLAIN_ENCODING.search(head)):
                return None
        return self.text.encode() in upper[end:]

    def _is_in_part(self, message: bytes, root: Part, headers: bool) -> bool:
        stack = [root]
        while stack:
            part = stack.pop()
            if self._is_in_one(message, part, headers):
                return True
            stack += reversed(part.children)
        return False

    def _is_in_one(self, message: bytes, part: Part, headers: bool) -> bool:
        block = message[part.start : part.body]
        text = ""
        if headers:
            text = header_text(block)
        if part.children or part.flags & structure.MULTIPART:
            return self.text in text
        if part.end - part.body < LARGE:
            return self.text in text + (body_text(message, part) or "")
        return self._is_in_pieces(text, body_pieces(message, part))

    def _is_in_pieces(self, text: str, pieces: Iterator[str]) -> bool:
        """A large text goes by; what is kept of it is as long as what is looked for."""
        while self.text not in text:
            piece = next(pieces, None)
            if piece is None:
                return False
            text = text[max(0, len(text) - len(self.text)) :] + piece
        return True


def header_text(block: bytes) -> str:
    """A header's lines unfolded, decoded and normalised, as one text with LF."""
    if b"\r" in block:
        block = header.drop_cr(block)
    block = _FOLD.sub(b" ", block)
    out: list[str] = []
    done = 0
    at = block.find(b"=?")
    while at >= 0:
        start = block.rfind(b"\n", 0, at) + 1
        end = block.find(b"\n", at)
        end = end if end >= 0 else len(block)
        colon = block.find(b":", start, end)
        value = start  # a line without a colon is decoded too
        if colon >= 0:
            value = colon + 2 if block[colon + 1 : colon + 2] in (b" ", b"\t") else colon + 1
        if colon < 0 or b"=?" in block[value:end]:
            out.append(casemap.normalise(charset.decode(block[done:value])))
            out.append(words.normalised(block[value:end]))
            done = end
        at = block.find(b"=?", end)
    out.append(casemap.normalise(charset.decode(block[done:])))
    return "".join(out)


def body_text(message: bytes, part: Part) -> str | None:
    """A part's own body decoded and normalised; None when it is no text or cannot be decoded."""
    form = _form_of(message, part)
    if form is None:
        return None
    encoding, known = form
    data = transfer.decode(message[part.body : part.end], encoding)
    return None if data is None else casemap.normalise(charset.decode(data, known))


def body_pieces(message: bytes, part: Part) -> Iterator[str]:
    """As `body_text`, of a large part; nothing instead of None."""
    form = _form_of(message, part)
    if form is not None:
        data = transfer.pieces(message, part.body, part.end, form[0])
        yield from map(casemap.normalise, charset.decode_pieces(data, form[1]))


def _form_of(message: bytes, part: Part) -> tuple[transfer.Encoding, str] | None:
    """How a part's text is encoded, and in which charset; None when it is no text."""
    searchable = True
    charset_name: bytes | None = None
    encoding = transfer.Encoding.IDENTITY
    typed = False
    for name, value in structure.head_of(part, message).content:
        if name == b"content-type":
            kind, _, found = params.content_type(value)
            searchable = kind.lower().startswith((b"text/", b"message/"))
            if not typed:
                typed = True
                charset_name = params.find(found, b"charset")
        elif name == b"content-transfer-encoding":
            encoding = transfer.parse(value)
    if not searchable:
        return None
    known = charset.lookup(charset_name) if charset_name else None
    return encoding, known or "utf-8"
