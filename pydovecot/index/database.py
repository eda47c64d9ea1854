"""Opening the index database, transactions, and what happens when it is broken: it is made anew."""

import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

import apsw

from pydovecot.index.schema import TABLES, VERSION
from pydovecot.model.errors import DiskFullError, InternalError

BUSY_MSECS: Final = (
    60_000  # the longest that one process holds the write lock is a first scan of a huge mailbox
)
BUSY_PAUSE_SECS: Final = 0.002
CHECKPOINT_PAGES: Final = 100  # at close: a longer WAL makes the next open slow (about 1.2 us a page)
_BROKEN: Final = (apsw.CorruptError, apsw.NotADBError)
MEMORY: Final = ":memory:"


def _begin_wal(connection: apsw.Connection) -> None:
    """Of several processes that open a new file at once one changes its mode; SQLite makes nobody wait."""
    end = time.monotonic() + BUSY_MSECS / 1000
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            return
        except apsw.BusyError:
            if time.monotonic() > end:
                raise
            time.sleep(BUSY_PAUSE_SECS)


class Database:
    """A connection. Not shared between threads; must not be carried across a fork."""

    def __init__(self, path: str, *, mode: int = 0o600, gid: int = -1) -> None:
        self.path = path
        self._mode, self._gid = mode, gid
        self._depth = 0
        self._connection = self._open()
        self._inode = self._current_inode()

    def _open(self) -> apsw.Connection:
        try:
            return self._connect()
        except _BROKEN:
            self.remove()
            return self._connect()

    def _connect(self) -> apsw.Connection:
        if self.path != MEMORY:
            self._create()
        connection = apsw.Connection(self.path)
        try:
            connection.setbusytimeout(BUSY_MSECS)
            connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
            connection.execute("PRAGMA synchronous = NORMAL; PRAGMA temp_store = MEMORY")
            version = connection.execute("PRAGMA user_version").fetchall()[0][0]
            if version != VERSION:
                self._make_tables(connection)
        except BaseException:
            connection.close()
            raise
        return connection

    def _create(self) -> None:
        """Make an empty file with the mail's permissions; SQLite gives WAL and SHM the same."""
        try:
            fd = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, self._mode)
        except FileExistsError:
            return
        except FileNotFoundError:
            os.makedirs(os.path.dirname(self.path), 0o700, exist_ok=True)
            fd = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, self._mode)
        try:
            os.fchmod(fd, self._mode)
            if self._gid != -1:
                os.fchown(fd, -1, self._gid)
        except PermissionError:
            pass
        finally:
            os.close(fd)

    @staticmethod
    def _make_tables(connection: apsw.Connection) -> None:
        _begin_wal(connection)
        connection.execute("BEGIN IMMEDIATE")
        try:
            if connection.execute("PRAGMA user_version").fetchall()[0][0] != VERSION:
                for (table,) in connection.execute(
                    "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"
                ).fetchall():
                    connection.execute(f'DROP TABLE "{table}"')
                connection.execute(TABLES)
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise

    def remove(self) -> None:
        """Delete the files; others that have them open notice by `is_current`."""
        for suffix in ("", "-wal", "-shm"):
            try:
                os.unlink(self.path + suffix)
            except FileNotFoundError:
                pass

    def _current_inode(self) -> int:
        try:
            return os.stat(self.path).st_ino if self.path != MEMORY else 0
        except FileNotFoundError:
            return -1

    def refresh(self) -> bool:
        """Open again if the files were deleted or replaced; True when they were."""
        if self._depth or self._current_inode() == self._inode:
            return False
        self._connection.close()
        self._connection = self._open()
        self._inode = self._current_inode()
        return True

    def execute(self, sql: str, bindings: Sequence[Any] = ()) -> apsw.Cursor:
        """Run one statement. A broken database is removed, so that the next open makes a new one."""
        try:
            return self._connection.execute(sql, bindings)
        except _BROKEN as exc:
            raise self._broken(exc) from exc

    def executemany(self, sql: str, bindings: Iterator[Sequence[Any]] | Sequence[Sequence[Any]]) -> None:
        """Run one statement for many rows."""
        try:
            self._connection.executemany(sql, bindings)
        except _BROKEN as exc:
            raise self._broken(exc) from exc

    def rows(self, sql: str, bindings: Sequence[Any] = ()) -> list[Any]:
        """All rows of a query."""
        try:
            return self._connection.execute(sql, bindings).fetchall()
        except _BROKEN as exc:
            raise self._broken(exc) from exc

    def row(self, sql: str, bindings: Sequence[Any] = ()) -> Any:
        """The first row, or None."""
        found = self.rows(sql, bindings)
        return found[0] if found else None

    def _broken(self, exc: Exception) -> InternalError:
        self.remove()
        return InternalError(f"Index {self.path} is broken and will be made anew: {exc}")

    @contextmanager
    def write(self) -> Iterator[None]:
        """A write transaction: one process at a time. Inside another one it is part of that."""
        if self._depth:
            self._depth += 1
            try:
                yield
            finally:
                self._depth -= 1
            return
        try:
            self._connection.execute("BEGIN IMMEDIATE")
        except apsw.BusyError as exc:
            raise InternalError(f"Timed out waiting for the index {self.path}") from exc
        except apsw.FullError as exc:
            raise DiskFullError from exc
        except _BROKEN as exc:
            raise self._broken(exc) from exc
        self._depth = 1
        try:
            yield
            self._connection.execute("COMMIT")
        except BaseException as exc:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            if isinstance(exc, apsw.FullError):
                raise DiskFullError from exc
            raise
        finally:
            self._depth = 0

    @contextmanager
    def read(self) -> Iterator[None]:
        """All reads inside see one state of the database."""
        if self._connection.in_transaction:
            yield
            return
        self._connection.execute("BEGIN")
        try:
            yield
        finally:
            self._connection.execute("COMMIT")

    def close(self) -> None:
        """Close; a long WAL is written back first."""
        if self.path != MEMORY:
            try:
                if os.stat(self.path + "-wal").st_size > CHECKPOINT_PAGES * 4096:
                    self._connection.setbusytimeout(0)  # whoever is busy there does it when he closes
                    self._connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
            except (OSError, apsw.Error):
                pass
        self._connection.close()
