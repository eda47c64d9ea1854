"""One message's content as IMAP wants it: CRLF line ends, sections, and the fields that the index keeps.

The bytes come from a driver as they are stored (usually with LF). The work is done in mime/; here is only
which function is asked, and what is remembered while the message is open.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from pydovecot.mime import binary, header, section, snippet, structure, summary
from pydovecot.mime.binary import Decoded
from pydovecot.mime.stretch import LARGE, Stretch
from pydovecot.model.errors import Code, UserError
from pydovecot.model.section import Section, Text
from pydovecot.proto.imap.encode import literal, quoted
from pydovecot.storage.api import COMMON_FIELDS


def to_lf(data: bytes) -> bytes:
    """CRLF becomes LF; bare CRs stay."""
    return data.replace(b"\r\n", b"\n")


def crlf_size(data: bytes) -> int:
    """Length of the CRLF form without making it."""
    return len(data) + data.count(b"\n") - data.count(b"\r\n")


MAX_ESCAPES: Final = 4  # in a quoted string, as Dovecot
_pick_common: Final = header.picker(COMMON_FIELDS)


def common_fields(block: bytes) -> bytes:
    """Of a header block (any line ends) the fields of COMMON_FIELDS, CRLF, with its empty line if any."""
    if b"\r" in block:
        block = header.drop_cr(block)
    found = _pick_common(block)
    if block.endswith(b"\n\n") or block == b"\n":
        found += b"\n"
    return found.replace(b"\n", b"\r\n")  # a CR that is left is none of the line end


def preview(stored: bytes) -> bytes:
    """PREVIEW of a message as IMAP sends it: a literal where it cannot be, or had better not be, quoted."""
    text = snippet.of(stored).encode("utf-8", "replace")
    escapes = text.count(b'"') + text.count(b"\\")
    return quoted(text) if text.isascii() and escapes <= MAX_ESCAPES else literal(text)


@contextmanager
def _refusals() -> Iterator[None]:
    """What cannot be decoded is the sender's fault: clients are told."""
    try:
        yield
    except binary.UnknownEncodingError:
        raise UserError(Code.UNKNOWN_CTE, "Unknown Content-Transfer-Encoding") from None
    except binary.InvalidDataError:
        raise UserError(Code.PARSE, "Invalid data in MIME part") from None


class Content:
    """Answers storage.api.Message for bytes in memory."""

    __slots__ = ("_crlf", "_root", "_sizes", "_stored", "_stretches", "_summary", "kept")

    def __init__(self, stored: bytes) -> None:
        self._stored = stored
        self.kept = False  # somebody may ask again soon: `close` leaves it open, `release` closes it
        self._crlf: bytes | None = None
        self._summary: summary.Summary | None = None
        self._root: structure.Part | None = None
        self._stretches: dict[Section, Stretch] = {}
        self._sizes: binary.Sizes | None = None

    def stored(self) -> bytes:
        """The message as stored."""
        return self._stored

    def crlf(self) -> bytes:
        """The whole message with CRLF line ends."""
        if self._crlf is None:
            self._crlf = section.crlf(self._stored)
        return self._crlf

    def header(self) -> bytes:
        """The header with CRLF, its empty line included."""
        return section.crlf(self._stored[: header.end(self._stored)])

    def section(self, wanted: Section) -> bytes | None:
        """Bytes of BODY[section]; None when there is no such part."""
        if not wanted.path and wanted.text is Text.ALL:
            return section.wire(self._stored)
        return section.extract(self._stored, self._root, wanted)

    def stretch(self, wanted: Section) -> Stretch | None:
        """A large section, to be sent block by block; None: it is small, or not one piece of the message."""
        if len(self._stored) < LARGE or wanted.text in (Text.HEADER_FIELDS, Text.HEADER_FIELDS_NOT):
            return None
        known = self._stretches.get(wanted)
        if known is None:
            place = section.locate(self._stored, self._parsed() if wanted.path else None, wanted)
            if place is None or place[1] - place[0] < LARGE:
                return None
            known = self._stretches[wanted] = Stretch(self._stored, *place)
        return known

    def crlf_stretch(self) -> Stretch | None:
        """As `crlf`, of a large message."""
        return Stretch(self._stored, 0, len(self._stored), section.crlf) if self.is_large else None

    def binary(self, wanted: Section) -> Decoded:
        """BINARY[section]."""
        with _refusals():
            return binary.extract(self._stored, self._parsed(), wanted)

    def binary_size(self, wanted: Section) -> int:
        """BINARY.SIZE[section]."""
        if not binary.decodes(wanted):
            return self.binary(wanted).size
        if self._sizes is None:
            self._sizes = binary.Sizes(self._stored, self._parsed())
        with _refusals():
            return self._sizes.size(wanted)

    def _parsed(self) -> structure.Part:
        if self._root is None:
            self._root = structure.parse(self._stored, measure=False)
        return self._root

    def summary(self) -> summary.Summary:
        """All fields that one scan of the message gives."""
        if self._summary is None:
            self._summary = summary.of(self._stored)
            self._root = self._summary.root
        return self._summary

    @property
    def is_large(self) -> bool:
        """Worth keeping while a client fetches it piece by piece."""
        return len(self._stored) >= LARGE

    def close(self) -> None:
        """Forget the bytes, unless the content is kept."""
        if not self.kept:
            self.release()

    def release(self) -> None:
        """Forget the bytes."""
        self._stored = b""
        self._stretches.clear()
        self._crlf = self._summary = self._root = self._sizes = None
