"""Sections with their Content-Transfer-Encodings undone, for BINARY[section]. RFC 3516 4.

A part whose encoding was undone says so: its header loses Content-Transfer-Encoding and gains `binary`. Data
that are not what their encoding says are refused, as Dovecot does; search and previews are more lenient
(transfer.py).
"""

import re
from binascii import Error, a2b_base64, a2b_qp
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Final

from pydovecot.mime import section, structure, transfer
from pydovecot.mime.stretch import LARGE, Stretch
from pydovecot.mime.structure import Part
from pydovecot.mime.transfer import Encoding
from pydovecot.model.section import Section, Text

_NAME: Final = b"content-transfer-encoding"
_BINARY: Final = b"Content-Transfer-Encoding: binary\r\n"
_ENCODED: Final = (Encoding.BASE64, Encoding.QUOTED_PRINTABLE)
# An escape that is none, a CR without LF, and more white space within a line than a whole line may have.
_BROKEN_QP: Final = re.compile(
    rb"=(?![0-9A-Fa-f]{2}|[ \t]*+\r?\n)|\r(?!\n)|(?<![ \t=])[ \t]{77}[ \t]*+(?![ \t\r\n]|\Z)"
)
_BLANKS: Final = re.compile(rb"(?<![ \t])[ \t]++(?=\r?\n|\Z)")


class UnknownEncodingError(Exception):
    """A part has a Content-Transfer-Encoding that nobody knows."""


class InvalidDataError(Exception):
    """A part's data are not what its Content-Transfer-Encoding says."""


@dataclass(frozen=True, slots=True)
class Decoded:
    """A section decoded. `raw`: it may hold anything, NUL included, and goes out as a literal8."""

    chunks: Sequence[bytes]
    raw: bool = False

    @property
    def size(self) -> int:
        """Octets in all."""
        return sum(map(len, self.chunks))

    def cut(self, offset: int, length: int) -> "Decoded":
        """A part of it, as BINARY[section]<offset.length> wants."""
        ends = list(accumulate(map(len, self.chunks)))
        end = offset + length
        kept = [
            chunk[max(0, offset - (stop - len(chunk))) : end - (stop - len(chunk))]
            for chunk, stop in zip(self.chunks, ends, strict=True)
            if stop > offset and stop - len(chunk) < end
        ]
        return Decoded(kept, self.raw)


EMPTY: Final = Decoded(())


def extract(message: bytes, root: Part | None, wanted: Section) -> Decoded:
    """The section with encodings undone; empty when there is no such part.

    Headers come as they are. Raises UnknownEncodingError before anything is decoded, and InvalidDataError.
    """
    if not decodes(wanted):
        found = section.extract(message, root, wanted)
        return EMPTY if found is None else Decoded((found,))
    part = _part(root or structure.parse(message), wanted)
    if part is None:
        return EMPTY
    return _Decoder(message).run(part, with_header=not wanted.path and wanted.text is Text.ALL)


def decodes(wanted: Section) -> bool:
    """The section is of a kind whose encodings are undone."""
    return wanted.text in (Text.ALL, Text.TEXT)


class Sizes:
    """How large each section of a message is decoded: a part is decoded once, when the first is asked for.

    As in Dovecot one part that cannot be decoded makes all sizes unknown: the exceptions of `extract`.
    """

    def __init__(self, message: bytes, root: Part) -> None:
        self._decoder = _Decoder(message)
        self._root = root
        self._bodies: dict[int, int] = {}  # by id of the part

    def size(self, wanted: Section) -> int:
        """Octets of `extract` for a section of a kind that `decodes`."""
        part = _part(self._root, wanted)
        if part is None:
            return 0
        if not self._bodies:
            self._decoder.look(self._root)
            self._measure(self._root)
        with_header = not wanted.path and wanted.text is Text.ALL
        return self._decoder.size(part, self._bodies, with_header=with_header)

    def _measure(self, part: Part) -> int:
        if not part.children:
            size = sum(map(len, self._decoder.body(part)))
        else:
            size = sum(len(self._decoder.header(child)) + self._measure(child) for child in part.children)
            size += sum(map(len, self._decoder.gaps(part)))
        self._bodies[id(part)] = size
        return size


def _part(root: Part, wanted: Section) -> Part | None:
    part = section.find(root, wanted.path)
    if part is None or not wanted.path or wanted.text is not Text.TEXT:
        return part
    return part.children[0] if part.flags & structure.RFC822 else None


class _Decoder:
    """One extraction: first what to do with every part, then the work."""

    def __init__(self, message: bytes) -> None:
        self._message = message
        self._encodings: dict[int, Encoding] = {}  # by id of the part
        self._decodes = False
        self._nul = False

    def run(self, part: Part, with_header: bool) -> Decoded:
        """A part decoded, or as it is where there is nothing to decode."""
        self.look(part)
        message = self._message
        if not self._decodes:
            start = part.start if with_header else part.body
            if part.end - start >= LARGE:
                form = section.crlf if self._nul else section.wire
                return Decoded(list(Stretch(message, start, part.end, form).chunks()), self._nul)
            stored = message[start : part.end]
            return Decoded((section.crlf(stored) if self._nul else section.wire(stored),), self._nul)
        chunks: list[bytes] = []
        if with_header:
            chunks.append(self.header(part))
        chunks += self.body(part)
        return Decoded([chunk for chunk in chunks if chunk], raw=True)

    def size(self, part: Part, bodies: Mapping[int, int], *, with_header: bool) -> int:
        """Octets of `run`; `bodies` are the sizes of decoded bodies."""
        if self._has_encoded(part):
            return bodies[id(part)] + (len(self.header(part)) if with_header else 0)
        return Stretch(self._message, part.start if with_header else part.body, part.end).size

    def _has_encoded(self, part: Part) -> bool:
        if part.children:
            return any(map(self._has_encoded, part.children))
        return part.end > part.body and self._encodings[id(part)] in _ENCODED

    def look(self, part: Part) -> None:
        """Learn the encodings of a part and all inside it."""
        message = self._message
        encoding = encoding_of(part, message)
        if encoding is Encoding.UNKNOWN:
            raise UnknownEncodingError
        self._encodings[id(part)] = encoding
        if message.find(b"\0", part.start, part.body) >= 0:
            self._nul = True
        if part.children:
            for child in part.children:
                self.look(child)
        elif part.end > part.body:
            if encoding in _ENCODED:
                self._decodes = True
            elif message.find(b"\0", part.body, part.end) >= 0:
                self._nul = True

    def header(self, part: Part) -> bytes:
        """A part's header, which says so if its body was decoded."""
        block = self._message[part.start : part.body]
        if self._encodings[id(part)] not in _ENCODED:
            return section.crlf(block)
        rest = section.crlf(section.without_fields(block, (_NAME,)))
        if rest.endswith(b"\n\r\n") or rest == b"\r\n":
            rest = rest[:-2] + _BINARY + b"\r\n"
        return rest

    def body(self, part: Part) -> Iterator[bytes]:
        """A part's body decoded."""
        if not part.children:
            yield from _decoded_pieces(self._message, part.body, part.end, self._encodings[id(part)])
            return
        *gaps, end = self.gaps(part)
        for gap, child in zip(gaps, part.children, strict=True):
            yield gap
            yield self.header(child)
            yield from self.body(child)
        yield end

    def gaps(self, part: Part) -> Iterator[bytes]:
        """What stands before, between and behind the parts inside a part."""
        pos = part.body
        for child in part.children:
            yield section.crlf(self._message[pos : child.start])
            pos = child.end
        yield section.crlf(self._message[pos : part.end])


def encoding_of(part: Part, message: bytes) -> Encoding:
    """What a part's header says; the last field counts."""
    found = Encoding.IDENTITY
    for name, value in structure.head_of(part, message).content:
        if name == _NAME:
            found = transfer.parse(value)
    return found


def _decoded_pieces(message: bytes, start: int, end: int, encoding: Encoding) -> Iterator[bytes]:
    """A body decoded; a large one bit by bit, so that it is not in memory more often than needed."""
    if end - start < LARGE:
        yield _decoded(message[start:end], encoding)
    elif encoding is Encoding.BASE64:
        yield from _large_base64(message, start, end)
    elif encoding is Encoding.QUOTED_PRINTABLE:
        if _BROKEN_QP.search(message, start, end) is not None:
            raise InvalidDataError
        for low, high in transfer.line_blocks(message, start, end):
            yield _decoded(message[low:high], encoding)
    else:
        yield from Stretch(message, start, end, section.crlf).chunks()


def _large_base64(message: bytes, start: int, end: int) -> Iterator[bytes]:
    rest = b""
    for low in range(start, end, transfer.PIECE):
        rest += message[low : min(low + transfer.PIECE, end)].translate(None, b" \t\r\n")
        whole = (len(rest) - 1) // 4 * 4  # the last ones may be padded
        if b"=" in rest[:whole]:  # there is more behind the padding
            raise InvalidDataError
        yield _decoded(rest[:whole], Encoding.BASE64)
        rest = rest[whole:]
    yield _decoded(rest, Encoding.BASE64)


def _decoded(body: bytes, encoding: Encoding) -> bytes:
    if encoding is Encoding.BASE64:
        data = body.translate(None, b" \t\r\n")
        if len(data) % 4 or data.endswith(b"==="):  # the strict mode of binascii lets these through
            raise InvalidDataError
        try:
            return a2b_base64(data, strict_mode=True)
        except Error:
            raise InvalidDataError from None
    if encoding is Encoding.QUOTED_PRINTABLE:
        if _BROKEN_QP.search(body) is not None:
            raise InvalidDataError
        # What is valid, and has no blanks at the ends of lines, binascii decodes as everybody else.
        return a2b_qp(section.crlf(_BLANKS.sub(b"", body)))
    return section.crlf(body)
