"""Messages with binary parts made fit for stores that know lines only. RFC 3516 4.1, RFC 2045 6.8."""

import re
from binascii import b2a_base64
from collections.abc import Iterator
from typing import Final

from pydovecot.mime import structure
from pydovecot.mime.structure import MULTIPART, RFC822, Part

_BINARY: Final = re.compile(
    rb"^Content-Transfer-Encoding[ \t]*:[ \t]?binary(?=\r?\n(?![ \t]))", re.IGNORECASE | re.MULTILINE
)
_ANY: Final = re.compile(rb"^Content-Transfer-Encoding[ \t]*:", re.IGNORECASE | re.MULTILINE)
_LINE: Final = 57  # octets in a line of 76 characters


def convert(message: bytes) -> Iterator[bytes]:
    """The message in chunks; parts with `Content-Transfer-Encoding: binary` become base64.

    Composite parts must not be encoded (RFC 2045 6.4): only what is inside them is.
    """
    if _BINARY.search(message) is None:
        yield message
        return
    pos = 0
    for part in _leaves(structure.parse(message, measure=False)):
        header = message[part.start : part.body]
        found = _BINARY.search(header)
        if found is None or not header.endswith((b"\n\n", b"\n\r\n")) or len(_ANY.findall(header)) > 1:
            continue
        yield message[pos : part.start]
        yield header[: found.start()] + b"Content-Transfer-Encoding: base64" + header[found.end() :]
        yield from _encoded(message, part)
        pos = part.end
    yield message[pos:]


def _leaves(part: Part) -> Iterator[Part]:
    if not part.flags & (MULTIPART | RFC822):
        yield part
    for child in part.children:
        yield from _leaves(child)


def _encoded(message: bytes, part: Part) -> Iterator[bytes]:
    """The body in lines, the last one without its end."""
    size = 1024 * _LINE
    for start in range(part.body, part.end, size):
        body = message[start : min(start + size, part.end)]
        lines = [b2a_base64(body[at : at + _LINE], newline=False) for at in range(0, len(body), _LINE)]
        if start > part.body:
            lines.insert(0, b"")
        yield b"\r\n".join(lines)
