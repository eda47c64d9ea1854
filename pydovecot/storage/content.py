"""One message's content as IMAP wants it: CRLF line ends, sections, and the fields that the index keeps.

The bytes come from a driver as they are stored (usually with LF). The work is done in mime/; here is only
which function is asked, and what is remembered while the message is open.
"""

from typing import Final

from pydovecot.mime import header, section, summary
from pydovecot.model.section import Section, Text
from pydovecot.storage.api import COMMON_FIELDS


def to_lf(data: bytes) -> bytes:
    """CRLF becomes LF; bare CRs stay."""
    return data.replace(b"\r\n", b"\n")


def crlf_size(data: bytes) -> int:
    """Length of the CRLF form without making it."""
    return len(data) + data.count(b"\n") - data.count(b"\r\n")


_pick_common: Final = header.picker(COMMON_FIELDS)


def common_fields(block: bytes) -> bytes:
    """Of a header block (any line ends) the fields of COMMON_FIELDS, CRLF, with its empty line if any."""
    if b"\r" in block:
        block = header.drop_cr(block)
    found = _pick_common(block)
    if block.endswith(b"\n\n") or block == b"\n":
        found += b"\n"
    return section.wire_lines(found)


class Content:
    """Answers storage.api.Message for bytes in memory."""

    __slots__ = ("_crlf", "_stored", "_summary")

    def __init__(self, stored: bytes) -> None:
        self._stored = stored
        self._crlf: bytes | None = None
        self._summary: summary.Summary | None = None

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
        root = self._summary.root if self._summary is not None else None
        return section.extract(self._stored, root, wanted)

    def summary(self) -> summary.Summary:
        """All fields that one scan of the message gives."""
        if self._summary is None:
            self._summary = summary.of(self._stored)
        return self._summary

    def close(self) -> None:
        """Forget the bytes."""
        self._stored = b""
        self._crlf = self._summary = None
