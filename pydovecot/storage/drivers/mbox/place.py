"""One mailbox in mbox format: its file, its locks, and what was last seen of it.

Lock order: the locks of the file, then the index's write transaction. The file changes before the index does.
"""

import hashlib
import os
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final, Protocol

from pydovecot.index.database import MEMORY, Database
from pydovecot.index.mailbox import UID_MASK, MailboxIndex
from pydovecot.index.schema import KEYWORD_SHIFT, MAX_KEYWORDS
from pydovecot.model.errors import Code, InternalError, UserError
from pydovecot.model.flags import in_order
from pydovecot.storage.api import MailboxGoneError
from pydovecot.storage.drivers.mbox import journal
from pydovecot.storage.drivers.mbox.file import MboxFile, Stamp
from pydovecot.storage.drivers.mbox.guid import guid_of
from pydovecot.storage.drivers.mbox.locks import LockRules, locked
from pydovecot.storage.drivers.mbox.scan import DIRTY, NEW, STALE, Mail
from pydovecot.storage.hooks import MailboxHook
from pydovecot.storage.indexed.watch import ring

TICK_NS: Final = 20_000_000  # a second change of a file within this may leave its time as it is


class Host(Protocol):
    """What a folder needs of its backend."""

    @property
    def sender(self) -> str: ...

    fsync: bool
    habits: "Habits"
    crlf: bool
    journals: str  # directory; "" where nothing can be written
    file_mode: int

    def rules(self, path: str) -> LockRules: ...

    def warn(self, text: str) -> None: ...

    def new_uidvalidity(self) -> int: ...


@dataclass(frozen=True, slots=True)
class Habits:
    """How much is read and written when: the mbox_* settings of these names.

    `delivery_ids`: every message that is saved gets a field of its own, for the sake of its header MD5.
    """

    lazy_writes: bool = True
    dirty_syncs: bool = True
    very_dirty_syncs: bool = False
    md5_all: bool = False
    delivery_ids: bool = False


@dataclass(slots=True)
class Disk:
    """What the index remembers of the file. `unsure_until`: it may have changed again without a new time.

    `recent_from`: messages from this UID on may lack their mark that somebody has seen them.
    `dirty`: the file lacks something that the index knows. `behind`: only the end of the file, which others
    have changed, was read.
    """

    stamp: Stamp = Stamp()
    unsure_until: int = 0
    recent_from: int = 1
    dirty: bool = False
    behind: bool = False

    @classmethod
    def parse(cls, text: str) -> "Disk":
        """Nothing is known of an empty or foreign text."""
        try:
            inode, size, mtime, ctime, unsure, recent, dirty, behind = map(int, text.split())
        except ValueError:
            return cls()
        return cls(Stamp(inode, size, mtime, ctime), unsure, recent, bool(dirty), bool(behind))

    def format(self) -> str:
        """For the index."""
        stamp = self.stamp
        times = f"{stamp.mtime_ns} {stamp.ctime_ns} {self.unsure_until}"
        return f"{stamp.inode} {stamp.size} {times} {self.recent_from} {self.dirty:d} {self.behind:d}"

    def knows(self, stamp: Stamp) -> bool:
        """The index is as the file with this stamp."""
        return stamp == self.stamp and not 0 < self.unsure_until < time.time_ns()


class MboxPlace:
    """The file, its locks and its part of the index; sync, changing and saving work on it."""

    def __init__(
        self, host: Host, database: Database, name: str, path: str, hook: MailboxHook | None = None
    ) -> None:
        self.host, self.database, self.path, self.hook = host, database, path, hook
        self.index = MailboxIndex(database, name)
        self.journal = ""
        if host.journals:
            short = hashlib.sha256(os.fsencode(path)).hexdigest()[:24]
            self.journal = f"{host.journals}/pydovecot.journal.{short}"

    @contextmanager
    def locked(self, *, write: bool) -> Iterator[MboxFile]:
        """The file, as whole as it was left by who had it last."""
        while True:
            with locked(self.path, self.host.rules(self.path), write=write) as (fd, writable):
                file = MboxFile(
                    fd, writable=write and writable and bool(self.journal), journal_path=self.journal,
                    fsync=self.host.fsync, mode=self.host.file_mode,
                )  # fmt: skip
                try:
                    if self.journal and os.path.exists(self.journal):
                        if not write:
                            write = True
                            continue
                        if writable:
                            self._recover(fd)
                    yield file
                    return
                finally:
                    file.close()

    def _recover(self, fd: int) -> None:
        problem = journal.recover(fd, self.journal, fsync=self.host.fsync, mode=self.host.file_mode)
        if problem:
            self.host.warn(f"{self.path}: {problem}")

    def ring(self) -> None:
        """Wake other sessions: the index has changed, the file has not."""
        if self.host.journals and self.database.path != MEMORY:
            ring(self.host.journals)

    def stamp(self) -> Stamp:
        """Without a lock."""
        try:
            return Stamp.of(os.stat(self.path))
        except (FileNotFoundError, NotADirectoryError) as exc:
            raise MailboxGoneError(self.path) from exc
        except OSError as exc:
            raise InternalError(f"stat({self.path}) failed: {exc.strerror}") from exc

    def disk(self) -> Disk:
        """What was last seen."""
        return Disk.parse(self.index.header().disk)

    def remember(self, file: MboxFile, disk: Disk) -> None:
        """The index has taken in the file as it is now (locked, in the write transaction)."""
        ours = file.changed
        file.sync()
        disk.stamp = file.stamp()
        settled = disk.stamp.ctime_ns + TICK_NS
        disk.unsure_until = 0 if ours or settled < time.time_ns() else settled
        self.index.set(disk=disk.format())

    def unmarked(self, low: int, high: int) -> bool:
        """The file does not say of some message with low <= UID < high that somebody has seen it."""
        query = "SELECT 1 FROM msg WHERE id >= ? AND id < ? AND name LIKE ? LIMIT 1"
        return self.database.row(query, (self.index.key(low), self.index.key(high), f"%{NEW}%")) is not None

    def dirty_mails(self, disk: Disk) -> list[tuple[Mail, int]]:
        """Those whose fields are to be written."""
        query = (
            "SELECT id & ?, state, name FROM msg WHERE id BETWEEN ? AND ?"
            " AND (name LIKE ? OR name LIKE ? OR id < ? AND name LIKE ?)"
        )
        seen = self.index.key(disk.recent_from)
        marks = f"%{DIRTY}", f"%{STALE}%", seen, f"%{NEW}%"
        rows = self.database.rows(query, (UID_MASK, *self.index.span, *marks))
        return [(at(name, uid), state) for uid, state, name in rows]

    def mails(self, uids: Collection[int] | None = None, *, above: int = 0) -> list[tuple[Mail, int]]:
        """Messages with their states by the index, ascending; all of them, some, or those from a UID on."""
        query = "SELECT id & ?, state, name FROM msg WHERE id BETWEEN ? AND ?"
        low, high = self.index.key(above), self.index.span[1]
        if uids:
            low, high = self.index.key(min(uids)), self.index.key(max(uids))
        rows = self.database.rows(query, (UID_MASK, low, high))
        if uids is not None and len(rows) != len(uids):
            wanted = set(uids)
            rows = [row for row in rows if row[0] in wanted]
        return [(at(name, uid), state) for uid, state, name in rows]

    def keyword_bits(self, names: Collection[str], *, create: bool) -> int:
        """Bits of keywords; new ones come into the file with the first message that has them."""
        bits, missing = known_bits(self.index.header().keyword_names(), names)
        if not missing or not create:
            return bits
        with self.database.write():
            known = self.index.header().keyword_names()
            bits, missing = known_bits(known, names)
            for name in missing:
                if len(known) >= MAX_KEYWORDS:
                    raise UserError(Code.LIMIT, "Too many keywords")
                bits |= 1 << (KEYWORD_SHIFT + len(known))
                known.append(name)
            self.index.set(keywords=" ".join(known))
        return bits

    def guid_of_header(self, header: bytes) -> str:
        """GUID (and header MD5) of a message."""
        return guid_of(header, every=self.host.habits.md5_all)

    def keywords_of(self, state: int) -> list[str]:
        """Names of a state's keyword bits."""
        bits = state >> KEYWORD_SHIFT
        names = self.index.header().keyword_names()
        return [name for bit, name in enumerate(names) if name and bits >> bit & 1]


def at(name: str, uid: int) -> Mail:
    """A message where the index has it."""
    offsets = name.rstrip(NEW + STALE + DIRTY)
    start, head, body, end = map(int, offsets.split(","))
    mail = Mail(start, head, body, end, end, uid, old=True)
    if len(offsets) < len(name):
        mail.old, mail.stale, mail.dirty = NEW not in name, STALE in name, DIRTY in name
    return mail


def known_bits(known: list[str], names: Collection[str]) -> tuple[int, list[str]]:
    """Bits of those names that are known, and the others."""
    table = {name.lower(): bit for bit, name in enumerate(known) if name}
    bits, missing = 0, []
    for name in in_order(names):
        bit = table.get(name.lower())
        if bit is None:
            missing.append(name)
        else:
            bits |= 1 << (KEYWORD_SHIFT + bit)
    return bits, missing
