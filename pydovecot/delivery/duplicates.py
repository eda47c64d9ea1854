"""`~/.dovecot.lda-dupes`: what a user's deliveries have done already, until when it must not be done again.

    database = Duplicates(home, event.error)
    with database.transaction() as transaction:
        if not transaction.seen(key, user):
            ...                                     # answer the sender, redirect the message, keep it
            transaction.mark(key, user, until=now + 7 * DAY)

The file, its locks and their order are Dovecot's, whose Sieve (vacation, duplicate, redirect) writes the
same file. `key` says what was done to which message, `user` for whom. A key is locked from `seen` to the end
of the transaction: two deliveries of one message do not both find that they are the first. Marks are written
when the block ends, and forgotten when it raises.

A database that cannot be read or written is logged and has nothing in it: no mail is kept back because of it.
"""

import fcntl
import hashlib
import os
import struct
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from pydovecot.base.dotlock import Dotlock, LockTimeout
from pydovecot.base.replace_file import replace_file

FILE_NAME: Final = ".dovecot.lda-dupes"
VERSION: Final = 2
OLDEST_FORMAT_FROM: Final = VERSION + 10  # version 1.0 had no header: the file began with a time
MAX_FIELD: Final = 4096  # octets of a key or a user name
MAX_FILE: Final = 1 << 24
MAX_KEYS_LOCKED: Final = 100
DATABASE_LOCK_SECS: Final = 20
DATABASE_STALE_SECS: Final = 10
KEY_LOCK_SECS: Final = 65
_HEADER: Final = struct.Struct("=I")
_RECORD: Final = struct.Struct("=III")  # time, octets of key and user
_OLD_RECORD: Final = struct.Struct("@lII")
_POLL_SECS: Final = 0.05

Entry = tuple[bytes, bytes]  # key, and user in lower case


class CannotLock(Exception):
    """Another delivery is busy with the same key, or there are too many: not known, so better try later."""


class Duplicates:
    """The database of one user. `lock_folder`: VOLATILEDIR of mail_location, else the home."""

    def __init__(
        self,
        home: str,
        log_error: Callable[[str], None],
        *,
        lock_folder: str = "",
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.path = f"{home}/{FILE_NAME}"
        self.lock_folder = f"{lock_folder or home}/{FILE_NAME}.locks"
        self.log_error, self.clock = log_error, clock

    @contextmanager
    def transaction(self) -> "Iterator[Transaction]":
        """Questions and marks of one delivery."""
        transaction = Transaction(self)
        try:
            yield transaction
            transaction.write()
        finally:
            transaction.unlock()

    def lock(self) -> Dotlock:
        """Who has it may replace the file."""
        return Dotlock(self.path, timeout=DATABASE_LOCK_SECS, stale=DATABASE_STALE_SECS)

    def read(self) -> tuple[dict[Entry, tuple[int, bytes]], tuple[int, int]]:
        """What is there and not over yet: time and user as written, by entry; which file that was."""
        try:
            with open(self.path, "rb") as stream:
                status = os.fstat(stream.fileno())
                data = stream.read(MAX_FILE + 1)
        except FileNotFoundError:
            return {}, (0, 0)
        except OSError as exc:
            self.log_error(f"open({self.path}) failed: {exc.strerror}")
            return {}, (0, 0)
        try:
            records = list(_records(data))
        except ValueError as exc:
            self.log_error(f"{exc} {self.path}")
            _unlink(self.path)
            records = []
        now = int(self.clock())
        found = {(key, user.lower()): (until, user) for until, key, user in records if until >= now}
        return found, (status.st_dev, status.st_ino)


class Transaction:
    """See Duplicates.transaction."""

    def __init__(self, database: Duplicates) -> None:
        self._database = database
        self._entries, self._file = database.read()
        self._marks: dict[Entry, tuple[int, bytes]] = {}
        self._locks: dict[bytes, tuple[str, int]] = {}

    def seen(self, key: bytes, user: str) -> bool:
        """True if that was done for the user, and not too long ago. Raises CannotLock."""
        self._lock(key)
        try:
            status = os.stat(self._database.path)
        except OSError:
            pass
        else:
            if (status.st_dev, status.st_ino) != self._file:
                self._entries, self._file = self._database.read()
        entry = _entry(key, user)
        return entry in self._marks or entry in self._entries

    def mark(self, key: bytes, user: str, until: float) -> None:
        """It is done; `seen` says so until then. ValueError for what the file cannot hold."""
        raw = user.encode()
        if not (0 < len(key) <= MAX_FIELD and 0 < len(raw) <= MAX_FIELD):
            raise ValueError("key or user name is empty or too long")
        self._marks[_entry(key, user)] = (min(int(until), 0xFFFFFFFF), raw)

    def write(self) -> None:
        """Put the marks into the file, beside what others have written meanwhile."""
        if not self._marks:
            return
        database = self._database
        try:
            with database.lock():
                entries = database.read()[0] | self._marks
                with replace_file(database.path) as out:
                    out.write(_HEADER.pack(VERSION))
                    for (key, _), (until, user) in entries.items():
                        out.write(_RECORD.pack(until, len(key), len(user)) + key + user)
        except LockTimeout:
            text = f"Creating lock file for {database.path} timed out in {DATABASE_LOCK_SECS} secs"
            database.log_error(text)
        except OSError as exc:
            database.log_error(f"write({database.path}) failed: {exc.strerror}")

    def unlock(self) -> None:
        """Others may ask for the keys."""
        for path, fd in self._locks.values():
            _unlink(path)
            os.close(fd)
        self._locks.clear()

    def _lock(self, key: bytes) -> None:
        if key in self._locks:
            return
        if len(self._locks) >= MAX_KEYS_LOCKED:
            raise CannotLock("Too many duplicate IDs locked")
        folder = self._database.lock_folder
        path = f"{folder}/duplicate.lock.{hashlib.md5(key, usedforsecurity=False).hexdigest()}"
        try:
            os.makedirs(folder, 0o700, exist_ok=True)
            self._locks[key] = path, _lock_file(path)
        except OSError as exc:  # TimeoutError is one
            self._database.log_error(f"Failed to lock {path}: {exc.strerror}")
            raise CannotLock(path) from exc


def _lock_file(path: str) -> int:
    """The descriptor of the file, which is locked and has that name. TimeoutError, OSError."""
    deadline = time.monotonic() + KEY_LOCK_SECS
    while True:
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            fcntl.lockf(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.path.samestat(os.fstat(fd), os.stat(path)):
                return fd
        except FileNotFoundError:
            pass  # who had the lock has removed the file: again
        except (BlockingIOError, PermissionError):
            if time.monotonic() >= deadline:
                os.close(fd)
                raise TimeoutError(0, f"Lock timeout in {KEY_LOCK_SECS} secs") from None
            time.sleep(_POLL_SECS)
        except BaseException:
            os.close(fd)
            raise
        os.close(fd)


def _records(data: bytes) -> Iterator[tuple[int, bytes, bytes]]:
    """(until, key, user). ValueError in Dovecot's words."""
    if not data:
        return
    if len(data) < _HEADER.size or len(data) > MAX_FILE:
        raise ValueError("broken mail_duplicate file")
    (version,) = _HEADER.unpack_from(data)
    record, at = _RECORD, _HEADER.size
    if version == 0 or version > OLDEST_FORMAT_FROM:
        record, at = _OLD_RECORD, 0
    elif version != VERSION:
        raise ValueError("unknown version of")
    while at < len(data):
        if len(data) - at < record.size:
            return  # as Dovecot: what is no whole record ends the file
        until, key_size, user_size = record.unpack_from(data, at)
        at += record.size
        if not (0 < key_size <= MAX_FIELD and 0 < user_size <= MAX_FIELD):
            raise ValueError("broken mail_duplicate file")
        end = at + key_size + user_size
        if end > len(data):
            raise ValueError("unexpected end of file in")
        yield until & 0xFFFFFFFF, data[at : at + key_size], data[at + key_size : end]
        at = end


def _entry(key: bytes, user: str) -> Entry:
    return key, user.encode().lower()


def _unlink(path: str) -> None:
    try:
        os.unlink(path)
    except OSError:
        pass  # gone already, or not ours to remove
