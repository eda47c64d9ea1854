"""An mbox as storage.indexed.folder.Folder."""

from collections.abc import Collection, Sequence
from typing import Final

from pydovecot.mime import header as mime_header
from pydovecot.mime import objectid, section, summary
from pydovecot.model.errors import Code, InternalError, UserError
from pydovecot.storage.api import Column, CopyResult, ExpungedError, MailboxGoneError, Save, SaveResult
from pydovecot.storage.content import common_fields, crlf_size, preview
from pydovecot.storage.drivers.mbox import changing, fromline, sync
from pydovecot.storage.drivers.mbox.place import MboxPlace, at
from pydovecot.storage.drivers.mbox.scan import Mail, NotMboxError, scan, without_meta
from pydovecot.storage.drivers.mbox.writing import flush_or_leave, is_it
from pydovecot.storage.indexed.folder import Filled, Folder, StateChange, StoreOutcome
from pydovecot.storage.indexed.watch import Watched

MAX_TRIES: Final = 5  # to read a message of a file that changes all the time
_SIZES = frozenset((Column.SIZE, Column.QUICK_SIZE, Column.PHYSICAL_SIZE))
_FULL = frozenset((Column.BODY, Column.BODYSTRUCTURE))
_HEAD = frozenset((Column.ENVELOPE, Column.SENT, Column.SENT_DAY, Column.FIELDS))
_OBJECT_ID = frozenset((Column.EMAIL_ID, Column.THREAD_ID))


class MboxFolder(MboxPlace):
    """The steps that change something are in the modules beside this one."""

    guid_is_header_md5 = True
    views = 0  # of this session that may change something

    def sync(self, *, take_new: bool, after: int = 0, full: bool = False) -> None:
        """Bring the index up to what is in the file."""
        sync.sync(self, take_new=take_new, full=full)

    def leave(self) -> None:
        """The last one writes."""
        self.views -= 1
        self.write_back()

    def write_back(self) -> None:
        """Write what only the index knows (mbox_lazy_writes). Nobody waits for it: what fails is logged."""
        try:
            if self.disk().dirty:
                with self.locked(write=True) as file, self.database.write():
                    sync.catch_up(self, file)
                    flush_or_leave(self, file)
        except MailboxGoneError:
            pass
        except (InternalError, UserError) as exc:
            self.host.warn(f"Writing flags to {self.path} failed: {exc}")

    def ensure(self) -> int:
        """The index may have been deleted since the last sync. UIDVALIDITY."""
        if self.database.refresh():
            self.index.forget()
        uidvalidity = self.index.header().uidvalidity
        if not uidvalidity:
            sync.sync(self, take_new=False)
            uidvalidity = self.index.header().uidvalidity
        return uidvalidity

    def keyword_bits(self, names: Collection[str], *, create: bool) -> int:
        """Bits of keywords, in the index that is there now."""
        self.ensure()
        return super().keyword_bits(names, create=create)

    def store(self, uids: Sequence[int], change: StateChange, *, unchanged_since: int | None) -> StoreOutcome:
        """Change fields in the file."""
        self.ensure()
        return changing.store(self, uids, change, unchanged_since)

    def replace(self, uid: int, save: Save) -> SaveResult:
        """The new one at the end, then the old one goes."""
        self.ensure()
        if not self.mails([uid]):
            raise UserError(Code.EXPUNGEISSUED, "The message to be replaced was expunged")
        result = save.commit()
        changing.expunge(self, [uid], only_deleted=False)
        return result

    def expunge(self, uids: Sequence[int], *, only_deleted: bool) -> None:
        """Move what follows."""
        self.ensure()
        if uids:
            changing.expunge(self, uids, only_deleted=only_deleted)

    def copy(self, uids: Sequence[int], target: Folder, *, move: bool) -> CopyResult | None:
        """Nothing is shared between files."""
        return None

    def sender_of(self, uid: int) -> str | None:
        """As in the From_ line."""
        try:
            return fromline.sender(self._read(uid)[0]) or None
        except ExpungedError:
            return None

    def save_uidls(self, uidls: Sequence[tuple[int, str]]) -> None:
        """The format has no place for them but the index."""
        with self.database.write():
            self.database.executemany(
                "UPDATE msg SET uidl = ? WHERE id = ?", [(uidl, self.index.key(uid)) for uid, uidl in uidls]
            )

    def guid_of(self, name: str) -> str:
        """Messages have no names of their own."""
        return ""

    def watched(self) -> Sequence[Watched]:
        """The file itself, and where others ring who have changed the index alone."""
        bell = [Watched(self.host.journals, "")] if self.host.journals else []
        return [Watched(self.path, None, content=True), *bell]

    def explains(self, names: Collection[str], modseq: int) -> bool:
        """The file is as the index knows it."""
        return self.disk().knows(self.stamp())

    def read(self, uid: int) -> bytes:
        """The message without the format's own fields."""
        return self._read(uid)[2]

    def _read(self, uid: int) -> tuple[bytes, bytes, bytes]:
        """From_ line, header, message."""
        for _ in range(MAX_TRIES):
            with self.locked(write=False) as file:
                row = self.database.row("SELECT name FROM msg WHERE id = ?", (self.index.key(uid),))
                if row is None:
                    raise ExpungedError
                mail = at(row[0], uid)
                disk = self.disk()
                if disk.knows(file.stamp()):
                    raw = file.read(mail.start, mail.end)
                    top = raw[: mail.body - mail.start]
                    lost = not raw.startswith(b"From ") or (disk.behind and not self._is(top, mail))
                    if not lost:
                        head = without_meta(top[mail.head - mail.start :])
                        return raw[: mail.head - mail.start], head, head + raw[mail.body - mail.start :]
                else:
                    lost = False
            # Somebody has changed the file since the last sync.
            if lost:
                with self.locked(write=True) as file, self.database.write():
                    sync.catch_up(self, file, force=True)
            else:
                sync.sync(self, take_new=False)
        raise ExpungedError

    def _is(self, top: bytes, mail: Mail) -> bool:
        """The From_ line and header are this message's."""
        try:
            return is_it(self, top, next(scan(top, len(top))), mail)
        except NotMboxError:
            return False

    def fill(self, uid: int, name: str, wanted: Collection[Column]) -> Filled:
        """Find out columns."""
        filled = Filled()
        line, head, whole = self._read(uid)
        filled.received = fromline.received(line)
        if not _FULL.isdisjoint(wanted):
            found = summary.of(whole)
            filled.psize, filled.size = len(whole), found.size
            filled.envelope, filled.body, filled.bodystructure = (
                found.envelope,
                found.body,
                found.bodystructure,
            )
            filled.sent, filled.sent_day = found.sent, found.sent_day
            filled.fields = common_fields(head)
        else:
            if not _SIZES.isdisjoint(wanted):
                filled.psize, filled.size = len(whole), crlf_size(whole)
            if not _HEAD.isdisjoint(wanted):
                filled.envelope, filled.sent, filled.sent_day = summary.of_header(head)
                filled.fields = common_fields(head)
        if Column.PREVIEW in wanted:
            filled.preview = preview(whole)
        if Column.EMAIL_ID in wanted:
            filled.email_id = objectid.email_id(whole)
        if not _OBJECT_ID.isdisjoint(wanted):
            filled.thread_id = objectid.thread_id(head)
        if Column.HEADER in wanted:
            filled.header = section.crlf(whole[: mime_header.end(whole)])
        return filled
