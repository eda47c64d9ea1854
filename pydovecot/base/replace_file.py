"""Files that change all at once or not at all."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO


@contextmanager
def replace_file(
    path: str, *, mode: int = 0o600, gid: int = -1, fsync: bool = False, temp: str = ""
) -> Iterator[BinaryIO]:
    """Write `path` anew: readers see the old file or the whole new one; an exception leaves the old one.

    The temporary file (`temp`, else path.tmp.PID) must not be written by two at once: hold a lock.
    """
    temp = temp or f"{path}.tmp.{os.getpid()}"
    fd = os.open(temp, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        with open(fd, "wb") as out:
            os.fchmod(fd, mode)
            if gid != -1:
                try:
                    os.fchown(fd, -1, gid)
                except PermissionError:
                    # We are not of that group: then the group gets no more than others have.
                    os.fchmod(fd, mode & ~0o070 | (mode & 0o007) << 3)
            yield out
            out.flush()
            if fsync:
                os.fsync(fd)
        os.rename(temp, path)
    except BaseException:
        try:
            os.unlink(temp)
        except FileNotFoundError:
            pass
        raise
    if fsync:
        sync_directory(os.path.dirname(path) or ".")


def sync_directory(path: str) -> None:
    """Make the names in a directory durable."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
