"""What FETCH can ask for: one table of items that are columns, and the parser of BODY[...] sections.

RFC 3501 6.4.5, RFC 3516 (BINARY), RFC 8970 (PREVIEW). Dovecot answers in the client's order, but items that
are quickly known (`early`) come first.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Final

from pydovecot.model.section import Partial, Section, Text
from pydovecot.proto.imap.cursor import Cursor
from pydovecot.proto.imap.encode import quoted
from pydovecot.proto.imap.syntax import Arg, Atom, BadSyntax
from pydovecot.storage.api import Column


@dataclass(frozen=True, slots=True)
class ColumnItem:
    """An item that the index knows or keeps. `form` takes the column's value."""

    column: Column
    form: bytes
    early: bool = True


class Form(Enum):
    """What of a section is told."""

    AS_IS = "BODY"
    DECODED = "BINARY"
    DECODED_SIZE = "BINARY.SIZE"


@dataclass(frozen=True, slots=True)
class ContentItem:
    """An item made from the message's content."""

    label: bytes
    section: Section
    partial: Partial | None = None
    sets_seen: bool = False
    form: Form = Form.AS_IS

    @property
    def of_header(self) -> bool:
        """Only the message's own header is needed, which the index may have."""
        whole = not self.section.path and self.form is not Form.DECODED_SIZE
        return whole and self.section.text in _HEADER_TEXTS


Item = ColumnItem | ContentItem

_HEADER_TEXTS: Final = (Text.HEADER, Text.HEADER_FIELDS, Text.HEADER_FIELDS_NOT)

UID: Final = ColumnItem(Column.UID, b"UID %d")
FLAGS: Final = ColumnItem(Column.FLAGS, b"FLAGS (%b)")
MODSEQ: Final = ColumnItem(Column.MODSEQ, b"MODSEQ (%d)")
_INTERNALDATE: Final = ColumnItem(Column.RECEIVED, b"INTERNALDATE %b")
_SIZE: Final = ColumnItem(Column.SIZE, b"RFC822.SIZE %d")
_ENVELOPE: Final = ColumnItem(Column.ENVELOPE, b"ENVELOPE %b", early=False)
_BODY: Final = ColumnItem(Column.BODY, b"BODY %b", early=False)

ITEMS: Final[dict[bytes, Item]] = {
    b"UID": UID,
    b"FLAGS": FLAGS,
    b"INTERNALDATE": _INTERNALDATE,
    b"RFC822.SIZE": _SIZE,
    b"MODSEQ": MODSEQ,  # RFC 7162 3.1.5
    b"SAVEDATE": ColumnItem(Column.SAVED, b"SAVEDATE %b"),  # RFC 8514
    b"X-SAVEDATE": ColumnItem(Column.SAVED, b"X-SAVEDATE %b"),  # the item's name before its RFC
    b"X-GUID": ColumnItem(Column.GUID, b"X-GUID %b"),  # Dovecot
    b"X-MAILBOX": ColumnItem(Column.MAILBOX, b"X-MAILBOX %b"),
    b"X-REAL-UID": ColumnItem(Column.UID, b"X-REAL-UID %d"),  # the UID where a virtual mailbox has it from
    b"EMAILID": ColumnItem(Column.EMAIL_ID, b"EMAILID (%b)", early=False),  # RFC 8474 5
    b"THREADID": ColumnItem(Column.THREAD_ID, b"THREADID (%b)", early=False),
    b"PREVIEW": ColumnItem(Column.PREVIEW, b"PREVIEW %b"),  # RFC 8970
    b"SNIPPET": ColumnItem(Column.PREVIEW, b"SNIPPET (FUZZY %b)"),  # its name before
    b"ENVELOPE": _ENVELOPE,
    b"BODY": _BODY,
    b"BODYSTRUCTURE": ColumnItem(Column.BODYSTRUCTURE, b"BODYSTRUCTURE %b", early=False),
    b"RFC822": ContentItem(b"RFC822", Section(), sets_seen=True),
    b"RFC822.HEADER": ContentItem(b"RFC822.HEADER", Section(text=Text.HEADER)),
    b"RFC822.TEXT": ContentItem(b"RFC822.TEXT", Section(text=Text.TEXT), sets_seen=True),
}
# Only as the one word, not in a list.
MACROS: Final[dict[bytes, tuple[Item, ...]]] = {
    b"ALL": (FLAGS, _INTERNALDATE, _SIZE, _ENVELOPE),
    b"FAST": (FLAGS, _INTERNALDATE, _SIZE),
    b"FULL": (FLAGS, _INTERNALDATE, _SIZE, _ENVELOPE, _BODY),
}

_PREVIEW_MODIFIERS: Final = frozenset((b"LAZY", b"FUZZY", b"LAZY=FUZZY"))
_SECTION_WORD: Final = re.compile(rb"(BODY|BINARY)(?:[\[.]|\Z)")
_PART: Final = re.compile(rb"((?:[0-9]+\.)*[0-9]+)(?:\.|\Z)")
_PARTIAL: Final = re.compile(rb"<([0-9]+)(?:(\.)([0-9]*))?(>?)")
MAX_PART_DEPTH: Final = 100  # the MIME parser makes no deeper parts
MAX_PART_DIGITS: Final = 10
MAX_PARTIAL: Final = 2**63 - 1  # RFC 3501 has 32 bits, Dovecot takes 64
MAX_PARTIAL_DIGITS: Final = 19
_WHOLE: Final = 1 << 62  # `<5>`: to the end, as Dovecot


def parse_items(cursor: Cursor) -> list[Item]:
    """The items of one FETCH: a macro, one item, or a list."""
    arg = cursor.peek()
    if isinstance(arg, Atom) and arg.upper() in MACROS:
        cursor.next()
        return list(MACROS[arg.upper()])
    if not isinstance(arg, list):
        return [_item(cursor)]
    cursor.next()
    if not arg:
        raise BadSyntax("FETCH list is empty")
    inner = Cursor(arg)
    items: list[Item] = []
    while inner.more():
        if not isinstance(inner.peek(), Atom):
            raise BadSyntax("FETCH list contains non-atoms")
        items.append(_item(inner))
    return items


def _item(cursor: Cursor) -> Item:
    name = cursor.atom().upper()
    known = ITEMS.get(name)
    if isinstance(known, ColumnItem) and known.column is Column.PREVIEW:
        return _preview(known, cursor)
    if known is not None:
        return known
    word = _SECTION_WORD.match(name)
    if word is not None:
        return _SectionParser(word[1].decode()).item(name, cursor)
    shown = name.decode("latin-1")
    raise BadSyntax(
        f"Unknown parameter {shown}" if name.startswith(b"RFC822.") else f"Unknown parameter: {shown}"
    )


def _preview(item: ColumnItem, cursor: Cursor) -> ColumnItem:
    """PREVIEW with its modifiers: RFC 8970 3.2 has LAZY; FUZZY, the kind of text, was in drafts."""
    words: set[bytes] = set()
    modifiers = cursor.peek()
    if modifiers and isinstance(modifiers, list):
        for arg in cursor.list():
            if not isinstance(arg, Atom):
                raise BadSyntax("Invalid PREVIEW modifier")
            if arg.upper() not in _PREVIEW_MODIFIERS:
                shown = arg.upper().decode("latin-1")
                raise BadSyntax(f"'{shown}' is not a supported PREVIEW modifier")
            words.add(arg.upper())
    form = item.form if words <= {b"LAZY"} or b"FUZZY" in item.form else b"PREVIEW (FUZZY %b)"
    lazy = bool(words) and b"FUZZY" not in words
    return ColumnItem(Column.KNOWN_PREVIEW if lazy else Column.PREVIEW, form)


class _SectionParser:
    """BODY[...], BODY.PEEK[...], BINARY[...], BINARY.PEEK[...] and BINARY.SIZE[...]."""

    def __init__(self, word: str) -> None:
        self._word = word

    def _wrong(self, text: str) -> BadSyntax:
        return BadSyntax(f"Invalid {self._word}[..] parameter: {text}")

    def _no_section(self) -> BadSyntax:
        return BadSyntax(f"Invalid {self._word}[..] section")

    def item(self, name: bytes, cursor: Cursor) -> ContentItem:
        """The section is perhaps cut in three arguments by a header list."""
        word = self._word.encode()
        suffix = b"" if name.startswith(word + b"[") else name[len(word) :].partition(b"[")[0]
        known = (b"", b".PEEK", b".SIZE") if word == b"BINARY" else (b"", b".PEEK")
        if suffix not in known or not name.startswith(b"[", len(word + suffix)):
            raise self._wrong("Missing '['")
        spec, closed, after = name[len(word + suffix) + 1 :].partition(b"]")
        fields: Sequence[Arg] | None = None
        if not closed:
            if not cursor.more():
                raise self._wrong("Missing ']'")
            fields = cursor.list()
            end = cursor.next() if cursor.more() else b""
            if not isinstance(end, Atom) or not end.startswith(b"]"):
                raise self._wrong("Missing ']'")
            after = end[1:]
        section, label = self._section(spec, fields)
        if suffix == b".SIZE":
            if after:
                raise self._wrong("Unexpected data after ']'")
            return ContentItem(b"BINARY.SIZE[%b]" % label, section, form=Form.DECODED_SIZE)
        partial = self._partial(after)
        start = b"" if partial is None else b"<%d>" % partial.offset
        return ContentItem(
            b"%b[%b]%b" % (word, label, start), section, partial, sets_seen=not suffix, form=Form(self._word)
        )

    def _section(self, spec: bytes, fields: Sequence[Arg] | None) -> tuple[Section, bytes]:
        path: tuple[int, ...] = ()
        word = spec
        found = _PART.match(spec)
        if found is not None:
            numbers = found[1].split(b".")
            if len(numbers) > MAX_PART_DEPTH:
                raise self._no_section()
            path = tuple(int(n) if len(n) <= MAX_PART_DIGITS else 2**32 for n in numbers)
            word = spec[found.end() :]
            if not word and spec.endswith(b"."):
                raise self._no_section()
        try:
            text = Text(word.decode("latin-1"))
        except ValueError:
            raise self._no_section() from None
        with_fields = text in (Text.HEADER_FIELDS, Text.HEADER_FIELDS_NOT)
        if with_fields != bool(fields) or (text is Text.MIME and not path):
            raise self._no_section()
        if not with_fields:
            return Section(path, text), spec
        names, shown = self._fields(fields or ())
        return Section(path, text, names), b"%b (%b)" % (spec, shown)

    def _fields(self, args: Sequence[Arg]) -> tuple[tuple[bytes, ...], bytes]:
        """Field names, and how they come back: in capitals, quoted where the client did."""
        names: list[bytes] = []
        shown: list[bytes] = []
        for arg in args:
            if isinstance(arg, list):
                raise self._wrong("Header list contains non-strings")
            name = bytes(arg)
            if b"\r" in name or b"\n" in name or b"\0" in name:
                raise self._no_section()
            names.append(name)
            shown.append(name.upper() if isinstance(arg, Atom) else quoted(name.upper()))
        return tuple(names), b" ".join(shown)

    def _partial(self, text: bytes) -> Partial | None:
        if not text:
            return None
        if not text.startswith(b"<"):
            raise self._wrong("Unexpected data after ']'")
        found = _PARTIAL.match(text)
        if found is None:
            raise self._wrong("Too big partial start")
        offset, dot, size, end = found.groups()
        if _too_big(offset):
            raise self._wrong("Too big partial start")
        if dot and (not size or _too_big(size)):
            raise self._wrong("Too big partial end")
        if not end:
            raise self._wrong("Missing '>' in partial")
        if found.end() < len(text):
            raise self._wrong("Unexpected data after '>'")
        return Partial(int(offset), int(size) if dot else _WHOLE)


def _too_big(digits: bytes) -> bool:
    return len(digits) > MAX_PARTIAL_DIGITS or int(digits) > MAX_PARTIAL
