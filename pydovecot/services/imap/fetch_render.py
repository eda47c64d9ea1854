"""FETCH answers as bytes: index rows through one form; message by message where content is asked for."""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import Any, Final

from pydovecot.mime import section as mime_section
from pydovecot.mime.binary import Decoded
from pydovecot.mime.stretch import Stretch
from pydovecot.model.errors import InternalError, UserError
from pydovecot.model.flags import Flag
from pydovecot.model.numbers import Seq
from pydovecot.model.section import Text
from pydovecot.model.seqset import SeqSet
from pydovecot.services.imap.dates import DateFormatter
from pydovecot.services.imap.fetch_items import FLAGS, ColumnItem, ContentItem, Form, Item
from pydovecot.services.imap.reply import EndSession
from pydovecot.services.imap.session import Session
from pydovecot.storage.api import COMMON_FIELDS, Column, ExpungedError, Message, View

ROWS_A_CHUNK: Final = 1000  # about 50 kB of FLAGS
LARGE_ROWS_A_CHUNK: Final = 100  # with headers or structures in them: some kB each, and some are huge
MESSAGES_A_BATCH: Final = 64  # marked \Seen together: what is sent about as soon as it is marked
JOIN_BELOW: Final = 65536  # larger contents go out without another copy
FLUSH_AT: Final = 65536
# All of a message is made before any of it is sent, for a failure must not leave half a response; but a
# client can ask for a large one many times over.
HOLD_BELOW: Final = 64 << 20

# Of a message that is gone; RFC 3501 9 has no NIL for these.
GONE: Final = {
    Column.ENVELOPE: b"(NIL NIL NIL NIL NIL NIL NIL NIL NIL NIL)",
    Column.BODY: b'("text" "plain" NIL NIL NIL "7bit" 0 0)',
    Column.BODYSTRUCTURE: b'("text" "plain" NIL NIL NIL "7bit" 0 0 NIL NIL NIL NIL)',
}


class Plan:
    r"""One FETCH prepared: items in the order of the answer.

    `expunged` turns True when content was gone; `failure` is the first one that waits for the end; `refusal`
    is why it stopped at a message that cannot be decoded; `marked` are the UIDs that got \Seen.
    """

    def __init__(self, session: Session, items: Sequence[Item]) -> None:
        self._session = session
        self._view = session.selected
        self._columns, self._content = _ordered(items)
        self._sets_seen = not self._view.readonly and any(
            isinstance(item, ContentItem) and item.sets_seen for item in self._content
        )
        only = self._content[0] if len(self._content) == 1 else None
        self._alone = only if isinstance(only, ContentItem) and only.form is Form.AS_IS else None
        self.expunged = False
        self.failure: Exception | None = None
        self.refusal: UserError | None = None
        self.marked: list[int] = []
        date = DateFormatter(session.world.localtime)
        self._convert: dict[Column, Callable[[Any], bytes]] = {
            Column.RECEIVED: date,
            Column.SAVED: date.or_nil,
            Column.GUID: str.encode,
            Column.MAILBOX: session.encode_mailbox,
            Column.KNOWN_PREVIEW: lambda known: known or b"NIL",
        }

    def run(self, seqs: SeqSet) -> Iterator[bytes]:
        """The untagged FETCH responses of these messages."""
        content = [item for item in self._content if isinstance(item, ContentItem)]
        if not self._sets_seen and all(item.of_header for item in content):
            return self._bulk(seqs)
        return self._by_message(seqs)

    # From the index alone: the loops are in C

    def _bulk(self, seqs: SeqSet) -> Iterator[bytes]:
        items = [*self._columns, *self._content]
        columns = [Column.SEQ, *(_column(item) for item in items)]
        form = b"* %%d FETCH (%b)\r\n" % b" ".join(map(_form, items))
        rows = self._guarded(self._view.rows(seqs, columns))
        render = form.__mod__
        chunk_rows = LARGE_ROWS_A_CHUNK if self._content else ROWS_A_CHUNK
        if not any(isinstance(item, ContentItem) or item.column in self._convert for item in items):
            while chunk := b"".join(map(render, islice(rows, chunk_rows))):
                yield chunk
            return
        while some := list(islice(rows, chunk_rows)):
            values = zip(*some, strict=True)
            shown: list[Iterable[Any]] = [next(values)]
            for item, column in zip(items, values, strict=True):
                shown.extend(self._shown(item, column))
            yield b"".join(map(render, zip(*shown, strict=True)))

    def _shown(self, item: Item, values: tuple[Any, ...]) -> Iterator[Iterable[Any]]:
        """What the item's form takes, of many messages at once."""
        if isinstance(item, ContentItem):
            found = list(map(_header_maker(item), values))
            sizes = list(map(len, found))
            self._session.stats.fetch_hdr_count += len(found)
            self._session.stats.fetch_hdr_bytes += sum(sizes)
            yield sizes
            yield found
        else:
            convert = self._convert.get(item.column)
            yield values if convert is None else map(convert, values)

    def _guarded(self, rows: Iterator[tuple[object, ...]]) -> Iterator[tuple[object, ...]]:
        """ExpungedError comes behind the last row: note it, so that the rows before are not lost."""
        try:
            yield from rows
        except ExpungedError:
            self.expunged = True

    # With content

    def _by_message(self, seqs: SeqSet) -> Iterator[bytes]:
        # A message that cannot be decoded ends it: those behind it must not have got \Seen.
        one_by_one = self._sets_seen and any(
            isinstance(item, ContentItem) and item.form is not Form.AS_IS for item in self._content
        )
        numbers = iter(seqs)
        while batch := list(islice(numbers, 1 if one_by_one else MESSAGES_A_BATCH)):
            yield from self._batch(SeqSet.of(batch))
            if self.refusal is not None:
                return

    def _batch(self, seqs: SeqSet) -> Iterator[bytes]:
        fresh = self._mark_seen(seqs)
        items = list(self._columns)
        flags_asked = FLAGS in items
        if fresh and not flags_asked:
            items.append(FLAGS)
        columns = [Column.SEQ, *(item.column for item in items)]
        waiting: list[bytes] = []
        size = 0
        for row in self._guarded(self._view.rows(seqs, columns)):
            seq = row[0]
            assert isinstance(seq, int)
            shown = items if flags_asked or seq in fresh else self._columns
            words = [self._value(item, value) for item, value in zip(shown, row[1:], strict=False)]
            held = len(waiting)
            torn = False
            try:
                for part in self._small(Seq(seq), words) or self._message(Seq(seq), words):
                    waiting.append(part)
                    size += len(part)
                    if size >= HOLD_BELOW:
                        torn = True
                        yield from _flush(waiting)
                        waiting, size = [], 0
            except UserError as exc:
                self.refusal = exc
                break
            except (InternalError, OSError) as exc:
                if not torn:
                    del waiting[held:]
                    yield from _flush(waiting)
                waiting, size = [], 0
                self._failed(exc, torn)
            if size >= FLUSH_AT:
                yield from _flush(waiting)
                waiting, size = [], 0
        yield from _flush(waiting)

    def _failed(self, exc: Exception, torn: bool) -> None:
        """A message cannot be read: imap_fetch_failure says what then."""
        if torn or self._session.settings.imap_fetch_failure == "disconnect-immediately":
            raise EndSession("FETCH failed", torn=torn) from exc
        if self.failure is None:
            self.failure = exc
        else:
            self._session.event.error(f"FETCH failed: {exc}")

    def _mark_seen(self, seqs: SeqSet) -> frozenset[int]:
        r"""Set \Seen where it is missing and the items ask for it; returns those messages."""
        if not self._sets_seen:
            return frozenset()
        rows: Iterator[tuple[Any, ...]] = self._view.rows(seqs, [Column.SEQ, Column.SYSTEM_FLAGS])
        unseen = [seq for seq, flags in rows if not flags & Flag.SEEN]
        if unseen:
            self._view.mark_seen(SeqSet.of(unseen))
            self.marked.extend(self._view.uids[seq - 1] for seq in unseen)
        return frozenset(unseen)

    def _small(self, seq: Seq, words: Sequence[bytes]) -> tuple[bytes] | None:
        """The commonest question in one piece: one section, and the message is there and not large."""
        item = self._alone
        if item is None:
            return None
        try:
            message = self._view.message(seq)
        except ExpungedError:
            return None
        if message.stretch(item.section) is not None:
            return None
        data = _cut(message.section(item.section) or b"", item)
        message.close()
        self._count(item, len(data))
        lead = b" ".join([*words, item.label])
        return (b"* %d FETCH (%b {%d}\r\n%b)\r\n" % (seq, lead, len(data), data),)

    def _message(self, seq: Seq, words: Sequence[bytes]) -> Iterator[bytes]:
        """One response in parts."""
        source = _Source(self._view, seq)
        told = bool(words)
        yield b"* %d FETCH (%b" % (seq, b" ".join(words))
        try:
            for item in self._content:
                lead = b" " if told else b""
                if isinstance(item, ColumnItem):
                    yield lead + self._late(item, seq)
                elif item.form is Form.DECODED_SIZE:
                    yield b"%b%b %d" % (lead, item.label, source.decoded_size(item))
                elif item.form is Form.DECODED:
                    decoded = source.decoded(item)
                    self._count(item, 0 if decoded is None else decoded.size)
                    yield from _decoded(lead, item, decoded)
                elif (stretch := source.stretch(item)) is not None:
                    yield from self._stretch(lead, item, stretch)
                else:
                    data = source.section(item)
                    self._count(item, len(data or b""))
                    yield from _content(lead, item, data)
                told = True
            yield b")\r\n"
        except UserError:
            # What was told so far stands; a response needs one item at least.
            yield b")\r\n" if told else b"UID %d)\r\n" % self._view.uids[seq - 1]
            raise
        finally:
            self.expunged |= source.expunged
            source.close()

    def _stretch(self, lead: bytes, item: ContentItem, stretch: Stretch) -> Iterator[bytes]:
        """A large section, block by block."""
        offset, length = 0, stretch.size
        if item.partial is not None:
            offset = item.partial.offset
            length = max(0, min(stretch.size - offset, item.partial.length))
        self._count(item, length)
        yield b"%b%b {%d}\r\n" % (lead, item.label, length)
        yield from stretch.chunks(offset, length)

    def _value(self, item: ColumnItem, value: Any) -> bytes:
        convert = self._convert.get(item.column)
        return item.form % (convert(value) if convert else value)

    def _late(self, item: ColumnItem, seq: Seq) -> bytes:
        try:
            for row in self._view.rows(SeqSet.of([seq]), [item.column]):
                return self._value(item, row[0])
        except ExpungedError:
            pass
        self.expunged = True
        return item.form % GONE.get(item.column, b"NIL")

    def _count(self, item: ContentItem, size: int) -> None:
        stats = self._session.stats
        if item.of_header:
            stats.fetch_hdr_count += 1
            stats.fetch_hdr_bytes += size
        else:
            stats.fetch_body_count += 1
            stats.fetch_body_bytes += size


class _Source:
    """The content of one message, opened when first asked for."""

    def __init__(self, view: View, seq: Seq) -> None:
        self._view, self._seq = view, seq
        self._message: Message | None = None
        self.expunged = False

    def section(self, item: ContentItem) -> bytes | None:
        """None: the message is gone (NIL). A part that does not exist is empty, as Dovecot answers."""
        message = self._open()
        return None if message is None else _cut(message.section(item.section) or b"", item)

    def stretch(self, item: ContentItem) -> Stretch | None:
        """The section, if it is a large one."""
        message = self._open()
        return None if message is None else message.stretch(item.section)

    def decoded(self, item: ContentItem) -> Decoded | None:
        """As `section`, with encodings undone."""
        message = self._open()
        if message is None:
            return None
        found, partial = message.binary(item.section), item.partial
        return found if partial is None else found.cut(partial.offset, partial.length)

    def decoded_size(self, item: ContentItem) -> int:
        """0 when the message is gone."""
        message = self._open()
        return 0 if message is None else message.binary_size(item.section)

    def _open(self) -> Message | None:
        if self._message is None:
            try:
                self._message = self._view.message(self._seq)
            except ExpungedError:
                self.expunged = True
        return self._message

    def close(self) -> None:
        if self._message is not None:
            self._message.close()


def _cut(data: bytes, item: ContentItem) -> bytes:
    partial = item.partial
    return data if partial is None else data[partial.offset : partial.offset + partial.length]


def _column(item: Item) -> Column:
    if isinstance(item, ColumnItem):
        return item.column
    # The index keeps the fields that clients ask for; whole headers are read from the message.
    fields = item.section.fields if item.section.text is Text.HEADER_FIELDS else ()
    common = bool(fields) and all(name.lower() in COMMON_FIELDS for name in fields)
    return Column.FIELDS if common else Column.HEADER


def _form(item: Item) -> bytes:
    if isinstance(item, ColumnItem):
        return item.form
    return item.label.replace(b"%", b"%%") + b" {%d}\r\n%b"


def _header_maker(item: ContentItem) -> Callable[[bytes], bytes]:
    """From a message's header block to what the item asks of it."""
    section = item.section
    if section.text is Text.HEADER:
        return lambda header: _cut(_no_nul(header), item)
    exclude = section.text is Text.HEADER_FIELDS_NOT

    def general(header: bytes) -> bytes:
        return _cut(mime_section.fields_of(header, section.fields, exclude), item)

    if exclude or item.partial is not None:
        return general
    # The commonest question of all clients, by one pattern. Lines end with CRLF here; a match leaves the
    # last LF to the next one, and the empty line at the end always matches.
    names = b"|".join(re.escape(name) for name in section.fields)
    pattern = rb"\n((?:(?:%b)(?:[ \t]*|\0[^\n:]*):[^\n]*(?:\n[ \t][^\n]*)*)|\r(?=\n\Z))" % names
    find = re.compile(pattern, re.IGNORECASE).findall

    def quick(header: bytes) -> bytes:
        if not header.endswith(b"\n\r\n"):
            return general(header)
        return _no_nul(b"\n".join(find(b"\n" + header)) + b"\n")

    return quick


def _no_nul(data: bytes) -> bytes:
    """Literals must not have NUL: it is sent as 0x80, as elsewhere."""
    return data.replace(b"\0", b"\x80") if b"\0" in data else data


def _content(lead: bytes, item: ContentItem, data: bytes | None) -> Iterator[bytes]:
    if data is None:
        yield b"%b%b NIL" % (lead, item.label)
    elif len(data) < JOIN_BELOW:
        yield b"%b%b {%d}\r\n%b" % (lead, item.label, len(data), data)
    else:
        yield b"%b%b {%d}\r\n" % (lead, item.label, len(data))
        yield data


def _decoded(lead: bytes, item: ContentItem, decoded: Decoded | None) -> Iterator[bytes]:
    """As `_content`; what may hold NUL is a literal8, RFC 3516 4.1."""
    if decoded is None:
        yield b"%b%b NIL" % (lead, item.label)
        return
    yield b"%b%b %b{%d}\r\n" % (lead, item.label, b"~" if decoded.raw else b"", decoded.size)
    yield from decoded.chunks


def _flush(parts: Sequence[bytes]) -> Iterator[bytes]:
    """Small parts joined, large ones as they are."""
    small: list[bytes] = []
    for part in parts:
        if len(part) < JOIN_BELOW:
            small.append(part)
        else:
            if small:
                yield b"".join(small)
                small = []
            yield part
    if small:
        yield b"".join(small)


def _ordered(items: Sequence[Item]) -> tuple[list[ColumnItem], list[Item]]:
    """Early items once each; then the others in the client's order, columns once each."""
    early: list[ColumnItem] = []
    late: list[Item] = []
    for item in items:
        if isinstance(item, ContentItem):
            late.append(item)
        elif item.early:
            if item not in early:
                early.append(item)
        elif item not in late:
            late.append(item)
    return early, late
