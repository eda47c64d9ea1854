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

from pydovecot.index.database import Database
from pydovecot.index.mailbox import UID_MASK, MailboxIndex
from pydovecot.index.schema import KEYWORD_SHIFT, MAX_KEYWORDS
from pydovecot.model.errors import Code, InternalError, UserError
from pydovecot.model.flags import in_order
from pydovecot.storage.api import MailboxGoneError
from pydovecot.storage.drivers.mbox import journal
from pydovecot.storage.drivers.mbox.file import MboxFile, Stamp
from pydovecot.storage.drivers.mbox.locks import LockRules, locked
from pydovecot.storage.drivers.mbox.scan import Mail
from pydovecot.storage.hooks import MailboxHook

TICK_NS: Final = 20_000_000  # a second change of a file within this may leave its time as it is


class Host(Protocol):
    """What a folder needs of its backend."""

    @property
    def database(self) -> Database: ...

    @property
    def sender(self) -> str: ...

    fsync: bool
    crlf: bool
    journals: str  # directory; "" where nothing can be written
    file_mode: int

    def rules(self, path: str) -> LockRules: ...

    def warn(self, text: str) -> None: ...

    def new_uidvalidity(self) -> int: ...


@dataclass(slots=True)
class Disk:
    """What the index remembers of the file. `unsure_until`: it may have changed again without a new time.

    `recent_from`: messages from this UID on may lack their mark that somebody has seen them.
    """

    stamp: Stamp = Stamp()
    unsure_until: int = 0
    recent_from: int = 1

    @classmethod
    def parse(cls, text: str) -> "Disk":
        """Nothing is known of an empty or foreign text."""
        try:
            inode, size, mtime, ctime, unsure, recent = map(int, text.split())
        except ValueError:
            return cls()
        return cls(Stamp(inode, size, mtime, ctime), unsure, recent)

    def format(self) -> str:
        """For the index."""
        stamp = self.stamp
        times = f"{stamp.mtime_ns} {stamp.ctime_ns} {self.unsure_until}"
        return f"{stamp.inode} {stamp.size} {times} {self.recent_from}"

    def knows(self, stamp: Stamp) -> bool:
        """The index is as the file with this stamp."""
        return stamp == self.stamp and not 0 < self.unsure_until < time.time_ns()


class MboxPlace:
    """The file, its locks and its part of the index; sync, changing and saving work on it."""

    def __init__(self, host: Host, name: str, path: str, hook: MailboxHook | None = None) -> None:
        self.host, self.path, self.hook = host, path, hook
        self.index = MailboxIndex(host.database, name)
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

    def mails(self, uids: Collection[int] | None = None) -> list[tuple[Mail, int]]:
        """Messages with their states by the index, ascending; `next` is where the next known one begins."""
        query = "SELECT id & ?, state, name FROM msg WHERE id BETWEEN ? AND ?"
        low, high = self.index.span
        if uids:
            low, high = self.index.key(min(uids)), self.index.key(max(uids))
        rows = self.host.database.rows(query, (UID_MASK, low, high))
        if uids is not None and len(rows) != len(uids):
            wanted = set(uids)
            rows = [row for row in rows if row[0] in wanted]
        return [(at(name, uid), state) for uid, state, name in rows]

    def keyword_bits(self, names: Collection[str], *, create: bool) -> int:
        """Bits of keywords; new ones come into the file with the first message that has them."""
        bits, missing = known_bits(self.index.header().keyword_names(), names)
        if not missing or not create:
            return bits
        with self.host.database.write():
            known = self.index.header().keyword_names()
            bits, missing = known_bits(known, names)
            for name in missing:
                if len(known) >= MAX_KEYWORDS:
                    raise UserError(Code.LIMIT, "Too many keywords")
                bits |= 1 << (KEYWORD_SHIFT + len(known))
                known.append(name)
            self.index.set(keywords=" ".join(known))
        return bits

    def keywords_of(self, state: int) -> list[str]:
        """Names of a state's keyword bits."""
        bits = state >> KEYWORD_SHIFT
        names = self.index.header().keyword_names()
        return [name for bit, name in enumerate(names) if name and bits >> bit & 1]


def at(name: str, uid: int) -> Mail:
    """A message where the index has it."""
    start, head, body, end = map(int, name.split(","))
    return Mail(start, head, body, end, end, uid)


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
