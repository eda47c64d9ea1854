"""Lock files beside what they protect, understood by Dovecot and by most programs that touch mail.

`path`.lock holds "PID:HOST". A lock is stale when its process is gone (same host), or when the file has not
changed for `stale` seconds.
"""

import errno
import os
import time
from types import TracebackType
from typing import Final

TIMEOUT_SECS: Final = 120  # Dovecot: waits two minutes for dovecot-uidlist.lock
STALE_SECS: Final = 120  # Dovecot: MAILDIR_DOTLOCK_STALE_TIMEOUT
# RHEL 7's C library has no name for it. A kernel that does not know it opens a directory for writing: EISDIR.
O_TMPFILE: Final[int] = getattr(os, "O_TMPFILE", 0o20000000 | os.O_DIRECTORY)
MAX_LOCK_FILE: Final = 512  # bytes of PID:HOST worth reading
_FIRST_WAIT: Final = 0.0005
_LONGEST_WAIT: Final = 0.05


class LockTimeout(Exception):
    """Somebody else holds the lock."""


class Dotlock:
    """`with Dotlock("/mail/dovecot-uidlist"): ...`. Not for two threads; OSError if it cannot be made.

    `stale` seconds without a change make a lock file one that was left over; with `guards` a change of that
    file shows, too, that somebody is at work.
    """

    def __init__(
        self, path: str, *, timeout: float = TIMEOUT_SECS, stale: float = STALE_SECS, mode: int = 0o600,
        guards: str = "",
    ) -> None:  # fmt: skip
        self.path = path + ".lock"
        self._guards = guards
        self._timeout, self._stale, self._mode = timeout, stale, mode
        self._inode = 0
        self._directory = -1  # the lock goes with it when it is renamed
        self._seen: tuple[int, ...] = ()  # inode and times of a foreign lock, and since when unchanged
        self._seen_at = 0.0

    def __enter__(self) -> "Dotlock":
        self.acquire()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()

    def acquire(self) -> None:
        """Wait for the lock; LockTimeout after `timeout` seconds."""
        deadline = time.monotonic() + self._timeout
        wait = _FIRST_WAIT
        while not self.try_acquire():
            if self._break_stale():
                continue
            if time.monotonic() >= deadline:
                raise LockTimeout(f"Timed out waiting for {self.path}")
            time.sleep(wait)
            wait = min(wait * 2, _LONGEST_WAIT)

    def try_acquire(self) -> bool:
        """Take the lock if it is free."""
        if os.path.lexists(self.path):
            return False
        self._open_directory()
        try:
            fd = self._create()
        except FileExistsError:
            self._close_directory()
            return False
        except BaseException:
            self._close_directory()
            raise
        self._inode = os.fstat(fd).st_ino
        os.close(fd)
        return True

    def _open_directory(self) -> None:
        """Before the lock is made, so that it is found again wherever somebody moves it."""
        if self._directory < 0:
            self._directory = os.open(
                os.path.dirname(self.path) or ".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
            )

    def _close_directory(self) -> None:
        if self._directory >= 0:
            os.close(self._directory)
            self._directory = -1

    def _create(self) -> int:
        """Make the lock file with its content in one step: killed in between, nobody knew whose it is."""
        owner = _owner()
        try:
            directory = os.path.dirname(self.path) or "."
            fd = os.open(directory, os.O_WRONLY | O_TMPFILE | os.O_CLOEXEC, self._mode)
            try:
                os.write(fd, owner)
                # With a descriptor (meaningless beside an absolute path) Python takes linkat, which follows.
                os.link(f"/proc/self/fd/{fd}", self.path, src_dir_fd=fd, follow_symlinks=True)
            except BaseException:
                os.close(fd)
                raise
            return fd
        except FileExistsError:
            raise
        except OSError as exc:
            # No O_TMPFILE on this file system, or no /proc in this chroot. Real errors come again below.
            if exc.errno in (errno.ENOSPC, errno.EDQUOT):
                raise
        fd = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, self._mode)
        os.write(fd, owner)
        return fd

    def release(self) -> None:
        """Let go. A lock that somebody took from us as stale is left alone."""
        name, directory = os.path.basename(self.path), self._directory
        try:
            found = os.stat(name, dir_fd=directory, follow_symlinks=False) if self._inode else None
            # The number may have been given to the next lock file: its content tells.
            if found and found.st_ino == self._inode and _read(name, directory) == _owner():
                os.unlink(name, dir_fd=directory)
        except FileNotFoundError:
            pass
        self._inode = 0
        self._close_directory()

    def _break_stale(self) -> bool:
        """Remove the lock if its owner is gone. True: try again at once."""
        try:
            found = os.lstat(self.path)
            if not self._is_stale(found):
                return False
            # Two may find it stale at once: only who renames exactly this file away has removed it.
            aside = f"{self.path}.stale.{os.getpid()}"
            os.rename(self.path, aside)
            if os.lstat(aside).st_ino != found.st_ino:
                _put_back(aside, self.path)
                return False
            os.unlink(aside)
        except FileNotFoundError:
            return True
        return True

    def _is_stale(self, found: os.stat_result) -> bool:
        state: tuple[int, ...] = (found.st_ino, found.st_mtime_ns)
        last = found.st_mtime
        try:
            guarded = os.stat(self._guards) if self._guards else None
        except OSError:
            guarded = None
        if guarded is not None:
            state = (*state, guarded.st_mtime_ns, guarded.st_size)
            last = max(last, guarded.st_mtime)
        now = time.monotonic()
        if state != self._seen:
            self._seen, self._seen_at = state, now
        if now - self._seen_at > self._stale or time.time() - last > self._stale:
            return True
        pid, _, host = _read(self.path).partition(b":")
        return host.strip() == os.fsencode(os.uname().nodename) and pid.isdigit() and not _alive(int(pid))


def _read(path: str, directory: int | None = None) -> bytes:
    """What is in a lock file; b"" if it cannot be read. FileNotFoundError when it is gone."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK, dir_fd=directory)
    except OSError as exc:
        if exc.errno == errno.ENOENT:
            raise
        return b""
    try:
        return os.read(fd, MAX_LOCK_FILE)
    finally:
        os.close(fd)


def _owner() -> bytes:
    return b"%d:%s" % (os.getpid(), os.fsencode(os.uname().nodename))


def _put_back(aside: str, path: str) -> None:
    """A new lock was renamed by mistake: give it its name again unless the next one has come already."""
    try:
        os.link(aside, path)
    except FileExistsError:
        pass
    os.unlink(aside)


def _alive(pid: int) -> bool:
    if pid <= 0:
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        return True
    return True
