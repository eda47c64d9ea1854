"""A whole message as text: all headers and texts in UTF-8, transfer encodings undone. doveadm's text.utf8."""

import re
from collections.abc import Iterator
from typing import Final

from pydovecot.mime import charset, header, params, structure, transfer, words
from pydovecot.mime.structure import MULTIPART, RFC822, Part

_FIELD: Final = re.compile(rb"([^\s:][^\n:]*?)[ \t]*:[ \t]?([^\n]*(?:\n[ \t][^\n]*)*)(?:\n|\Z)")
_FOLD: Final = re.compile(rb"\n[ \t]")


def of(message: bytes) -> bytes:
    """Part after part: its header, an empty line, its content. Boundaries are no content."""
    return b"".join(_pieces(message, structure.parse(message, measure=False)))


def _pieces(message: bytes, root: Part) -> Iterator[bytes]:
    pending = [root]
    while pending:
        part = pending.pop()
        block = header.drop_cr(message[part.start : part.body])
        for found in _FIELD.finditer(block):
            value = words.decode(_FOLD.sub(b" ", found[2]))
            yield found[1] + b": " + value.encode() + b"\n"
        yield b"\n"
        if part.flags & (MULTIPART | RFC822):
            pending += reversed(part.children)
        else:
            yield _body(message, part)


def _body(message: bytes, part: Part) -> bytes:
    encoding, name = transfer.Encoding.IDENTITY, b""
    for field, value in structure.head_of(part, message).content:
        if field == b"content-type":
            name = params.find(params.content_type(value)[2], b"charset") or b""
        elif field == b"content-transfer-encoding":
            encoding = transfer.parse(value)
    data = transfer.decode(message[part.body : part.end], encoding)
    return b"" if data is None else charset.decode(data, charset.lookup(name) or "utf-8").encode()
