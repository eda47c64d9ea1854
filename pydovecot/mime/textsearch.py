"""Does a message contain a text: decoded, in all its text parts and headers, the way Dovecot looks for it."""

import re
from typing import Final

from pydovecot.mime import casemap, charset, header, params, structure, transfer, words
from pydovecot.mime.address import INVALID_ROUTE, MISSING_DOMAIN, MISSING_MAILBOX, SYNTAX_ERROR
from pydovecot.mime.structure import Part

_FOLD: Final = re.compile(rb"\n[ \t]")
_SOFT_BREAK: Final = re.compile(rb"=[ \t]*\r?\n")
_QP_ESCAPE: Final = re.compile(rb"=(?!3D|20)[0-9A-Fa-f]{2}")
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
        end = header.end(message)
        if headers and self.text in header_text(message[:end]):
            return True
        if not self._may_be_behind(message, end):
            return False
        return self._is_in_part(message, structure.parse(message, measure=False), headers)

    def _may_be_behind(self, message: bytes, end: int) -> bool:
        """False when the raw body shows that the text cannot be in it: much cheaper than decoding."""
        body = message[end:]
        if not body.isascii() or b"=?" in body or b"\x1b" in message:
            return True
        upper = message.upper()
        if b"BASE64" in upper or b"UTF-7" in upper or b"UTF-16" in upper:
            return True
        quoted = b"QUOTED-PRINTABLE" in upper
        if quoted and _QP_ESCAPE.search(body) is not None:
            return True
        if self._words is None:
            return False
        if all([word in upper for word in self._words]):
            return True
        if not quoted:
            return False
        # Soft line breaks may cut words.
        joined = _SOFT_BREAK.sub(b"", upper)
        return all([word in joined for word in self._words])

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
        if not part.children and not part.flags & structure.MULTIPART:
            body = body_text(message, part)
            if body is not None:
                text += body
        return self.text in text


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
        if (colon := block.find(b":", start, at)) >= 0:
            value = colon + 2 if block[colon + 1 : colon + 2] in (b" ", b"\t") else colon + 1
            out.append(casemap.normalise(charset.decode(block[done:value])))
            out.append(words.normalised(block[value:end]))
            done = end
        at = block.find(b"=?", end)
    out.append(casemap.normalise(charset.decode(block[done:])))
    return "".join(out)


def body_text(message: bytes, part: Part) -> str | None:
    """A part's own body decoded and normalised; None when it is no text or cannot be decoded."""
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
    data = transfer.decode(message[part.body : part.end], encoding)
    if data is None:
        return None
    known = charset.lookup(charset_name) if charset_name else None
    return casemap.normalise(charset.decode(data, known or "utf-8"))
