"""Reading columns of many messages: from SQL, and what is missing there from the messages themselves."""

from collections.abc import Callable, Collection, Iterator, Sequence
from typing import Any, Final

from pydovecot.index.mailbox import UID_MASK, MailboxIndex
from pydovecot.storage.api import Column, ExpungedError
from pydovecot.storage.indexed.folder import Filled, Folder

CHUNK: Final = 1000  # messages in one query; their rows are in memory at once
BIG_COLUMNS: Final = frozenset(
    (Column.HEADER, Column.FIELDS, Column.ENVELOPE, Column.BODY, Column.BODYSTRUCTURE)
)
BIG_CHUNK: Final = 250
MAX_FIELDS: Final = 65536  # larger ones are read from the message each time

_MSG: Final = {
    Column.MODSEQ: "m.modseq",
    Column.RECEIVED: "m.received",
    Column.SAVED: "m.saved",
    Column.SIZE: "m.size",
    Column.PHYSICAL_SIZE: "m.psize",
    Column.QUICK_SIZE: "coalesce(m.size, m.psize)",
    Column.GUID: "m.guid",
    Column.HEADER_MD5: "coalesce(m.guid, '')",  # of formats that have one
    Column.NAME: "m.name",
    Column.POP3_UIDL: "coalesce(m.uidl, '')",
}
_CACHE: Final = {
    Column.ENVELOPE: "c.envelope",
    Column.BODY: "c.body",
    Column.BODYSTRUCTURE: "c.bodystructure",
    Column.SENT: "c.sent",
    Column.SENT_DAY: "c.sent_day",
}
_FIELDS: Final = {Column.FIELDS: "f.data"}
_PREVIEW: Final = {Column.PREVIEW: "p.data", Column.KNOWN_PREVIEW: "p.data"}
_OBJECT_ID: Final = {Column.EMAIL_ID: "o.email_id", Column.THREAD_ID: "o.thread_id"}
# Whole headers are not kept: read from the message each time.
_HEADER: Final = {Column.HEADER: "NULL"}
STORED: Final[dict[Column, str]] = {**_MSG, **_CACHE, **_FIELDS, **_PREVIEW, **_OBJECT_ID, **_HEADER}
_NEVER_FILLED: Final = frozenset(
    (Column.MODSEQ, Column.GUID, Column.HEADER_MD5, Column.NAME, Column.POP3_UIDL, Column.KNOWN_PREVIEW)
)

# Columns that have no own place in Filled are made of the name.
FILLED: Final[dict[Column, Callable[[Filled], Any]]] = {
    Column.RECEIVED: lambda f: f.received,
    Column.SAVED: lambda f: f.saved,
    Column.SIZE: lambda f: f.size,
    Column.PHYSICAL_SIZE: lambda f: f.psize,
    Column.QUICK_SIZE: lambda f: f.size,
    Column.ENVELOPE: lambda f: f.envelope,
    Column.BODY: lambda f: f.body,
    Column.BODYSTRUCTURE: lambda f: f.bodystructure,
    Column.SENT: lambda f: f.sent,
    Column.SENT_DAY: lambda f: f.sent_day,
    Column.HEADER: lambda f: f.header,
    Column.FIELDS: lambda f: f.fields,
    Column.PREVIEW: lambda f: f.preview,
    Column.EMAIL_ID: lambda f: f.email_id,
    Column.THREAD_ID: lambda f: f.thread_id,
}


class StoredColumns:
    """Reads one set of stored columns for chunks of UIDs; remembers whether content was missing."""

    def __init__(self, folder: Folder, columns: Sequence[Column], shown_modseq: int) -> None:
        self._folder, self._index = folder, folder.index
        self.columns = [column for column in columns if column in STORED]
        self._fillable = [
            (at, column) for at, column in enumerate(self.columns, 2) if column not in _NEVER_FILLED
        ]
        self._fixed = [
            (at, column) for at, column in enumerate(self.columns, 2) if column in (Column.GUID, Column.NAME)
        ]
        # A change that this view was not told yet must not be hidden behind its new modseq.
        stored = {**STORED, Column.MODSEQ: f"min(m.modseq, {shown_modseq:d})"}
        if not folder.guid_is_header_md5:
            stored[Column.HEADER_MD5] = "''"
        names = ", ".join(stored[column] for column in self.columns)
        self._select = f"SELECT m.id, m.name, {names} FROM msg m" + _joins(self.columns)
        changed = f"min(m.changed, {shown_modseq:d})"
        gone = [changed if c is Column.MODSEQ else STORED[c] for c in self.columns]
        self._select_gone = f"SELECT m.id, m.name, {', '.join(gone)} FROM gone m" + _joins(self.columns)
        self.missing = False

    @property
    def chunk(self) -> int:
        """How many messages to read at once."""
        return CHUNK if BIG_COLUMNS.isdisjoint(self.columns) else BIG_CHUNK

    def read(self, uids: Sequence[int]) -> list[Sequence[Any] | None]:
        """Rows (id, name, columns...) for ascending UIDs; None where the content is gone."""
        base = self._index.id << 32
        found = self._query(self._select, uids, base)
        rows: list[Sequence[Any] | None]
        if len(found) == len(uids):
            rows = list(found)
        else:
            by_id = {row[0]: row for row in found}
            absent = [uid for uid in uids if base | uid not in by_id]
            by_id.update((row[0], row) for row in self._query(self._select_gone, absent, base))
            rows = [by_id.get(base | uid) for uid in uids]
        self._fill(rows)
        if self._fixed:
            self._fix(rows)
        self.missing = self.missing or None in rows
        return rows

    def _query(self, select: str, uids: Sequence[int], base: int) -> list[Sequence[Any]]:
        if not uids:
            return []
        if uids[-1] - uids[0] == len(uids) - 1 or len(uids) > 2 * CHUNK:
            where, bind = " WHERE m.id BETWEEN ? AND ?", (base | uids[0], base | uids[-1])
            return self._index.database.rows(select + where, bind)
        listed = ",".join(map(str, (base | uid for uid in uids)))
        return self._index.database.rows(f"{select} WHERE m.id IN ({listed}) ORDER BY m.id")

    def _fill(self, rows: list[Sequence[Any] | None]) -> None:
        """Make values that the index lacks, and keep them."""
        if not self._fillable:
            return
        kept: list[tuple[int, Filled]] = []
        for place, row in enumerate(rows):
            if row is None or None not in row:
                continue
            wanted = [column for at, column in self._fillable if row[at] is None]
            if not wanted:
                continue
            try:
                filled = self._folder.fill(row[0] & UID_MASK, row[1], wanted)
            except ExpungedError:
                rows[place] = None
                continue
            values = list(row)
            for at, column in self._fillable:
                if values[at] is None:
                    values[at] = FILLED[column](filled)
            rows[place] = values
            kept.append((row[0], filled))
        if kept:
            keep(self._index, kept)

    def _fix(self, rows: list[Sequence[Any] | None]) -> None:
        for place, row in enumerate(rows):
            if row is None:
                continue
            values = list(row)
            for at, column in self._fixed:
                own = values[at] if column is Column.GUID else None
                values[at] = own or self._folder.guid_of(row[1])
            rows[place] = values


def _joins(columns: Collection[Column]) -> str:
    joins = ""
    if any(column in _CACHE for column in columns):
        joins += " LEFT JOIN cache c ON c.id = m.id"
    if Column.FIELDS in columns:
        joins += " LEFT JOIN fields f ON f.id = m.id"
    if any(column in _PREVIEW for column in columns):
        joins += " LEFT JOIN preview p ON p.id = m.id"
    if any(column in _OBJECT_ID for column in columns):
        joins += " LEFT JOIN objectid o ON o.id = m.id"
    return joins


def keep(index: MailboxIndex, kept: Sequence[tuple[int, Filled]]) -> None:
    """Store what was found out, for the next time."""
    database = index.database
    sizes = [
        (f.received, f.saved, f.size, f.psize, key)
        for key, f in kept
        if not f.received is f.saved is f.size is f.psize is None
    ]
    content = [
        (key, f.envelope, f.body, f.bodystructure, f.sent, f.sent_day)
        for key, f in kept
        if f.sent is not None
    ]
    fields = [(key, f.fields) for key, f in kept if f.fields is not None and len(f.fields) <= MAX_FIELDS]
    objectids = [(key, f.email_id, f.thread_id) for key, f in kept if f.thread_id is not None]
    previews = [(key, f.preview) for key, f in kept if f.preview is not None]
    if not sizes and not content and not fields and not objectids and not previews:
        return
    with database.write():
        if sizes:
            database.executemany(
                "UPDATE msg SET received = coalesce(?, received), saved = coalesce(?, saved),"
                " size = coalesce(?, size), psize = coalesce(?, psize) WHERE id = ?",
                sizes,
            )
        if content:
            database.executemany(
                "INSERT INTO cache VALUES (?,?,?,?,?,?) ON CONFLICT (id) DO UPDATE SET"
                " envelope = coalesce(excluded.envelope, envelope), body = coalesce(excluded.body, body),"
                " bodystructure = coalesce(excluded.bodystructure, bodystructure),"
                " sent = coalesce(excluded.sent, sent), sent_day = coalesce(excluded.sent_day, sent_day)",
                content,
            )
        if fields:
            database.executemany("INSERT OR REPLACE INTO fields VALUES (?,?)", fields)
        if previews:
            database.executemany("INSERT OR REPLACE INTO preview VALUES (?,?)", previews)
        if objectids:
            database.executemany(
                "INSERT INTO objectid VALUES (?,?,?) ON CONFLICT (id) DO UPDATE SET"
                " email_id = coalesce(excluded.email_id, email_id), thread_id = excluded.thread_id",
                objectids,
            )


def pieces(ranges: Sequence[tuple[int, int]], largest: int) -> Iterator[list[tuple[int, int]]]:
    """Cut ranges into groups of at most `largest` numbers."""
    group: list[tuple[int, int]] = []
    room = largest
    for low, high in ranges:
        while low <= high:
            end = min(high, low + room - 1)
            group.append((low, end))
            room -= end - low + 1
            low = end + 1
            if not room:
                yield group
                group, room = [], largest
    if group:
        yield group
