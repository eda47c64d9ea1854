"""Locks on an mbox that other programs respect: dotlock, fcntl, flock and lockf, in the configured order."""

import errno
import fcntl
import grp
import os
import struct
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Final

from pydovecot.base import eacces
from pydovecot.base.dotlock import Dotlock, LockTimeout
from pydovecot.base.privileges import with_group
from pydovecot.model.errors import InternalError
from pydovecot.storage.api import MailboxGoneError

KINDS: Final = ("dotlock", "dotlock_try", "fcntl", "flock", "lockf")
FIRST_WAIT_SECS: Final = 0.001
LONGEST_WAIT_SECS: Final = 0.05
F_OFD_SETLK: Final[int] = getattr(fcntl, "F_OFD_SETLK", 37)  # glibc 2.17 (RHEL 7) has no name for it
# An ordinary user's process, such as dovecot-lda without a server, cannot become a member of a group.
NOT_PRIVILEGED: Final = (
    " (mail_privileged_group has no effect: setegid(privileged) failed: Operation not permitted)"
)
TIMEOUT_SHOWN: Final = "Timeout while waiting for lock"


@dataclass(frozen=True, slots=True)
class LockRules:
    """Kinds in their order."""

    read: tuple[str, ...]
    write: tuple[str, ...]
    timeout_secs: float
    stale_secs: float
    privileged_gid: int = -1

    @classmethod
    def configured(
        cls, read: str, write: str, timeout_secs: float, stale_secs: float, privileged_gid: int = -1
    ) -> "LockRules":
        """From the settings; InternalError in Dovecot's words."""
        rules = cls(
            _kinds("mbox_read_locks", read), _kinds("mbox_write_locks", write),
            timeout_secs, stale_secs, privileged_gid,
        )  # fmt: skip
        places = [rules.write.index(kind) if kind in rules.write else -1 for kind in rules.read]
        if -1 in places or places != sorted(places):
            raise InternalError(
                "mbox read/write lock list settings are invalid. Lock ordering must be the same with both, "
                "and write locks must contain all read locks (and possibly more)"
            )
        return rules


def _kinds(setting: str, value: str) -> tuple[str, ...]:
    kinds = tuple(value.lower().split())
    for at, kind in enumerate(kinds):
        if kind not in KINDS:
            raise InternalError(f"{setting}: Invalid value {kind}")
        if kind in kinds[:at]:
            raise InternalError(f"{setting}: Duplicated value {kind}")
    return kinds


@contextmanager
def locked(path: str, rules: LockRules, *, write: bool) -> Iterator[tuple[int, bool]]:
    """An open descriptor of the file, locked, and whether it may be written to.

    A file that may only be read gets no write locks. Raises MailboxGoneError when there is no file.
    """
    deadline = time.monotonic() + rules.timeout_secs
    while True:
        with ExitStack() as stack:
            fd, writable = _open(path, write)
            stack.callback(os.close, fd)
            kinds = rules.write if write and writable else rules.read
            for kind in kinds:
                if kind.startswith("dotlock"):
                    _dotlock(stack, path, rules, deadline, required=kind == "dotlock" and writable)
                else:
                    _lock_fd(fd, kind, write and writable, deadline, path)
            if _same(path, fd):
                yield fd, writable
                return
        # Somebody has put another file in its place meanwhile.
        if time.monotonic() > deadline:
            raise InternalError(f"Timed out waiting for {path}", shown=TIMEOUT_SHOWN)


def _open(path: str, write: bool) -> tuple[int, bool]:
    try:
        if write:
            try:
                return os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NONBLOCK), True
            except OSError as exc:
                if exc.errno not in (errno.EACCES, errno.EROFS, errno.EPERM):
                    raise
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK), False
    except (FileNotFoundError, NotADirectoryError) as exc:
        raise MailboxGoneError(path) from exc
    except OSError as exc:
        raise InternalError(f"open({path}) failed: {exc.strerror}") from exc


def _same(path: str, fd: int) -> bool:
    try:
        now = os.stat(path)
    except FileNotFoundError as exc:
        raise MailboxGoneError(path) from exc
    mine = os.fstat(fd)
    return (now.st_dev, now.st_ino) == (mine.st_dev, mine.st_ino)


def _lock_fd(fd: int, kind: str, exclusive: bool, deadline: float, path: str) -> None:
    wait = FIRST_WAIT_SECS
    while not _try_lock(fd, kind, exclusive):
        if time.monotonic() >= deadline:
            raise InternalError(f"Timed out waiting for {kind} lock on {path}", shown=TIMEOUT_SHOWN)
        time.sleep(wait)
        wait = min(wait * 2, LONGEST_WAIT_SECS)


def _try_lock(fd: int, kind: str, exclusive: bool) -> bool:
    try:
        if kind == "flock":
            fcntl.flock(fd, (fcntl.LOCK_EX if exclusive else fcntl.LOCK_SH) | fcntl.LOCK_NB)
        else:
            _fcntl_lock(fd, fcntl.F_WRLCK if exclusive else fcntl.F_RDLCK)
    except OSError as exc:
        if exc.errno in (errno.EAGAIN, errno.EACCES):
            return False
        raise InternalError(f"{kind} lock failed: {exc.strerror}") from exc
    return True


def _fcntl_lock(fd: int, request: int) -> None:
    """A lock of the open file, not of the process: another session in this process is another owner, and
    closing some other descriptor of the file does not end it. Others see an fcntl lock.

    Linux before 3.15 knows only locks of processes.
    """
    whole_file = struct.pack("hhqqi4x", request, os.SEEK_SET, 0, 0, 0)
    try:
        fcntl.fcntl(fd, F_OFD_SETLK, whole_file)
    except OSError as exc:
        if exc.errno != errno.EINVAL:
            raise
        fcntl.fcntl(fd, fcntl.F_SETLK, whole_file)


def _dotlock(stack: ExitStack, path: str, rules: LockRules, deadline: float, *, required: bool) -> None:
    wait = max(0.0, deadline - time.monotonic())
    lock = Dotlock(path, timeout=wait, stale=rules.stale_secs, guards=path)
    try:
        lock.acquire()
        stack.callback(lock.release)
        return
    except LockTimeout as exc:
        raise InternalError(str(exc), shown=TIMEOUT_SHOWN) from exc
    except OSError as exc:
        denied = exc
    useless = ""
    if denied.errno in (errno.EACCES, errno.EPERM) and rules.privileged_gid >= 0 and os.access(path, os.R_OK):
        try:
            with ExitStack() as group:
                useless = NOT_PRIVILEGED
                group.enter_context(with_group(rules.privileged_gid))
                useless = ""
                lock.acquire()
            stack.callback(_release_with_group, lock, rules.privileged_gid)
            return
        except LockTimeout as exc:
            raise InternalError(str(exc), shown=TIMEOUT_SHOWN) from exc
        except OSError as exc:
            denied = denied if useless else exc
    if required:
        raise InternalError(_why_denied(path, denied, useless))


def _release_with_group(lock: Dotlock, gid: int) -> None:
    with with_group(gid):
        lock.release()


def _why_denied(path: str, exc: OSError, useless: str) -> str:
    """Dovecot's words, with the setting that helps, or why it does not."""
    text = f"file_dotlock_create({path}) failed: {exc.strerror}"
    directory = os.path.dirname(path) or "."
    if exc.errno not in (errno.EACCES, errno.EPERM):
        return text
    try:
        found = os.stat(directory)
        group = grp.getgrgid(found.st_gid).gr_name
    except (OSError, KeyError):
        return text
    text += f" {eacces.explain(path)}{useless}"
    if useless:
        return text
    if found.st_mode & 0o022 == 0o020:
        return f"{text} (set mail_privileged_group={group})"
    return f"{text} (nonstandard permissions in {directory})"
