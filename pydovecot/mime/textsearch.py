"""Does a message contain a text: decoded, in all its text parts and headers, the way Dovecot looks for it."""

import re
from typing import Final

from pydovecot.mime import casemap, charset, header, params, structure, transfer, words
from pydovecot.mime.structure import Part

_FOLD: Final = re.compile(rb"\r?\n[ \t]")
_LINE: Final = re.compile(rb"\n(?:([^\n:]*)(:[ \t]?))?([^\n]*(?:\n[ \t][^\n]*)*)")
# Marks of a message whose text may differ from its raw bytes.
_ENCODED: Final = re.compile(rb"=\?|[\x1b\x80-\xff]|base64|utf-7", re.IGNORECASE)
_QP_ESCAPE: Final = re.compile(rb"=(?!3D|20)[0-9A-Fa-f]{2}")
_WORDS: Final = re.compile(r"[A-Z0-9]+|[^\x00-\x7f]+")


class Needle:
    """One text to look for in many messages."""

    __slots__ = ("_words", "text")

    def __init__(self, text: str) -> None:
        self.text = casemap.normalise(text)
        # Each of these must occur somewhere in a raw message that has nothing encoded.
        found = _WORDS.findall(self.text)
        self._words = [word.encode() for word in found] if self.text.isascii() else None

    def may_be_in(self, raw: bytes) -> bool:
        """False when the raw message (or header) cannot contain the text; cheap."""
        if _ENCODED.search(raw) is not None:
            return True
        if self._words is None:
            return _QP_ESCAPE.search(raw) is not None
        upper = raw.upper()
        if all(word in upper for word in self._words):
            return True
        return b"=" in raw and b"QUOTED-PRINTABLE" in upper and self._may_be_in_quoted(upper)

    def _may_be_in_quoted(self, upper: bytes) -> bool:
        if _QP_ESCAPE.search(upper) is not None:
            return True
        joined = upper.replace(b"=\r\n", b"").replace(b"=\n", b"")
        return any(b"= " in joined or b"=\t" in joined or word in joined for word in self._words or ())

    def is_in_message(self, message: bytes, headers: bool) -> bool:
        """TEXT (with `headers`) or BODY. RFC 3501 6.4.4."""
        if not self.may_be_in(message):
            return False
        return self._is_in_part(message, structure.parse(message), headers)

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
    """A header's lines unfolded, decoded and normalised, as one text with CRLF."""
    if b"\r" in block:
        block = header.drop_cr(block)
    if b"=?" not in block and block.isascii():
        return casemap.normalise(_FOLD.sub(b" ", block).replace(b"\n", b"\r\n").decode("ascii"))
    out: list[str] = []
    for name, middle, value in _LINE.findall(b"\n" + block.removesuffix(b"\n")):
        if middle:
            out.append(casemap.normalise(charset.decode(name)) + middle.decode("ascii"))
            out.append(words.normalised(_FOLD.sub(b" ", value)))
        else:
            out.append(casemap.normalise(charset.decode(value)))
        out.append("\r\n")
    return "".join(out)


def body_text(message: bytes, part: Part) -> str | None:
    """A part's own body decoded and normalised; None when it is no text or cannot be decoded."""
    searchable = True
    charset_name: bytes | None = None
    encoding = transfer.Encoding.IDENTITY
    typed = False
    fields = part.fields
    if fields is None:
        fields = header.interesting(message[part.start : part.body])
    for name, value in fields:
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
