"""An mbox that is open and locked: reading its octets, and the only ways in which it is changed."""

import os
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from mmap import ACCESS_READ, mmap
from typing import Final

from pydovecot.storage.drivers.mbox import journal
from pydovecot.storage.drivers.mbox.journal import PAGE, Piece
from pydovecot.storage.drivers.mbox.scan import Buffer

# Smaller files are read: a map of a file that somebody cuts without a lock would end the process.
MAP_FROM_BYTES: Final = 32 << 20
SECOND_NS: Final = 1_000_000_000
MOST_AHEAD_SECS: Final = 60  # that a file's time may be ahead after many changes within a second


@dataclass(frozen=True, slots=True)
class Stamp:
    """What tells one content of a file from another. mutt sets mtime back after writing; ctime it cannot."""

    inode: int = 0
    size: int = 0
    mtime_ns: int = 0
    ctime_ns: int = 0

    @classmethod
    def of(cls, found: os.stat_result) -> "Stamp":
        """From stat."""
        return cls(found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)


class MboxFile:
    """See module. Changes need a write lock and `writable`."""

    def __init__(self, fd: int, *, writable: bool, journal_path: str, fsync: bool, mode: int) -> None:
        self.fd, self.writable = fd, writable
        self._journal, self._fsync, self._mode = journal_path, fsync, mode
        self._data: Buffer | None = None
        self.changed = False
        self._opened = Stamp.of(os.fstat(fd))

    @property
    def size(self) -> int:
        """Octets now."""
        return os.fstat(self.fd).st_size

    def stamp(self) -> Stamp:
        """As it is now. A change of ours gives it a time of its own, which no other change will have.

        Others compare whole seconds (Dovecot does): when the size says nothing, the second must be another.
        """
        if self.changed:
            found, now = os.fstat(self.fd), time.time_ns()
            before = self._opened.mtime_ns // SECOND_NS
            if found.st_size == self._opened.size and before < now // SECOND_NS + MOST_AHEAD_SECS:
                now = max(now, (before + 1) * SECOND_NS + now % SECOND_NS)
            try:
                os.utime(self.fd, ns=(found.st_atime_ns, now))
            except OSError:
                pass
            self.changed = False
        return Stamp.of(os.fstat(self.fd))

    def data(self) -> Buffer:
        """The whole content; valid until the next change."""
        if self._data is None:
            size = self.size
            if size < MAP_FROM_BYTES:
                self._data = self.read(0, size)
            else:
                self._data = mmap(self.fd, size, access=ACCESS_READ)
        return self._data

    def read(self, start: int, end: int) -> bytes:
        """One range."""
        data = os.pread(self.fd, end - start, start)
        while len(data) < end - start:
            more = os.pread(self.fd, end - start - len(data), start + len(data))
            if not more:
                break
            data += more
        return data

    def patch(self, offset: int, old: bytes, new: bytes) -> None:
        """Put `new` in the place of `old` of the same length. Within one page the kernel does it at once."""
        if old == new:
            return
        low = next(at for at in range(len(old)) if old[at] != new[at])
        high = next(at for at in range(len(old), 0, -1) if old[at - 1] != new[at - 1])
        if (offset + low) // PAGE == (offset + high - 1) // PAGE:
            try:
                os.pwrite(self.fd, new[low:high], offset + low)
            except OSError as exc:
                raise journal.failure(exc) from exc
            self._now_changed()
        else:
            self.replace(offset + low, high - low, [new[low:high]])

    def replace(self, offset: int, old: int, pieces: Sequence[Piece]) -> None:
        """All or nothing; see journal.replace."""
        if not pieces and offset + old == self.size:
            self._close_data()
            os.ftruncate(self.fd, offset)
        else:
            self._close_data()
            journal.replace(self.fd, self._journal, offset, old, pieces, fsync=self._fsync, mode=self._mode)
        self._now_changed()

    def _now_changed(self) -> None:
        self._close_data()
        self.changed = True

    def _close_data(self) -> None:
        if isinstance(self._data, mmap):
            with suppress(BufferError):  # some exception's traceback still looks at it
                self._data.close()
        self._data = None

    def sync(self) -> None:
        """Changes in place are durable."""
        if self._fsync and self.changed:
            os.fdatasync(self.fd)

    def close(self) -> None:
        """The descriptor belongs to the lock."""
        self._close_data()
