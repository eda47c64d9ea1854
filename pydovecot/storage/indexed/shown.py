"""What a view of an indexed mailbox shows: UIDs and states in arrays, columns from the index, messages."""

from array import array
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from itertools import repeat
from typing import Final

from pydovecot.index.database import MEMORY
from pydovecot.index.mailbox import merge, positions
from pydovecot.model.flags import Flag
from pydovecot.model.numbers import ModSeq, Seq, Uid
from pydovecot.model.seqset import SeqSet
from pydovecot.storage.api import Column, ExpungedError
from pydovecot.storage.backend import Resolver
from pydovecot.storage.content import Content
from pydovecot.storage.indexed.folder import Folder, SharesFiles
from pydovecot.storage.indexed.rows import STORED, StoredColumns, pieces
from pydovecot.storage.indexed.shelf import IndexShelf
from pydovecot.storage.indexed.watch import Watch
from pydovecot.storage.indexed.wire import Wire

SEEN: Final = int(Flag.SEEN)
MANY_RANGES: Final = 64  # above, messages are taken one by one instead of range by range


class ShownMailbox:
    """The reading half of IndexedView. `_states` is what the client knows (or is about to be told)."""

    def __init__(
        self, folder: Folder, name: str, resolve: Resolver, *, readonly: bool, keep_recent: bool
    ) -> None:
        self._folder, self._index, self._resolve = folder, folder.index, resolve
        self.name, self.readonly = name, readonly
        self._keep_recent = keep_recent or readonly
        folder.sync(take_new=not self._keep_recent, full=True)
        with self._index.database.read():  # UIDNEXT and HIGHESTMODSEQ are those of just these messages
            self._modseq, self._uids, self._states = self._index.load()
            self._header = self._index.header()
        self._shown_modseq = self._modseq
        self._wire = Wire(self._header.keyword_names())
        self._kept: tuple[int, Content] | None = None  # a large message that may be asked for again
        self._kept_asked = False  # since the last sync
        self._held: set[int] = set()  # expunged, but not told yet
        self._pending: set[int] = set()  # changed by this view, not told yet
        self._stored: set[int] = set()  # likewise, or not to be told: its new modseq is no news
        self._recent: set[int] = set()
        self._recent_from = 0  # no UID below has Recent
        self._shows_recent = True
        self._take_recent(0)
        self._told_recent = len(self._recent)
        self._shelf = IndexShelf(self._index)
        self._watch: Watch | None = None
        self._woken_at = 0  # when events were taken that no sync has followed yet
        self._quiet_modseq = 0  # all events so far were of changes up to here
        self._left = False
        self._just_loaded = self._header.modseq == self._modseq

    # -- what the mailbox is -------------------------------------------------------------------------------

    @property
    def uidvalidity(self) -> int:
        """UIDVALIDITY."""
        return self._header.uidvalidity

    @property
    def uidnext(self) -> Uid:
        """UIDNEXT as of the last sync."""
        return Uid(self._header.uidnext)

    @property
    def highest_modseq(self) -> ModSeq:
        """HIGHESTMODSEQ as of the last sync that told everything."""
        return ModSeq(self._shown_modseq)

    @property
    def keeps_modseqs(self) -> bool:
        """Not in an index of this session's own (INDEX=MEMORY, or a place that cannot be written to)."""
        return self._index.database.path != MEMORY

    @property
    def guid(self) -> str:
        """The mailbox's own id."""
        return self._header.guid

    @property
    def keywords(self) -> Sequence[str]:
        """Names in the order of their bits."""
        return self._wire.keywords

    @property
    def keywords_allowed(self) -> bool:
        """New keywords can be made."""
        return not self.readonly

    @property
    def uids(self) -> "array[int]":
        """UIDs in order."""
        return self._uids

    @property
    def recent(self) -> int:
        """Number of messages with Recent in this view."""
        return self._told_recent

    def first_unseen(self) -> Seq | None:
        """The first message without Seen."""
        if self._just_loaded and not self._header.unseen:
            return None
        return next((Seq(seq) for seq, state in enumerate(self._states, 1) if not state & SEEN), None)

    def hide_recent(self) -> None:
        """No message has Recent here."""
        self._shows_recent = False
        self._recent.clear()
        self._told_recent = 0

    def _take_recent(self, known: int) -> None:
        """Messages from position `known` on get Recent if nobody had it before."""
        first = self._header.first_recent
        if self._shows_recent:
            start = max(known, bisect_left(self._uids, first))
            if not self._recent and start < len(self._uids):
                self._recent_from = self._uids[start]
            self._recent.update(self._uids[start:])
        if self._keep_recent or first >= self._header.uidnext:
            return
        with self._index.database.write():
            now = self._index.header()
            if now.first_recent != first:
                # Another session was quicker: those below its mark are not ours.
                self._recent = {uid for uid in self._recent if not first <= uid < now.first_recent}
            if now.first_recent < self._header.uidnext:
                self._index.set(first_recent=self._header.uidnext)
        self._header.first_recent = self._header.uidnext

    # -- reading -------------------------------------------------------------------------------------------

    def _clip(self, seqs: SeqSet) -> list[tuple[int, int]]:
        count = len(self._uids)
        return [(low, min(high, count)) for low, high in seqs.resolve(count).ranges if low <= count]

    def _uids_of(self, seqs: SeqSet) -> list[int]:
        out: list[int] = []
        for low, high in self._clip(seqs):
            out.extend(self._uids[low - 1 : high])
        return out

    def seqs_of(self, uids: SeqSet) -> SeqSet:
        """Sequence numbers of UIDs."""
        ranges = uids.resolve(self._uids[-1] if self._uids else 0).ranges
        if len(ranges) > MANY_RANGES and sum(high - low + 1 for low, high in ranges) <= len(self._uids):
            numbers = [uid for low, high in ranges for uid in range(low, high + 1)]
            return SeqSet.of([at + 1 for at in positions(self._uids, numbers)])
        found: list[tuple[int, int]] = []
        for low, high in ranges:
            start = bisect_left(self._uids, low)
            end = bisect_left(self._uids, high + 1, start)
            if end > start:
                found.append((start + 1, end))
        return SeqSet(tuple(merge(found)))

    def rows(self, seqs: SeqSet, columns: Sequence[Column]) -> Iterator[tuple[object, ...]]:
        """Rows in sequence order; messages whose content is gone are left out, then ExpungedError."""
        if STORED.keys().isdisjoint(columns):
            ranges = self._clip(seqs)
            if len(ranges) > MANY_RANGES:
                numbers = [seq for low, high in ranges for seq in range(low, high + 1)]
                yield from zip(*[self._picked(column, numbers) for column in columns], strict=True)
                return
            for low, high in ranges:
                yield from zip(*[self._values(column, low, high) for column in columns], strict=True)
            return
        reader = StoredColumns(self._folder, columns, self._modseq)
        for group in pieces(self._clip(seqs), reader.chunk):
            uids: list[int] = []
            for low, high in group:
                uids.extend(self._uids[low - 1 : high])
            stored = reader.read(uids)
            yield from self._join(group, columns, reader, stored)
        if reader.missing:
            raise ExpungedError

    def _join(
        self,
        group: Sequence[tuple[int, int]],
        columns: Sequence[Column],
        reader: StoredColumns,
        stored: Sequence[Sequence[object] | None],
    ) -> Iterator[tuple[object, ...]]:
        """Columns from memory and from the index beside each other."""
        places = {column: at for at, column in enumerate(reader.columns, 2)}
        whole = None not in stored
        start = 0
        for low, high in group:
            part = stored[start : start + high - low + 1]
            start += high - low + 1
            lists: list[Iterable[object]] = []
            for column in columns:
                at = places.get(column)
                if at is None:
                    lists.append(self._values(column, low, high))
                else:
                    lists.append([row[at] if row is not None else None for row in part])
            rows = zip(*lists, strict=True)
            if whole:
                yield from rows
            else:
                yield from (row for row, kept in zip(rows, part, strict=True) if kept is not None)

    def _values(self, column: Column, low: int, high: int) -> Iterable[object]:
        """One column of messages low..high out of the arrays."""
        if column is Column.SEQ:
            return range(low, high + 1)
        if column is Column.MAILBOX:
            return repeat(self.name, high - low + 1)
        return self._shown(column, self._uids[low - 1 : high], self._states[low - 1 : high])

    def _picked(self, column: Column, numbers: Sequence[int]) -> Iterable[object]:
        """One column of messages here and there."""
        if column is Column.SEQ:
            return numbers
        if column is Column.MAILBOX:
            return repeat(self.name, len(numbers))
        uids, states = self._uids, self._states
        return self._shown(column, [uids[seq - 1] for seq in numbers], [states[seq - 1] for seq in numbers])

    def _shown(self, column: Column, uids: Sequence[int], states: Sequence[int]) -> Iterable[object]:
        if column is Column.UID:
            return uids
        if column is Column.FLAGS:
            flags = map(self._wire.flags.__getitem__, states)
            if not self._recent or uids[-1] < self._recent_from:
                return flags
            recent = self._recent
            return [
                self._wire.recent[state] if uid in recent else text
                for uid, state, text in zip(uids, states, flags, strict=True)
            ]
        if column is Column.SYSTEM_FLAGS:
            return [state & 0xFF for state in states]
        return map(self._wire.names.__getitem__, states)

    def total_size(self) -> int:
        """Sum of the CRLF sizes."""
        return sum(size for (size,) in self.rows(SeqSet(((1, max(1, len(self._uids))),)), (Column.SIZE,)))  # type: ignore[misc]

    def stored(self, uid: int) -> bytes:
        """The bytes of one message as they are stored; ExpungedError when it is gone."""
        return self._folder.read(uid)

    def message(self, seq: Seq) -> Content:
        """Open one message."""
        uid = self._uids[seq - 1]
        if self._kept is not None and self._kept[0] == uid:
            self._kept_asked = True
            return self._kept[1]
        self._release()
        content = Content(self._folder.read(uid))
        if content.is_large:
            content.kept = self._kept_asked = True
            self._kept = uid, content
        return content

    def links(self, seq: Seq) -> int:
        """How many mailboxes share the message's file."""
        return self._folder.links(self._uids[seq - 1]) if isinstance(self._folder, SharesFiles) else 0

    def _release(self) -> None:
        if self._kept is not None:
            self._kept[1].release()
            self._kept = None
