"""APPEND: messages are written in tmp/, and appear in new/ or cur/ when all of them are on the disk."""

import contextlib
import errno
import os
import time
from dataclasses import dataclass
from typing import BinaryIO, Protocol

from pydovecot.base.replace_file import sync_directory
from pydovecot.index.mailbox import NewMail
from pydovecot.index.schema import KEYWORD_SHIFT
from pydovecot.model.errors import Code, DiskFullError, InternalError, UserError
from pydovecot.model.flags import FlagSet
from pydovecot.model.numbers import Uid
from pydovecot.storage.api import MailboxGoneError, SavedContent, SaveResult
from pydovecot.storage.attachments import KEYWORDS, Detection
from pydovecot.storage.drivers.maildir import filename, numbering, sync
from pydovecot.storage.drivers.maildir.place import NEW, MaildirPlace
from pydovecot.storage.drivers.maildir.uidlist import Entry, can_hold, format_extra, format_lines
from pydovecot.storage.hooks import Left


@dataclass(slots=True)
class _Pending:
    """One message in tmp/."""

    base: str
    path: str
    bits: int
    received: int | None
    extra: dict[str, str]
    out: BinaryIO | None  # None: a link to a file that is whole already
    size: int = 0  # as stored
    crlf_size: int = 0
    last: bytes = b""  # a CR at the end of the last chunk, held back
    after_cr: bool = False  # the last byte written is a CR
    keywords: frozenset[str] = frozenset()
    moved: bool = False


class Replaced(Protocol):
    """A message that goes when others come, within their transaction."""

    def check(self) -> None:
        """Raise UserError unless it is still there."""
        ...

    def remove(self) -> None:
        """Its successor is on the disk."""
        ...

    def left(self) -> Left | None:
        """What a hook is told of it, with its successor."""
        ...


@dataclass(frozen=True, slots=True)
class _File:
    """Where a message that was just saved is. Somebody may have renamed it meanwhile."""

    path: str
    size: int
    crlf_size: int
    crlf: bool  # stored with CRLF


class MaildirSave:
    """See storage.api.Save."""

    def __init__(self, place: MaildirPlace, *, crlf: bool, detection: Detection | None = None) -> None:
        self._place, self._crlf, self._detection = place, crlf, detection
        self._arrival = place.hook.arriving() if place.hook is not None else None
        self._pending: list[_Pending] = []
        self._current: _Pending | None = None

    def begin(
        self, flags: FlagSet, received: int | None, *, guid: str = "", pop3_uidl: str = "",
        expected: int = 0, moved: bool = False, sender: str | None = None,
    ) -> None:  # fmt: skip
        """Open a file in tmp/."""
        if self._arrival is not None and expected:
            self._arrival.expect(expected)
        place = self._place
        bits = int(flags.system)
        base = place.host.names.next()
        path = f"{place.path}/tmp/{base}"
        try:
            if flags.keywords:
                bits |= place.keyword_bits(flags.keywords, create=True)
            fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        except (FileNotFoundError, MailboxGoneError) as exc:
            raise UserError(Code.NONEXISTENT, "Mailbox was deleted") from exc
        except OSError as exc:
            raise _failed(exc) from exc
        place.host.permissions.apply(fd)
        extra = {}
        if guid:
            extra["G"] = guid
        if can_hold(pop3_uidl):
            extra["P"] = pop3_uidl
        self._current = _Pending(base, path, bits, received, extra, open(fd, "wb", buffering=1 << 16))  # noqa: SIM115
        self._current.keywords, self._current.moved = flags.keywords, moved

    def begin_shared(self, content: SavedContent, flags: FlagSet, received: int | None) -> bool:
        """A hard link in tmp/, where both are in one file system and belong to one user."""
        file = content.reference
        if not isinstance(file, _File) or file.crlf != self._crlf or received is not None:
            return False
        place = self._place
        base = place.host.names.next()
        path = f"{place.path}/tmp/{base}"
        try:
            os.link(file.path, path)
        except OSError:
            return False
        bits = int(flags.system)
        if flags.keywords:
            bits |= place.keyword_bits(flags.keywords, create=True)
        self._current = _Pending(base, path, bits, None, {}, None, file.size, file.crlf_size)
        self._current.keywords = flags.keywords
        return True

    def write(self, chunk: bytes) -> None:
        """Append; line ends become what the Maildir has."""
        current = self._current
        assert current is not None
        data = current.last + bytes(chunk)
        current.last = b""
        if data.endswith(b"\r"):
            data, current.last = data[:-1], b"\r"
        self._put(current, data)

    def _put(self, current: _Pending, data: bytes) -> None:
        data = data.replace(b"\r\n", b"\n")
        # What is left of CR CR LF is a CRLF again; also when its CR ended the chunk before.
        paired = data.count(b"\r\n") + (current.after_cr and data.startswith(b"\n"))
        current.crlf_size += len(data) + data.count(b"\n") - paired
        if data:
            current.after_cr = data.endswith(b"\r")
        if self._crlf:
            data = data.replace(b"\n", b"\r\n")
        current.size += len(data)
        assert current.out is not None
        try:
            current.out.write(data)
        except OSError as exc:
            raise _failed(exc) from exc

    def finish(self) -> None:
        """The file is whole and on the disk; it has its final name except for the directory."""
        current = self._current
        assert current is not None
        if current.last:
            self._put(current, current.last)
        if self._arrival is not None:
            self._arrival.add(current.size, current.crlf_size, moved=current.moved)
        if current.out is not None:
            self._finish_file(current.out, current.received)
        try:
            if current.received is None:
                # What others read from the file, and we when the index is lost: not a second later.
                current.received = int(os.stat(current.path).st_mtime)
            if self._detection is not None and self._detection.wanted(current.keywords):
                self._detect(self._detection, current)
        except (FileNotFoundError, MailboxGoneError) as exc:
            raise UserError(Code.NONEXISTENT, "Mailbox was deleted") from exc
        current.base += f",S={current.size},W={current.crlf_size}"
        self._pending.append(current)
        self._current = None

    def _detect(self, detection: Detection, current: _Pending) -> None:
        with open(current.path, "rb") as stored:
            keywords = detection.keywords(stored.read(), current.keywords)
        self._place.keyword_bits(KEYWORDS, create=True)
        current.bits &= (1 << KEYWORD_SHIFT) - 1
        current.bits |= self._place.keyword_bits(keywords, create=True)

    @property
    def place(self) -> MaildirPlace:
        """Where the messages will be."""
        return self._place

    def _finish_file(self, out: BinaryIO, received: int | None) -> None:
        try:
            out.flush()
            if received is not None:
                os.utime(out.fileno(), (received, received))
            if self._place.host.fsync:
                os.fsync(out.fileno())
            out.close()
        except OSError as exc:
            raise _failed(exc) from exc

    def commit(self, replaced: Replaced | None = None) -> SaveResult:
        """Rename, number, and let the index know; in the same transaction a replaced message goes."""
        moved: list[tuple[str, str]] = []
        try:
            return self._commit(replaced, moved)
        except DiskFullError:
            if replaced is None:  # else the old message may be gone already: the new one stays
                _take_back(moved)
            raise
        except (MailboxGoneError, FileNotFoundError) as exc:
            if replaced is not None and os.path.isdir(self._place.path + "/cur"):
                raise  # it is the other mailbox that is gone
            raise UserError(Code.NONEXISTENT, "Mailbox was deleted") from exc

    def _commit(self, replaced: Replaced | None, moved: list[tuple[str, str]]) -> SaveResult:
        place = self._place
        if not self._pending:
            return SaveResult(place.index.header().uidvalidity, [])
        with place.uidlist_lock() as writable, place.host.database.write():
            sync.catch_up(place, writable=writable)
            if replaced is not None:
                replaced.check()
            place.index.begin()
            header, state = place.index.header(), place.disk()
            first = header.uidnext
            before = place.times()
            mails = [self._mail(first + at, one) for at, one in enumerate(self._pending)]
            try:
                for one, mail in zip(self._pending, mails, strict=True):
                    os.rename(one.path, place.file_of(mail[2]))
                    moved.append((place.file_of(mail[2]), one.path))
                self._fsync(mails)
            except BaseException as exc:
                _take_back(moved)
                if isinstance(exc, FileNotFoundError):
                    raise MailboxGoneError(place.path) from exc
                if isinstance(exc, OSError):
                    raise _failed(exc) from exc
                raise
            place.remember(state, before)
            entries = [
                Entry(mail[0], one.base, format_extra(one.extra))
                for one, mail in zip(self._pending, mails, strict=True)
            ]
            if writable:
                try:
                    numbering.extend(place, state, format_lines(entries), len(entries))
                except OSError as exc:
                    _take_back(moved)
                    raise _failed(exc) from exc
            state.in_new += sum(mail[2].startswith(NEW) for mail in mails)
            place.index.add(mails)
            place.index.set(disk=state.format())
            if replaced is not None:
                replaced.remove()
        place.host.count_quota(sum(one.size for one in self._pending), len(mails))
        if self._arrival is not None:
            self._arrival.done(replaced.left() if replaced is not None else None)
        contents = [
            SavedContent(_File(place.file_of(mail[2]), one.size, one.crlf_size, self._crlf), one.base)
            for one, mail in zip(self._pending, mails, strict=True)
        ]
        self._pending.clear()
        return SaveResult(header.uidvalidity, [Uid(mail[0]) for mail in mails], contents)

    def _mail(self, uid: int, one: _Pending) -> NewMail:
        now = int(time.time())
        # Without flags it is new mail also for other programs; as Dovecot.
        name = one.base + filename.INFOS[one.bits & filename.FILE_BITS] if one.bits else NEW + one.base
        return (
            uid, one.bits, name, one.received, now,
            one.crlf_size, one.size, one.extra.get("G"), one.extra.get("P"),
        )  # fmt: skip

    def _fsync(self, mails: list[NewMail]) -> None:
        if self._place.host.fsync:
            for folder in {"new" if mail[2].startswith(NEW) else "cur" for mail in mails}:
                sync_directory(f"{self._place.path}/{folder}")

    def rollback(self) -> None:
        """Remove what is in tmp/."""
        pending = [*self._pending, self._current] if self._current else self._pending
        for one in pending:
            if one.out is not None:
                with contextlib.suppress(OSError):  # what was not written yet does not fit on the disk
                    one.out.close()
            try:
                os.unlink(one.path)
            except FileNotFoundError:
                pass
        self._pending, self._current = [], None


def _take_back(moved: list[tuple[str, str]]) -> None:
    """The messages that were not acknowledged are in tmp/ again, where nobody sees them."""
    for path, temp in moved:
        with contextlib.suppress(OSError):
            os.rename(path, temp)
    moved.clear()


def _failed(exc: OSError) -> Exception:
    if exc.errno == errno.ENOSPC:
        return DiskFullError()
    if exc.errno == errno.EDQUOT:
        return UserError(Code.OVERQUOTA, "Not enough disk space")
    if exc.errno in (errno.EACCES, errno.EROFS):
        return UserError(Code.NOPERM, "Permission denied")
    return InternalError(f"{exc.filename}: {exc.strerror}")
