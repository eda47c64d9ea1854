"""A Maildir as storage.indexed.folder.Folder."""

import os
from collections.abc import Collection, Sequence
from typing import Final

from pydovecot.index.mailbox import UID_MASK
from pydovecot.mime import header as mime_header
from pydovecot.mime import objectid, section, summary
from pydovecot.storage.api import Column, CopyResult, ExpungedError, Save, SaveResult
from pydovecot.storage.content import common_fields, crlf_size, preview
from pydovecot.storage.drivers.maildir import changing, explaining, keywords, linking, replacing, sync
from pydovecot.storage.drivers.maildir.filename import base_of, sizes_of
from pydovecot.storage.drivers.maildir.place import NEW, Host, MaildirPlace
from pydovecot.storage.hooks import MailboxHook
from pydovecot.storage.indexed.folder import Filled, Folder, StateChange, StoreOutcome
from pydovecot.storage.indexed.watch import Watched

READ_AHEAD: Final = 64  # rows of messages whose bytes are likely to be asked for next
NEAR: Final = 4  # UIDs after the last one: it goes on
HEADER_BYTES: Final = 16384  # read first when only the header is wanted
FULL_COLUMNS: Final = frozenset((Column.BODY, Column.BODYSTRUCTURE))
HEAD_COLUMNS: Final = frozenset((Column.ENVELOPE, Column.SENT, Column.SENT_DAY, Column.FIELDS))
CRLF_COLUMNS: Final = frozenset((Column.SIZE, Column.QUICK_SIZE))
OBJECT_ID_COLUMNS: Final = frozenset((Column.EMAIL_ID, Column.THREAD_ID))
SIZE_COLUMNS: Final = CRLF_COLUMNS | {Column.PHYSICAL_SIZE}


class MaildirFolder(MaildirPlace):
    """The steps that change something are in the modules beside this one."""

    guid_is_header_md5 = False

    def __init__(
        self, host: Host, name: str, path: str, control: str, hook: MailboxHook | None = None
    ) -> None:
        super().__init__(host, name, path, control, hook)
        self._last_read = 0
        self._ahead: dict[int, tuple[str, int | None]] = {}

    def sync(self, *, take_new: bool, after: int = 0, full: bool = False) -> None:
        """Bring the index up to what is on disk."""
        sync.sync(self, take_new=take_new, after=after)

    def ensure(self) -> int:
        """The index may have been deleted since the last sync. Gives UIDVALIDITY."""
        found = 0 if self.host.database.refresh() else self.index.header().uidvalidity
        if not found:
            sync.sync(self, take_new=False)
            found = self.index.header().uidvalidity
        return found

    def keyword_bits(self, names: Collection[str], *, create: bool) -> int:
        """Bits of keywords, in the index that is there now."""
        self.ensure()
        if keywords.stamp(self.keywords_path) != self.disk().keywords:
            sync.sync(self, take_new=False)  # the mailbox may have been made anew
        return super().keyword_bits(names, create=create)

    def store(self, uids: Sequence[int], change: StateChange, *, unchanged_since: int | None) -> StoreOutcome:
        """Rename files to their new flags."""
        self.ensure()
        return changing.store(self, uids, change, unchanged_since)

    def replace(self, uid: int, save: Save) -> SaveResult:
        """The new file, then no old one."""
        self.ensure()
        return replacing.replace(self, uid, save)

    def expunge(self, uids: Sequence[int], *, only_deleted: bool) -> None:
        """Unlink files."""
        self.ensure()
        changing.expunge(self, uids, only_deleted=only_deleted)

    def copy(self, uids: Sequence[int], target: Folder, *, move: bool) -> CopyResult | None:
        """Link or rename into another Maildir."""
        if not isinstance(target, MaildirFolder):
            return None
        self.ensure()
        return linking.copy(self, uids, target, move=move)

    def write_back(self) -> None:
        """Everything is on disk at once."""

    def leave(self) -> None:
        """Nothing is left to do."""

    def sender_of(self, uid: int) -> str | None:
        """Nothing keeps it."""
        return None

    def save_uidls(self, uidls: Sequence[tuple[int, str]]) -> None:
        """As P in the uidlist."""
        self.ensure()
        changing.save_uidls(self, uidls)

    def guid_of(self, name: str) -> str:
        """The base of the file name, as Dovecot has it."""
        return base_of(name.removeprefix(NEW))

    def watched(self) -> Sequence[Watched]:
        """new/ and cur/; the mailbox itself may be renamed."""
        return [Watched(self.path + "/new", NEW), Watched(self.path + "/cur", ""), Watched(self.path, None)]

    def explains(self, names: Collection[str], modseq: int) -> bool:
        """By the files as they are and by the latest rows of the index."""
        return explaining.explains(self, names, modseq)

    def read(self, uid: int) -> bytes:
        """The message as stored."""
        name, psize = self._file_facts(uid)
        data = self.with_file(name, _read_all)
        told = sizes_of(name)[0] if psize is None else psize
        if told is not None and told != len(data):
            # The S= of the name is wrong: from now on the index knows better.
            with self.host.database.write():
                self.index.forget_sizes()
                self.host.database.execute(
                    "UPDATE msg SET psize = ?, size = ? WHERE id = ?",
                    (len(data), crlf_size(data), self.index.key(uid)),
                )
        return data

    def links(self, uid: int) -> int:
        """Hard links of the message's file: COPY makes them."""
        return int(self.with_file(self._file_facts(uid)[0], lambda path: b"%d" % os.stat(path).st_nlink))

    def _file_facts(self, uid: int) -> tuple[str, int | None]:
        """Name and size of a message's file: of one reader who goes on and on, of the next ones as well.

        What was read ahead may be old by the time it is used; a file is found by its old name too.
        """
        found = self._ahead.pop(uid, None)
        if found is None:
            key = self.index.key(uid)
            count = READ_AHEAD if 0 < uid - self._last_read <= NEAR else 1
            rows = self.host.database.rows(
                "SELECT id & ?, name, psize FROM msg WHERE id BETWEEN ? AND ? LIMIT ?",
                (UID_MASK, key, min(key + READ_AHEAD, self.index.span[1]), count),
            )
            self._ahead = {at: (name, psize) for at, name, psize in rows}
            found = self._ahead.pop(uid, None)
            if found is None:
                raise ExpungedError
        self._last_read = uid
        return found

    def fill(self, uid: int, name: str, wanted: Collection[Column]) -> Filled:
        """Find out columns: from the name, by stat, from the header or from the whole message."""
        filled = Filled()
        if self.host.trust_sizes and not SIZE_COLUMNS.isdisjoint(wanted):
            filled.psize, filled.size = sizes_of(name)
        if Column.RECEIVED in wanted or Column.SAVED in wanted:
            self._stat(name, filled)
        content = _Content(self, name)
        if not FULL_COLUMNS.isdisjoint(wanted):
            self._measure(content.whole(), content.head(), filled)
        else:
            if not CRLF_COLUMNS.isdisjoint(wanted) and filled.size is None:
                filled.psize, filled.size = len(content.whole()), crlf_size(content.whole())
            if not HEAD_COLUMNS.isdisjoint(wanted):
                filled.envelope, filled.sent, filled.sent_day = summary.of_header(content.head())
                filled.fields = common_fields(content.head())
        if Column.PREVIEW in wanted:
            filled.preview = preview(content.whole())
        if Column.EMAIL_ID in wanted:
            filled.email_id = objectid.email_id(content.whole())
        if not OBJECT_ID_COLUMNS.isdisjoint(wanted):
            filled.thread_id = objectid.thread_id(content.head())
        if Column.HEADER in wanted:
            filled.header = section.crlf(content.head())
        if filled.psize is None and Column.PHYSICAL_SIZE in wanted:
            self._stat(name, filled)
        return filled

    def _stat(self, name: str, filled: Filled) -> None:
        def look(path: str) -> bytes:
            found = os.stat(path)
            filled.received, filled.saved = int(found.st_mtime), int(found.st_ctime)
            filled.psize = found.st_size
            return b""

        self.with_file(name, look)

    @staticmethod
    def _measure(data: bytes, head: bytes, filled: Filled) -> None:
        found = summary.of(data)
        filled.psize, filled.size = len(data), found.size
        filled.envelope, filled.body, filled.bodystructure = found.envelope, found.body, found.bodystructure
        filled.sent, filled.sent_day = found.sent, found.sent_day
        filled.fields = common_fields(head)


class _Content:
    """A message's file, read once and only as far as it is asked for."""

    def __init__(self, folder: MaildirFolder, name: str) -> None:
        self._folder, self._name = folder, name
        self._whole: bytes | None = None
        self._head: bytes | None = None

    def whole(self) -> bytes:
        """The message as stored."""
        if self._whole is None:
            self._whole = self._folder.with_file(self._name, _read_all)
            self._head = self._whole[: mime_header.end(self._whole)]
        return self._whole

    def head(self) -> bytes:
        """Its header."""
        if self._head is None:
            self._head = self._folder.with_file(self._name, _read_header)
        return self._head


def _read_all(path: str) -> bytes:
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        size = os.fstat(fd).st_size
        data = os.read(fd, size + 1)
        if len(data) == size:
            return data
        pieces = [data]
        while data:
            data = os.read(fd, 1 << 20)
            pieces.append(data)
        return b"".join(pieces)
    finally:
        os.close(fd)


def _read_header(path: str) -> bytes:
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        data = os.read(fd, HEADER_BYTES)
        end = mime_header.end(data)
        while end == len(data):
            more = os.read(fd, max(HEADER_BYTES, len(data)))
            if not more:
                break
            data += more
            end = mime_header.end(data)
        return data[:end]
    finally:
        os.close(fd)
