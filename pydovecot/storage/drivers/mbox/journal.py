"""Changing a stretch of a file so that a process killed in between has changed all of it or nothing.

A file in /var/mail cannot be replaced by rename, so the new octets are first written into a journal beside
the index, with checksums of the pages as they were and as they will be, and then into the file. Whoever locks
the mailbox next finds the journal and does the rest (`recover`). Programs that know nothing of it may have
appended meanwhile: what they added stays. If they have rewritten the file, no page
is what it was, and the journal is set aside.

    magic, device, inode, offset, old length, new length, page checksums (old, new), data
"""

import errno
import os
import struct
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from pydovecot.base.replace_file import sync_directory
from pydovecot.model.errors import Code, DiskFullError, InternalError, UserError

MAGIC: Final = b"pydovecot mbox journal 1\n"
PAGE: Final = 4096
BLOCK: Final = 1 << 20  # octets copied at once
_HEAD: Final = struct.Struct("<QQQQQQ")
_CRC: Final = struct.Struct("<II")

# New content: octets, or a range of the file as it is.
Piece = bytes | tuple[int, int]


def _pages(offset: int, length: int) -> Iterator[tuple[int, int]]:
    """The range cut at page boundaries of the file."""
    end = offset + length
    while offset < end:
        stop = min(end, (offset // PAGE + 1) * PAGE)
        yield offset, stop
        offset = stop


@dataclass(frozen=True, slots=True)
class _Plan:
    """What a journal says."""

    device: int
    inode: int
    offset: int
    old: int
    new: int
    checks: Sequence[tuple[int, int]]
    data_at: int  # in the journal

    @property
    def reach(self) -> int:
        return max(self.old, self.new)


def replace(
    fd: int, path: str, offset: int, old: int, pieces: Sequence[Piece], *, fsync: bool, mode: int = 0o600
) -> None:
    """Put `pieces` in place of `old` octets at `offset`; of another length only at the end of the file.

    `path` is the journal's. DiskFullError: nothing has changed.
    """
    _write(fd, path, offset, old, pieces, fsync=fsync, mode=mode)
    journal = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        plan = _read(journal)
        assert plan is not None
        _redo(fd, path, journal, plan, fsync=fsync)
    finally:
        os.close(journal)


def _length(piece: Piece) -> int:
    return len(piece) if isinstance(piece, bytes) else piece[1] - piece[0]


def _write(
    fd: int, path: str, offset: int, old: int, pieces: Sequence[Piece], *, fsync: bool, mode: int
) -> None:
    new = sum(map(_length, pieces))
    reach = max(old, new)
    found = os.fstat(fd)
    count = sum(1 for _ in _pages(offset, reach))
    data_at = len(MAGIC) + _HEAD.size + 8 + count * _CRC.size
    temp = path + ".tmp"
    try:
        os.makedirs(os.path.dirname(path), 0o700, exist_ok=True)
        with open(temp, "wb", opener=lambda name, flags: os.open(name, flags | os.O_CLOEXEC, mode)) as out:
            out.seek(data_at)
            for piece in pieces:
                if isinstance(piece, bytes):
                    out.write(piece)
                    continue
                low, high = piece
                while low < high:
                    block = os.pread(fd, min(BLOCK, high - low), low)
                    if not block:
                        raise InternalError("mbox: the file became shorter while it was locked")
                    out.write(block)
                    low += len(block)
            out.flush()
            with open(temp, "rb") as data:
                checks = [
                    _CRC.pack(
                        zlib.crc32(_old_page(fd, low, high, offset + old)),
                        zlib.crc32(_new_page(fd, data, data_at, offset, new, low, high)),
                    )
                    for low, high in _pages(offset, reach)
                ]
            out.seek(0)
            out.write(MAGIC + _HEAD.pack(found.st_dev, found.st_ino, offset, old, new, count))
            out.write(struct.pack("<Q", zlib.crc32(b"".join(checks))) + b"".join(checks))
            out.flush()
            if fsync:
                os.fsync(out.fileno())
        os.rename(temp, path)
        if fsync:
            sync_directory(os.path.dirname(path))
    except OSError as exc:
        try:
            os.unlink(temp)
        except FileNotFoundError:
            pass
        raise failure(exc) from exc


def _old_page(fd: int, low: int, high: int, end: int) -> bytes:
    """Zeros where the file did not reach."""
    data = os.pread(fd, max(0, min(high, end) - low), low)
    return data + bytes(high - low - len(data))


def _new_page(fd: int, data: object, data_at: int, offset: int, new: int, low: int, high: int) -> bytes:
    journal = data.fileno()  # type: ignore[attr-defined]
    part = os.pread(journal, max(0, min(high, offset + new) - low), data_at + low - offset)
    if len(part) < high - low:  # the old end is still there until the file is cut
        part += os.pread(fd, high - low - len(part), low + len(part))
    return part


def _read(journal: int) -> _Plan | None:
    """None: not complete."""
    start = len(MAGIC) + _HEAD.size + 8
    head = os.pread(journal, start, 0)
    if len(head) < start or not head.startswith(MAGIC):
        return None
    device, inode, offset, old, new, count = _HEAD.unpack_from(head, len(MAGIC))
    size = os.fstat(journal).st_size
    if start + count * _CRC.size + new != size:
        return None
    table = os.pread(journal, count * _CRC.size, start)
    if zlib.crc32(table) != struct.unpack_from("<Q", head, start - 8)[0]:
        return None
    return _Plan(device, inode, offset, old, new, list(_CRC.iter_unpack(table)), start + len(table))


def _redo(fd: int, path: str, journal: int, plan: _Plan, *, fsync: bool) -> None:
    size = os.fstat(fd).st_size
    grow = plan.offset + plan.new - size
    if grow > 0:
        try:
            os.posix_fallocate(fd, size, grow)
        except OSError as exc:
            if exc.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
                os.ftruncate(fd, size)
                os.unlink(path)
                raise failure(exc) from exc
            os.ftruncate(fd, size + grow)  # a file system that cannot
    try:
        done = 0
        while done < plan.new:
            block = os.pread(journal, min(BLOCK, plan.new - done), plan.data_at + done)
            if not block:
                raise InternalError(f"{path}: broken")
            written = 0
            while written < len(block):
                written += os.pwrite(fd, block[written:], plan.offset + done + written)
            done += len(block)
        if plan.new < plan.old:
            _cut(fd, plan)
        if fsync:
            os.fdatasync(fd)
    except OSError as exc:
        raise failure(exc) from exc  # the journal stays
    os.unlink(path)


def _cut(fd: int, plan: _Plan) -> None:
    os.ftruncate(fd, plan.offset + plan.new)


def recover(fd: int, path: str, *, fsync: bool, mode: int = 0o600) -> str:
    """Finish what somebody began who has died (under a write lock). What to log; "" when all is well."""
    try:
        journal = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return ""
    try:
        plan = _read(journal)
        found = os.fstat(fd)
        if plan is None or (plan.device, plan.inode) != (found.st_dev, found.st_ino):
            os.unlink(path)  # another file is there now
            return ""
        return _recover(fd, path, journal, plan, found.st_size, fsync=fsync, mode=mode)
    finally:
        os.close(journal)


def _recover(fd: int, path: str, journal: int, plan: _Plan, size: int, *, fsync: bool, mode: int) -> str:
    end = plan.offset + plan.reach
    if plan.new < plan.old and _holds(fd, journal, plan) and not _tail_is_old(fd, plan, size):
        os.unlink(path)  # all was done
        return ""
    kinds = [
        _kind(zlib.crc32(_old_page(fd, low, high, size)), check)
        for (low, high), check in zip(_pages(plan.offset, plan.reach), plan.checks, strict=True)
    ]
    if all(kind & 1 for kind in kinds) and size != end:
        # Nothing was written yet; if the file is longer, others have appended since, or it had grown already.
        if size > end and plan.new > plan.old:
            _redo(fd, path, journal, plan, fsync=fsync)
        else:
            if plan.offset + plan.old < size < end:
                return _aside(path)
            os.unlink(path)
        return ""
    if not all(kinds):
        untouched = all(
            zlib.crc32(os.pread(fd, high - low, low)) == old
            for (low, high), (old, _) in zip(_pages(plan.offset, plan.reach), plan.checks, strict=True)
            if high <= plan.offset + plan.old
        )
        if untouched and plan.new > plan.old:
            os.unlink(path)  # it had not grown when others appended
            return ""
        return _aside(path)
    if size > end and plan.new < plan.old:
        # Others have appended behind what is to be cut off.
        _finish_before(fd, path, journal, plan, size, fsync=fsync, mode=mode)
        return ""
    _redo(fd, path, journal, plan, fsync=fsync)
    return ""


def _kind(crc: int, check: tuple[int, int]) -> int:
    """Bit 0: as it was, bit 1: as it will be."""
    return (crc == check[0]) + 2 * (crc == check[1])


def _holds(fd: int, journal: int, plan: _Plan) -> bool:
    """All new octets are in the file."""
    done = 0
    while done < plan.new:
        block = os.pread(journal, min(BLOCK, plan.new - done), plan.data_at + done)
        if not block or os.pread(fd, len(block), plan.offset + done) != block:
            return False
        done += len(block)
    return True


def _tail_is_old(fd: int, plan: _Plan, size: int) -> bool:
    """What is to be cut off is still there."""
    if size < plan.offset + plan.old:
        return False
    return all(
        zlib.crc32(os.pread(fd, high - low, low)) in check
        for (low, high), check in zip(_pages(plan.offset, plan.reach), plan.checks, strict=True)
        if high > plan.offset + plan.new
    )


def _finish_before(
    fd: int, path: str, journal: int, plan: _Plan, size: int, *, fsync: bool, mode: int
) -> None:
    data = os.pread(journal, plan.new, plan.data_at)
    added = (plan.offset + plan.old, size)
    replace(fd, path, plan.offset, size - plan.offset, [data, added], fsync=fsync, mode=mode)


def _aside(path: str) -> str:
    lost = f"{path}.lost"
    os.rename(path, lost)
    return f"The mailbox was rewritten by another program after a crash; what was to be written is in {lost}"


def failure(exc: OSError) -> Exception:
    """What the user is told."""
    if exc.errno in (errno.ENOSPC, errno.EFBIG):
        return DiskFullError()
    if exc.errno == errno.EDQUOT:
        return UserError(Code.OVERQUOTA, "Not enough disk space")
    if exc.errno in (errno.EACCES, errno.EROFS, errno.EPERM):
        return UserError(Code.NOPERM, "Permission denied")
    return InternalError(f"{exc.filename}: {exc.strerror}")
