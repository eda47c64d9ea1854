"""One mailbox in the index: its header, and the changes that drivers make inside a write transaction."""

from array import array
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from pydovecot.index.database import Database
from pydovecot.model.flags import Flag

SEEN: Final = int(Flag.SEEN)
DELETED: Final = int(Flag.DELETED)
LOG_KEEP: Final = 2000  # modseqs of changes that a view can be behind before it reads everything again
LOG_PRUNE_EVERY: Final = 500
GONE_LOG_KEEP: Final = 100_000  # modseqs of expunges kept for QRESYNC clients
GONE_ROWS_KEEP: Final = 2000  # expunged messages whose row is kept
SNAPSHOT_AFTER: Final = 300  # changed messages since the snapshot that make a new one worth it
UID_MASK: Final = 0xFFFFFFFF
FEW: Final = 64  # ranges or places that are handled one by one

CHANGED: Final = 0
EXPUNGED: Final = 1

_HEADER: Final = (
    "born, guid, uidvalidity, uidnext, first_recent, modseq, log_from, gone_from,"
    " messages, unseen, deleted, keywords, disk"
)
_SIZES: Final = "sum of sizes"  # a kind of row in `kept`
_COPIED_CACHE: Final = "envelope, body, bodystructure, sent, sent_day"


@dataclass(slots=True)
class Header:
    """The mailbox's row."""

    born: int
    guid: str
    uidvalidity: int
    uidnext: int
    first_recent: int
    modseq: int
    log_from: int
    gone_from: int
    messages: int
    unseen: int
    deleted: int
    keywords: str
    disk: str

    def keyword_names(self) -> list[str]:
        """Names by bit number; "" where a number has no name (yet)."""
        return self.keywords.split(" ") if self.keywords else []


# A row to add: uid, state, name, received, saved, size, psize, guid, uidl. None: not known yet.
# A plain tuple, because a first look at a mailbox makes one for each message.
NewMail = tuple[int, int, str, int | None, int | None, int | None, int | None, str | None, str | None]


@dataclass(slots=True)
class Delta:
    """What happened after a modseq: `states` of new and changed messages by UID, `expunged` UIDs.

    A message whose flags were changed and changed back is among them: its modseq is another one.

    `complete`: the log does not reach back so far; `states` are all messages there are.
    """

    modseq: int
    states: list[tuple[int, int]]
    expunged: set[int]
    complete: bool = False


class MailboxIndex:
    """Reads at any time; everything that changes must run inside `database.write()`."""

    def __init__(self, database: Database, name: str) -> None:
        self.database, self.name = database, name
        self._id = 0
        self._modseq = 0  # of the running transaction, 0: not numbered yet

    @property
    def id(self) -> int:
        """The mailbox's number, given at first use."""
        if not self._id:
            row = self.database.row("SELECT id FROM mailbox WHERE name = ?", (self.name,))
            if row is None:
                with self.database.write():
                    self.database.execute("INSERT OR IGNORE INTO mailbox (name) VALUES (?)", (self.name,))
                row = self.database.row("SELECT id FROM mailbox WHERE name = ?", (self.name,))
            self._id = int(row[0])
        return self._id

    def forget(self) -> None:
        """The database was made anew: the number is another one now."""
        self._id = 0

    def key(self, uid: int) -> int:
        """Row id of a message."""
        return self.id << 32 | uid

    @property
    def span(self) -> tuple[int, int]:
        """All row ids of the mailbox."""
        return self.id << 32, self.id << 32 | UID_MASK

    def header(self) -> Header:
        """The row as it is now."""
        query = f"SELECT {_HEADER} FROM mailbox WHERE id = ? AND name = ?"
        row = self.database.row(query, (self.id, self.name))
        if row is None:
            # Another process has renamed or deleted it: the name means another mailbox now.
            self.forget()
            row = self.database.row(query, (self.id, self.name))
        return Header(*row)

    def set(self, **values: Any) -> None:
        """Write columns of the header."""
        names = ", ".join(f"{name} = ?" for name in values)
        self.database.execute(f"UPDATE mailbox SET {names} WHERE id = ?", (*values.values(), self.id))

    # -- changes -------------------------------------------------------------------------------------------

    def begin(self) -> None:
        """Start of a driver's step inside a transaction: its first change takes the next modseq."""
        self._modseq = 0

    def modseq(self) -> int:
        """The modseq of this step."""
        if not self._modseq:
            row = self.database.row(
                "UPDATE mailbox SET modseq = modseq + 1 WHERE id = ? RETURNING modseq", (self.id,)
            )
            self._modseq = int(row[0])
            if self._modseq % LOG_PRUNE_EVERY == 0:
                self._prune()
        return self._modseq

    def add(self, mails: Sequence[NewMail]) -> None:
        """Add messages in ascending order of UID, all above what is there."""
        if not mails:
            return
        modseq, base = self.modseq(), self.id << 32
        if len(mails) < FEW:
            self.database.executemany(
                "INSERT INTO msg VALUES (?,?,?,?,?,?,?,?,?,?)",
                [(base | mail[0], mail[1], modseq, *mail[2:]) for mail in mails],
            )
        else:
            self.database.executemany(
                f"INSERT INTO msg VALUES ({base} | ?, ?, {modseq}, ?, ?, ?, ?, ?, ?, ?)",
                mails,
            )
        self._log([mail[0] for mail in mails], CHANGED)
        self.database.execute(
            "UPDATE mailbox SET messages = messages + ?, unseen = unseen + ?, deleted = deleted + ?,"
            " uidnext = max(uidnext, ?) WHERE id = ?",
            (
                len(mails),
                sum([not mail[1] & SEEN for mail in mails]),
                sum([bool(mail[1] & DELETED) for mail in mails]),
                mails[-1][0] + 1,
                self.id,
            ),
        )

    def change(self, changes: Sequence[tuple[int, int, int, str]]) -> None:
        """Give messages another state: (uid, old state, new state, name), ascending."""
        if not changes:
            return
        modseq, base = self.modseq(), self.id << 32
        self.database.executemany(
            "UPDATE msg SET state = ?, name = ?, modseq = ? WHERE id = ?",
            ((new, name, modseq, base | uid) for uid, _, new, name in changes),
        )
        self._log([change[0] for change in changes], CHANGED)
        unseen = sum(((old & SEEN) - (new & SEEN)) // SEEN for _, old, new, _ in changes)
        deleted = sum(((new & DELETED) - (old & DELETED)) // DELETED for _, old, new, _ in changes)
        self.database.execute(
            "UPDATE mailbox SET unseen = unseen + ?, deleted = deleted + ? WHERE id = ?",
            (unseen, deleted, self.id),
        )

    def rename(self, names: Iterable[tuple[int, str]]) -> None:
        """Messages have other names in the driver; nobody is told."""
        base = self.id << 32
        self.database.executemany(
            "UPDATE msg SET name = ? WHERE id = ?", [(name, base | uid) for uid, name in names]
        )

    def forget_content(self, uids: Iterable[int]) -> None:
        """What was found out about messages whose content another program has changed."""
        keys = [(self.key(uid),) for uid in uids]
        self.database.executemany("UPDATE msg SET size = NULL, psize = NULL WHERE id = ?", keys)
        for table in ("cache", "fields", "objectid", "preview"):
            self.database.executemany(f"DELETE FROM {table} WHERE id = ?", keys)
        self.forget_sizes()

    def touch(self, uids: Sequence[int]) -> None:
        """Give messages a new modseq without a change of flags."""
        base, modseq = self.id << 32, self.modseq()
        self.database.executemany(
            "UPDATE msg SET modseq = ? WHERE id = ?", [(modseq, base | u) for u in uids]
        )
        self._log(uids, CHANGED)

    def expunge(self, uids: Sequence[int]) -> None:
        """Remove messages (ascending); their rows are kept for a while in `gone`."""
        if not uids:
            return
        modseq = self.modseq()
        unseen = deleted = count = 0
        for low, high in ranges(uids):
            span = (self.key(low), self.key(high))
            row = self.database.row(
                "SELECT count(*), coalesce(sum(state & ? = 0), 0), coalesce(sum(state & ? != 0), 0) FROM msg"
                " WHERE id BETWEEN ? AND ?",
                (SEEN, DELETED, *span),
            )
            count, unseen, deleted = count + row[0], unseen + row[1], deleted + row[2]
            self.database.execute(
                "INSERT OR REPLACE INTO gone SELECT id, ?, modseq, name, received, saved, size, psize,"
                " guid, uidl FROM msg WHERE id BETWEEN ? AND ?",
                (modseq, *span),
            )
            self.database.execute("DELETE FROM msg WHERE id BETWEEN ? AND ?", span)
        self._log(uids, EXPUNGED)
        self.database.execute(
            "UPDATE mailbox SET messages = messages - ?, unseen = unseen - ?, deleted = deleted - ?"
            " WHERE id = ?",
            (count, unseen, deleted, self.id),
        )

    def _log(self, uids: Sequence[int], kind: int) -> None:
        mailbox, modseq = self.id, self.modseq()
        spans = list(ranges(uids))
        if kind == CHANGED and len(spans) > FEW:
            # Too many messages looked at again cost less than too many ranges.
            spans = [(uids[0], uids[-1])]
        self.database.executemany(
            "INSERT OR REPLACE INTO log VALUES (?,?,?,?,?)",
            [(mailbox, modseq, low, high, kind) for low, high in spans],
        )

    def _prune(self) -> None:
        """Drop history that nobody is likely to ask for."""
        header = self.header()
        keep = max(header.log_from, self._modseq - LOG_KEEP)
        gone = max(header.gone_from, self._modseq - GONE_LOG_KEEP)
        self.database.execute(
            "DELETE FROM log WHERE mailbox = ? AND (modseq <= ? AND kind = 0 OR modseq <= ?)",
            (self.id, keep, gone),
        )
        self.set(log_from=keep, gone_from=gone)
        self._prune_gone()

    def _prune_gone(self) -> None:
        low, high = self.span
        limit = self.database.row(
            "SELECT modseq FROM gone WHERE id BETWEEN ? AND ? ORDER BY modseq DESC LIMIT 1 OFFSET ?",
            (low, high, GONE_ROWS_KEEP),
        )
        if limit is not None:
            for table in ("cache", "fields", "objectid", "preview"):
                self.database.execute(
                    f"DELETE FROM {table} WHERE id IN"
                    " (SELECT id FROM gone WHERE id BETWEEN ? AND ? AND modseq <= ?)",
                    (low, high, limit[0]),
                )
            self.database.execute(
                "DELETE FROM gone WHERE id BETWEEN ? AND ? AND modseq <= ?", (low, high, limit[0])
            )

    def clear(self) -> None:
        """Forget all messages (UIDVALIDITY changed, or everything is read again)."""
        for table in ("msg", "gone", "cache", "fields", "objectid", "preview"):
            self.database.execute(f"DELETE FROM {table} WHERE id BETWEEN ? AND ?", self.span)
        for table in ("log", "snapshot", "kept"):
            self.database.execute(f"DELETE FROM {table} WHERE mailbox = ?", (self.id,))
        modseq = self.modseq()
        self.set(
            messages=0, unseen=0, deleted=0, uidnext=1, first_recent=1, log_from=modseq, gone_from=modseq,
            keywords="", disk="",
        )  # fmt: skip

    def copy_from(self, other: Database) -> None:
        """Begin with the messages that another database has of this mailbox; without their history."""
        names = "guid, uidvalidity, uidnext, first_recent, modseq, messages, unseen, deleted, keywords, disk"
        found = other.row(f"SELECT id, {names} FROM mailbox WHERE name = ?", (self.name,))
        if found is None:
            return
        mailbox, *values = found
        rows = other.rows(
            "SELECT id & ?, state, modseq, name, received, saved, size, psize, guid, uidl FROM msg"
            " WHERE id BETWEEN ? AND ?",
            (UID_MASK, mailbox << 32, mailbox << 32 | UID_MASK),
        )
        columns = dict(zip(names.split(", "), values, strict=True))
        base = self.id << 32
        with self.database.write():
            self.set(**columns, log_from=columns["modseq"], gone_from=columns["modseq"])
            self.database.executemany(
                "INSERT OR REPLACE INTO msg VALUES (?,?,?,?,?,?,?,?,?,?)",
                [(base | row[0], *row[1:]) for row in rows],
            )

    def drop(self) -> None:
        """The mailbox was deleted."""
        self.clear()
        self.database.execute("DELETE FROM mailbox WHERE id = ?", (self.id,))
        self.forget()

    def copy_cache(self, pairs: Sequence[tuple[int, int]]) -> None:
        """Copies have the content of their originals: (row id of the original, of the copy)."""
        self.database.executemany(
            f"INSERT OR IGNORE INTO cache SELECT ?2, {_COPIED_CACHE} FROM cache WHERE id = ?1", pairs
        )
        self.database.executemany(
            "INSERT OR IGNORE INTO fields SELECT ?2, data FROM fields WHERE id = ?1", pairs
        )
        self.database.executemany(
            "INSERT OR IGNORE INTO preview SELECT ?2, data FROM preview WHERE id = ?1", pairs
        )
        self.database.executemany(
            "INSERT OR IGNORE INTO objectid SELECT ?2, email_id, thread_id FROM objectid WHERE id = ?1", pairs
        )

    # -- reading -------------------------------------------------------------------------------------------

    def load(self) -> tuple[int, "array[int]", "array[int]"]:
        """(modseq, UIDs, states) of all messages as of now."""
        with self.database.read():
            header = self.header()
            row = self.database.row("SELECT modseq, uids, states FROM snapshot WHERE mailbox = ?", (self.id,))
            if row is None or row[0] < header.log_from:
                return header.modseq, *self._load_all()
            uids, states = array("I"), array("Q")
            uids.frombytes(row[1])
            states.frombytes(row[2])
            if row[0] == header.modseq:
                return header.modseq, uids, states
            delta = self._delta(row[0], header)
        if delta.complete:
            return (
                delta.modseq,
                array("I", [u for u, _ in delta.states]),
                array("Q", [s for _, s in delta.states]),
            )
        return delta.modseq, *apply(uids, states, delta)[:2]

    def _load_all(self) -> tuple["array[int]", "array[int]"]:
        rows = self.database.rows(
            "SELECT id & ?, state FROM msg WHERE id BETWEEN ? AND ?", (UID_MASK, *self.span)
        )
        return array("I", [row[0] for row in rows]), array("Q", [row[1] for row in rows])

    def total_size(self) -> int | None:
        """Sum of the CRLF sizes; None when some are not known yet.

        The sum up to a UID is kept, so that only what has come since is added, unless something has gone.
        """
        mailbox = self.id  # a row that is missing is made here, and not within the transaction
        with self.database.read():
            header = self.header()
            base = self.database.row(
                "SELECT messages, last_uid, data FROM kept WHERE mailbox = ? AND kind = ?", (mailbox, _SIZES)
            )
            base = base or (0, 0, b"0")
            added, known, count, last = self._sizes_after(base[1])
            if base[0] + count != header.messages:
                base = (0, 0, b"0")
                added, known, count, last = self._sizes_after(0)
        if known < count:
            return None
        size = int(base[2]) + int(added)
        if count > FEW:
            with self.database.write():
                if self.header().modseq == header.modseq:  # else it is of another moment
                    self.database.execute(
                        "INSERT OR REPLACE INTO kept VALUES (?,?,?,?,?,?)",
                        (mailbox, _SIZES, header.messages, last & UID_MASK, b"", b"%d" % size),
                    )
        return size

    def _sizes_after(self, uid: int) -> tuple[Any, ...]:
        """Sum, number of known sizes, number of messages and the last row id above a UID."""
        row: tuple[Any, ...] = self.database.row(
            "SELECT coalesce(sum(size), 0), count(size), count(*), max(id) FROM msg WHERE id BETWEEN ? AND ?",
            (self.key(uid + 1), self.span[1]),
        )
        return row

    def forget_sizes(self) -> None:
        """A size turned out to be another one."""
        self.database.execute("DELETE FROM kept WHERE mailbox = ? AND kind = ?", (self.id, _SIZES))

    def delta(self, modseq: int, born: int) -> Delta:
        """What happened after `modseq` of the row that was `born`; of another one: everything."""
        with self.database.read():
            header = self.header()
            return self._delta(modseq if header.born == born else -1, header)

    def _delta(self, modseq: int, header: Header) -> Delta:
        if modseq < header.log_from or modseq > header.modseq:
            rows = self.database.rows(
                "SELECT id & ?, state FROM msg WHERE id BETWEEN ? AND ?", (UID_MASK, *self.span)
            )
            return Delta(header.modseq, rows, set(), complete=True)
        entries = self.database.rows(
            "SELECT low, high, kind FROM log WHERE mailbox = ? AND modseq > ?", (self.id, modseq)
        )
        expunged: set[int] = set()
        for low, high, kind in entries:
            if kind == EXPUNGED:
                expunged.update(range(low, high + 1))
        states: list[tuple[int, int]] = []
        for low, high in merge((low, high) for low, high, kind in entries if kind == CHANGED):
            states += self.database.rows(
                "SELECT id & ?, state FROM msg WHERE id BETWEEN ? AND ? AND modseq > ?",
                (UID_MASK, self.key(low), self.key(high), modseq),
            )
        return Delta(header.modseq, states, expunged)

    def save_snapshot(self, modseq: int, uids: "array[int]", states: "array[int]") -> None:
        """Keep packed arrays if the last ones are far behind."""
        row = self.database.row("SELECT modseq FROM snapshot WHERE mailbox = ?", (self.id,))
        if row is not None and row[0] <= modseq:
            behind = self.database.row(
                "SELECT coalesce(sum(high - low + 1), 0) FROM log WHERE mailbox = ? AND modseq > ?",
                (self.id, row[0]),
            )[0]
            if behind < SNAPSHOT_AFTER and row[0] >= self.header().log_from:
                return
        elif row is None and len(uids) < SNAPSHOT_AFTER:
            return
        with self.database.write():
            self.database.execute(
                "INSERT OR REPLACE INTO snapshot VALUES (?,?,?,?)",
                (self.id, modseq, uids.tobytes(), states.tobytes()),
            )

    def kept(self, kind: str, messages: int, last_uid: int) -> bytes | None:
        """What `keep` was given for exactly these messages."""
        row = self.database.row(
            "SELECT data FROM kept WHERE mailbox = ? AND kind = ? AND messages = ? AND last_uid = ?",
            (self.id, kind, messages, last_uid),
        )
        return None if row is None else bytes(row[0])

    def latest_kept(self, kind: str) -> tuple[bytes, bytes] | None:
        """(UIDs, data) that `keep` was given last."""
        row = self.database.row(
            "SELECT uids, data FROM kept WHERE mailbox = ? AND kind = ?", (self.id, kind)
        )
        return None if row is None else (bytes(row[0]), bytes(row[1]))

    def keep(self, kind: str, messages: int, last_uid: int, uids: bytes, data: bytes) -> None:
        """Keep something made of all messages in place of what was kept of that kind."""
        with self.database.write():
            self.database.execute(
                "INSERT OR REPLACE INTO kept VALUES (?,?,?,?,?,?)",
                (self.id, kind, messages, last_uid, uids, data),
            )

    def changed_since(self, modseq: int) -> list[int]:
        """UIDs whose modseq is above."""
        rows = self.database.rows(
            "SELECT id & ? FROM msg WHERE id BETWEEN ? AND ? AND modseq > ?", (UID_MASK, *self.span, modseq)
        )
        return [row[0] for row in rows]

    def vanished_since(self, modseq: int) -> list[tuple[int, int]] | None:
        """Ranges of UIDs expunged after `modseq`, sorted; None: the history does not reach back so far."""
        if modseq < self.header().gone_from:
            return None
        rows = self.database.rows(
            "SELECT low, high FROM log WHERE mailbox = ? AND modseq > ? AND kind = ?",
            (self.id, modseq, EXPUNGED),
        )
        return list(merge(rows))


def ranges(uids: Iterable[int]) -> Iterator[tuple[int, int]]:
    """Ascending numbers as inclusive ranges."""
    low = high = -2
    for uid in uids:
        if uid == high + 1:
            high = uid
            continue
        if low >= 0:
            yield low, high
        low = high = uid
    if low >= 0:
        yield low, high


def merge(pairs: Iterable[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """Sorted, disjoint ranges of any ranges."""
    low = high = -2
    for start, end in sorted(pairs):
        if start <= high + 1 and low >= 0:
            high = max(high, end)
            continue
        if low >= 0:
            yield low, high
        low, high = start, end
    if low >= 0:
        yield low, high


def apply(
    uids: "array[int]", states: "array[int]", delta: Delta
) -> tuple["array[int]", "array[int]", list[int]]:
    """Arrays with a delta taken in, and the positions (0-based, of the old arrays) that were expunged."""
    gone = positions(uids, sorted(delta.expunged)) if delta.expunged else []
    uids, states = without(uids, states, gone)
    last = uids[-1] if uids else 0
    old = [(uid, state) for uid, state in delta.states if uid <= last]
    for at, (uid, state) in zip(positions(uids, [uid for uid, _ in old], exact=False), old, strict=True):
        if at < len(uids) and uids[at] == uid:
            states[at] = state
    new = delta.states[len(old) :]
    uids.extend([uid for uid, _ in new])
    states.extend([state for _, state in new])
    return uids, states, gone


def positions(uids: "array[int]", wanted: Sequence[int], *, exact: bool = True) -> list[int]:
    """0-based places of ascending UIDs; what is not there is left out, or (not `exact`) where it would be."""
    if len(wanted) > len(uids) // 8 and exact:
        chosen = set(wanted)
        return [at for at, uid in enumerate(uids) if uid in chosen]
    found: list[int] = []
    at = 0
    for uid in wanted:
        at = bisect_left(uids, uid, at)
        if not exact or (at < len(uids) and uids[at] == uid):
            found.append(at)
    return found


def without(
    uids: "array[int]", states: "array[int]", places: Sequence[int]
) -> tuple["array[int]", "array[int]"]:
    """The arrays without some (ascending) places; changed in place when they are few."""
    if len(places) > FEW:
        drop = set(places)
        keep = [at for at in range(len(uids)) if at not in drop]
        return array("I", [uids[at] for at in keep]), array("Q", [states[at] for at in keep])
    for at in reversed(places):
        del uids[at], states[at]
    return uids, states
