"""What BODY[section] of a message is, in CRLF form. RFC 3501 6.4.5."""

import re
from typing import Final

from pydovecot.mime import header, structure
from pydovecot.mime.structure import MULTIPART, RFC822, Part
from pydovecot.model.section import Section, Text

# A field with its continuation lines; a line without colon has no name and is never wanted.
_FIELD: Final = re.compile(rb"(?:([^\n:]*):)?[^\n]*(?:\n|\Z)(?:[ \t][^\n]*(?:\n|\Z))*")

_ENDED: Final = re.compile(rb"(?:\A|\n)\n\Z")


def crlf(data: bytes) -> bytes:
    """The same text with CRLF line ends; a bare CR stays."""
    if b"\r" in data:
        lines = data.count(b"\n")
        if data.count(b"\r\n") == lines:
            return data
        data = data.replace(b"\r\n", b"\n")
    return data.replace(b"\n", b"\r\n")


def wire(data: bytes) -> bytes:
    """As `crlf`, and NUL, which IMAP literals must not have, as 0x80 like Dovecot."""
    data = crlf(data)
    return data.replace(b"\0", b"\x80") if b"\0" in data else data


def find(root: Part, path: tuple[int, ...]) -> Part | None:
    """The part that a part number names. RFC 3501 6.4.5."""
    part = root
    last = len(path) - 1
    for level, number in enumerate(path):
        if part.flags & MULTIPART:
            if not 1 <= number <= len(part.children):
                return None
            part = part.children[number - 1]
        elif number != 1 or (level < last and not part.flags & RFC822):
            return None
        if level < last and part.flags & RFC822:
            part = part.children[0]
    return part


def extract(message: bytes, root: Part | None, section: Section) -> bytes | None:
    """The section's bytes with CRLF; None when there is no such part.

    `message` as stored; without `root` the message is parsed when the section needs it.
    """
    what = section.text
    place = locate(message, root, section)
    if place is None:
        return None
    start, end = place
    if what not in (Text.HEADER_FIELDS, Text.HEADER_FIELDS_NOT):
        return wire(message[start:end])
    if section.path:
        return wire_lines(_filtered(message[start:end], what, section.fields))
    return fields_of(message[start:end], section.fields, exclude=what is Text.HEADER_FIELDS_NOT)


def locate(message: bytes, root: Part | None, section: Section) -> tuple[int, int] | None:
    """Where the section is in the message as stored; of HEADER.FIELDS the header that has them."""
    what = section.text
    if not section.path:
        if what is Text.MIME:
            return None
        if what is Text.ALL:
            return 0, len(message)
        end = header.end(message)
        return (end, len(message)) if what is Text.TEXT else (0, end)
    part = find(root or structure.parse(message), section.path)
    if part is None:
        return None
    if what is Text.MIME:
        return part.start, part.body
    if what is Text.ALL:
        return part.body, part.end
    if not part.flags & RFC822:
        return None
    inner = part.children[0]
    if what is Text.TEXT:
        return inner.body, inner.end
    if what is Text.HEADER:
        return inner.start, inner.body
    # Dovecot looks for fields up to an empty line, even if a boundary cut the header short before it.
    return inner.start, header.end(message, inner.start)


def fields_of(block: bytes, names: tuple[bytes, ...], exclude: bool = False) -> bytes:
    """HEADER.FIELDS (or with `exclude` HEADER.FIELDS.NOT) of a message's header block, CRLF."""
    found = _filtered(block, Text.HEADER_FIELDS_NOT if exclude else Text.HEADER_FIELDS, names)
    if not exclude and not _ENDED.search(found):
        # A header that the message's end cut off: Dovecot adds the empty line here, but not for .NOT.
        found += b"\n" if found.endswith(b"\n") or not found else b"\n\n"
    return wire_lines(found)


def wire_lines(block: bytes) -> bytes:
    """As `wire`, for lines whose CR has been taken off: a CR that is left is none of the line end."""
    return block.replace(b"\n", b"\r\n").replace(b"\0", b"\x80")


def without_fields(block: bytes, names: tuple[bytes, ...]) -> bytes:
    """A header block without these fields, LF line ends, its empty line included."""
    return _filtered(block, Text.HEADER_FIELDS_NOT, names)


def _filtered(block: bytes, what: Text, names: tuple[bytes, ...]) -> bytes:
    if b"\r" in block:
        block = header.drop_cr(block)
    wanted: set[bytes | None] = {name.lower() for name in names}
    exclude = what is Text.HEADER_FIELDS_NOT
    out: list[bytes] = []
    size = len(block)
    pos = 0
    match = _FIELD.match
    while pos < size and block[pos] != 0x0A:
        found = match(block, pos)
        assert found is not None
        name = found[1]
        if name is not None:
            name = name.rstrip(b" \t").partition(b"\0")[0].lower()
        if (name in wanted) is not exclude:
            out.append(found[0])
        pos = found.end()
    if pos < size:
        out.append(b"\n")
    return b"".join(out)
