"""What IMAP asks of one message, and what pydovecot.mime answers: the same words that Dovecot would send."""

import re
from collections.abc import Iterator

from pydovecot.mime import bodystructure, envelope, section, structure
from pydovecot.mime.structure import MULTIPART, RFC822, Part
from pydovecot.model.section import Section, Text

STRUCTURE_ITEMS = b"RFC822.SIZE ENVELOPE BODY BODYSTRUCTURE"
WHOLE_ITEMS = (b"RFC822.SIZE", b"INTERNALDATE", b"ENVELOPE", b"BODY", b"BODYSTRUCTURE", b"RFC822.HEADER")
FIELDS = (b"FROM", b"SUBJECT", b"CONTENT-TYPE", b"NOCOLON", b"X-FOO")
MAX_SIBLINGS = 6
MAX_SECTIONS = 120
MAX_DEPTH = 3
MAX_CUT_SECTIONS = 12  # of which partials are asked for
BARE_CR = re.compile(rb"\r(?!\n)")


def items(message: bytes) -> list[bytes]:
    """Every FETCH item worth asking for of one message."""
    root = structure.parse(message)
    wanted = sections(root)
    found = [*WHOLE_ITEMS, *(b"BODY.PEEK[" + name(one) + b"]" for one in wanted)]
    found += [b"BODY.PEEK[]<%d.%d>" % partial for partial in partials(message)]
    if not BARE_CR.search(message):
        for one in wanted[:MAX_CUT_SECTIONS]:
            size = len(section.extract(message, root, one) or b"")
            edges = (2, 4, size // 3, max(0, size - 5), size, size + 9)
            cuts = [(offset, 3 + offset % 40) for offset in (*edges, *range(7, min(size, 4000), 131))]
            found += [b"BODY.PEEK[%b]<%d.%d>" % (name(one), *cut) for cut in cuts]
    return found


def bulk_items() -> list[bytes]:
    """What clients ask of all messages at once, and fields that no index keeps."""
    found = [b"RFC822.SIZE ENVELOPE BODY BODYSTRUCTURE UID", b"RFC822.HEADER", b"BODY.PEEK[HEADER]"]
    for fields in (
        b"DATE FROM TO CC SUBJECT MESSAGE-ID REFERENCES CONTENT-TYPE",
        b"From Subject",
        b"X-MAILER RECEIVED",
        b"X-NONE",
    ):
        for word in (b"HEADER.FIELDS", b"HEADER.FIELDS.NOT"):
            item = b"BODY.PEEK[%b (%b)]" % (word, fields)
            found += [b"UID " + item, item + b"<3.70>"]
    return found


def fallible_items(message: bytes) -> list[bytes]:
    """Items that fail for what cannot be decoded. RFC 3516, RFC 8970."""
    found = [b"BINARY.PEEK[]", b"BINARY.SIZE[]", b"BINARY.PEEK[]<7.50>"]
    for path in dict.fromkeys(_paths(structure.parse(message), (), 1)):
        number = b".".join(b"%d" % level for level in path)
        found += [b"BINARY.PEEK[%b]" % number, b"BINARY.SIZE[%b]" % number, b"BINARY.PEEK[%b]<3.9>" % number]
    return found[:MAX_SECTIONS]


def structure_answer(message: bytes) -> bytes:
    """The answer to STRUCTURE_ITEMS."""
    root = structure.parse(message)
    return b"RFC822.SIZE %d ENVELOPE %b BODY %b BODYSTRUCTURE %b" % (
        root.header_virtual + root.body_virtual,
        envelope.render(message[root.start : root.body]),
        bodystructure.render(root, message, False),
        bodystructure.render(root, message, True),
    )


def sections(root: Part) -> list[Section]:
    """Sections worth asking for: of the message, and of its parts to depth 3; some do not exist."""
    found = [Section()]
    found += [Section(text=text) for text in (Text.HEADER, Text.TEXT)]
    found += [Section(text=text, fields=FIELDS) for text in (Text.HEADER_FIELDS, Text.HEADER_FIELDS_NOT)]
    for path in _paths(root, (), 1):
        found += [Section(path, text) for text in (Text.ALL, Text.MIME, Text.HEADER, Text.TEXT)]
        found += [Section(path, text, FIELDS) for text in (Text.HEADER_FIELDS, Text.HEADER_FIELDS_NOT)]
    return list(dict.fromkeys(found))[:MAX_SECTIONS]


def _paths(part: Part, path: tuple[int, ...], depth: int) -> Iterator[tuple[int, ...]]:
    children = part.children if part.flags & MULTIPART else [part]
    for number, child in enumerate(children[:MAX_SIBLINGS], 1):
        here = (*path, number)
        yield here
        inner = child.children[0] if child.flags & RFC822 else child
        if depth < MAX_DEPTH and (inner is not child or inner.flags & MULTIPART) and inner is not part:
            yield from _paths(inner, here, depth + 1)
    yield (*path, len(children) + 1)


def name(wanted: Section) -> bytes:
    """How IMAP writes the section."""
    word = b".".join(b"%d" % number for number in wanted.path)
    if wanted.text.value:
        word += (b"." if word else b"") + wanted.text.value.encode()
    return word + (b" (" + b" ".join(wanted.fields) + b")" if wanted.fields else b"")


def sections_question(message: bytes) -> bytes:
    """FETCH items for all `sections`, and some partial ones."""
    asked = [b"BODY.PEEK[" + name(one) + b"]" for one in sections(structure.parse(message))]
    asked += [b"BODY.PEEK[]<%d.%d>" % partial for partial in partials(message)]
    return b" ".join(asked)


def partials(message: bytes) -> list[tuple[int, int]]:
    """Offsets and lengths around the edges of the CRLF form.

    Dovecot 2.3.19 miscounts, or ends, when it skips over a CR without LF.
    """
    if BARE_CR.search(message):
        return [(0, 10)]
    size = len(section.crlf(message))
    return [(0, 10), (max(0, size - 7), 100), (size + 1, 5), (size // 2, 1)]


def sections_answer(message: bytes) -> bytes:
    """The answer to `sections_question`."""
    root = structure.parse(message)
    out = []
    for one in sections(root):
        data = section.extract(message, root, one) or b""
        out.append(b"BODY[%b] {%d}\r\n%b" % (name(one), len(data), data))
    whole = section.wire(message)
    for offset, length in partials(message):
        data = whole[offset : offset + length]
        out.append(b"BODY[]<%d> {%d}\r\n%b" % (offset, len(data), data))
    return b" ".join(out)
