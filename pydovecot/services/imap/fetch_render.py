"""FETCH answers as bytes: index rows through one form; message by message where content is asked for."""

from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import Any, Final

from pydovecot.mime import section as mime_section
from pydovecot.model.flags import Flag
from pydovecot.model.numbers import Seq
from pydovecot.model.section import Text
from pydovecot.model.seqset import SeqSet
from pydovecot.services.imap.dates import DateFormatter
from pydovecot.services.imap.fetch_items import FLAGS, ColumnItem, ContentItem, Item
from pydovecot.services.imap.session import Session
from pydovecot.storage.api import Column, ExpungedError, Message, View

ROWS_A_CHUNK: Final = 1000
MESSAGES_A_BATCH: Final = 64  # marked \Seen together: what is sent about as soon as it is marked
JOIN_BELOW: Final = 65536  # larger contents go out without another copy
FLUSH_AT: Final = 65536


class Plan:
    """One FETCH prepared: items in the order of the answer. `expunged` turns True when content was gone."""

    def __init__(self, session: Session, items: Sequence[Item]) -> None:
        self._session = session
        self._view = session.selected
        self._columns, self._content = _ordered(items)
        self.expunged = False
        date = DateFormatter(session.world.localtime)
        self._convert: dict[Column, Callable[[Any], bytes]] = {
            Column.RECEIVED: date,
            Column.SAVED: date.or_nil,
            Column.GUID: str.encode,
        }

    def run(self, seqs: SeqSet) -> Iterator[bytes]:
        """The untagged FETCH responses of these messages."""
        if not any(isinstance(item, ContentItem) for item in self._content):
            return self._bulk(seqs)
        return self._by_message(seqs)

    # Without content: all in C

    def _bulk(self, seqs: SeqSet) -> Iterator[bytes]:
        items = [item for item in (*self._columns, *self._content) if isinstance(item, ColumnItem)]
        columns = [Column.SEQ, *(item.column for item in items)]
        form = b"* %%d FETCH (%b)\r\n" % b" ".join(item.form for item in items)
        converters = [
            (at, self._convert[column]) for at, column in enumerate(columns) if column in self._convert
        ]
        rows = self._guarded(self._view.rows(seqs, columns))
        render = form.__mod__
        if not converters:
            while chunk := b"".join(map(render, islice(rows, ROWS_A_CHUNK))):
                yield chunk
            return
        while some := list(islice(rows, ROWS_A_CHUNK)):
            values: list[Any] = list(zip(*some, strict=True))
            for at, function in converters:
                values[at] = map(function, values[at])
            yield b"".join(map(render, zip(*values, strict=True)))

    def _guarded(self, rows: Iterator[tuple[object, ...]]) -> Iterator[tuple[object, ...]]:
        """ExpungedError comes behind the last row: note it, so that the rows before are not lost."""
        try:
            yield from rows
        except ExpungedError:
            self.expunged = True

    # With content

    def _by_message(self, seqs: SeqSet) -> Iterator[bytes]:
        numbers = iter(seqs)
        while batch := list(islice(numbers, MESSAGES_A_BATCH)):
            yield from self._batch(SeqSet.of(batch))

    def _batch(self, seqs: SeqSet) -> Iterator[bytes]:
        view = self._view
        fresh = self._mark_seen(seqs)
        items = list(self._columns)
        flags_asked = FLAGS in items
        if fresh and not flags_asked:
            items.append(FLAGS)
        late = [item for item in self._content if isinstance(item, ColumnItem)]
        columns = [Column.SEQ, *(item.column for item in items), *(item.column for item in late)]
        headers = self._headers(seqs)
        waiting: list[bytes] = []
        size = 0
        for row in view.rows(seqs, [column for column in columns if column not in _FROM_CONTENT]):
            seq = row[0]
            assert isinstance(seq, int)
            shown = items if flags_asked or seq in fresh else self._columns
            values = dict(zip((c for c in columns if c not in _FROM_CONTENT), row, strict=True))
            for part in self._message(Seq(seq), shown, values, headers.get(seq)):
                waiting.append(part)
                size += len(part)
                if size >= FLUSH_AT:
                    yield from _flush(waiting)
                    waiting, size = [], 0
        yield from _flush(waiting)

    def _mark_seen(self, seqs: SeqSet) -> frozenset[int]:
        r"""Set \Seen where it is missing and the items ask for it; returns those messages."""
        if self._view.readonly or not any(isinstance(i, ContentItem) and i.sets_seen for i in self._content):
            return frozenset()
        rows: Iterator[tuple[Any, ...]] = self._view.rows(seqs, [Column.SEQ, Column.SYSTEM_FLAGS])
        unseen = [seq for seq, flags in rows if not flags & Flag.SEEN]
        if unseen:
            self._view.mark_seen(SeqSet.of(unseen))
        return frozenset(unseen)

    def _headers(self, seqs: SeqSet) -> dict[int, bytes]:
        """Header blocks from the index, when nothing but headers is asked for."""
        content = [item for item in self._content if isinstance(item, ContentItem)]
        if not all(item.of_header for item in content):
            return {}
        rows: Iterator[tuple[Any, ...]] = self._view.rows(seqs, [Column.SEQ, Column.HEADER])
        try:
            return dict(rows)
        except ExpungedError:
            return {}

    def _message(
        self, seq: Seq, early: Sequence[ColumnItem], values: dict[Column, Any], header: bytes | None
    ) -> Iterator[bytes]:
        """One response in parts."""
        source = _Source(self._view, seq, header)
        try:
            words = [self._value(item, values[item.column]) for item in early]
            lead = b"* %d FETCH (" % seq
            if words:
                lead += b" ".join(words) + b" "
            for item in self._content:
                if isinstance(item, ColumnItem):
                    yield lead + self._late(item, seq)
                else:
                    data = source.section(item)
                    self._count(item, data)
                    yield from _content(lead, item, data)
                lead = b" "
            yield b")\r\n"
        finally:
            self.expunged |= source.expunged
            source.close()

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
        return item.form % b"NIL"

    def _count(self, item: ContentItem, data: bytes | None) -> None:
        stats = self._session.stats
        if item.of_header:
            stats.fetch_hdr_count += 1
            stats.fetch_hdr_bytes += len(data or b"")
        else:
            stats.fetch_body_count += 1
            stats.fetch_body_bytes += len(data or b"")


_FROM_CONTENT: Final = frozenset({Column.ENVELOPE, Column.BODY, Column.BODYSTRUCTURE})


class _Source:
    """The content of one message, opened when first asked for."""

    def __init__(self, view: View, seq: Seq, header: bytes | None) -> None:
        self._view, self._seq, self._header = view, seq, header
        self._message: Message | None = None
        self.expunged = False

    def section(self, item: ContentItem) -> bytes | None:
        """None: the message is gone (NIL). A part that does not exist is empty, as Dovecot answers."""
        section, partial = item.section, item.partial
        try:
            if self._header is not None:
                data = _of_header(self._header, item)
            else:
                if self._message is None:
                    self._message = self._view.message(self._seq)
                data = self._message.section(section) or b""
        except ExpungedError:
            self.expunged = True
            return None
        if partial is not None:
            return data[partial.offset : partial.offset + partial.length]
        return data

    def close(self) -> None:
        if self._message is not None:
            self._message.close()


def _of_header(header: bytes, item: ContentItem) -> bytes:
    section = item.section
    if section.text is Text.HEADER:
        return header
    return mime_section.fields_of(header, section.fields, section.text is Text.HEADER_FIELDS_NOT)


def _content(lead: bytes, item: ContentItem, data: bytes | None) -> Iterator[bytes]:
    if data is None:
        yield b"%b%b NIL" % (lead, item.label)
    elif len(data) < JOIN_BELOW:
        yield b"%b%b {%d}\r\n%b" % (lead, item.label, len(data), data)
    else:
        yield b"%b%b {%d}\r\n" % (lead, item.label, len(data))
        yield data


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
