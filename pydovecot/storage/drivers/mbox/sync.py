"""Bringing the index up to what is in the file, and the file up to what every message must say.

A UID is given once and then stands in the file (X-UID, and the last one in X-IMAPbase). Fields that came with
a mail from outside are not believed: a UID that was never given, keywords that the mailbox does not know.
"""

import time
import uuid
from collections import deque
from collections.abc import Sequence

from pydovecot.base.rawname import shown
from pydovecot.index.mailbox import UID_MASK, NewMail
from pydovecot.index.schema import MAX_KEYWORDS
from pydovecot.model.errors import DiskFullError, InternalError
from pydovecot.storage.drivers.mbox import rewriting, writing
from pydovecot.storage.drivers.mbox.fields import Meta
from pydovecot.storage.drivers.mbox.file import MboxFile
from pydovecot.storage.drivers.mbox.guid import guid_of
from pydovecot.storage.drivers.mbox.place import Disk, MboxPlace, known_bits
from pydovecot.storage.drivers.mbox.scan import MAX_UID, Base, Buffer, Mail, NotMboxError, scan

Row = tuple[int, int, str, str | None]  # uid, state, name, guid


def sync(place: MboxPlace, *, take_new: bool) -> None:
    """See Folder.sync. One stat call when nothing happened."""
    if place.host.database.refresh():
        place.index.forget()
    header = place.index.header()
    disk = Disk.parse(header.disk)
    if (
        header.uidvalidity
        and disk.knows(place.stamp())
        and not (take_new and disk.recent_from < header.uidnext)
    ):
        return
    with place.locked(write=True) as file, place.host.database.write():
        catch_up(place, file, take_new=take_new)


def catch_up(place: MboxPlace, file: MboxFile, *, take_new: bool = False, force: bool = False) -> None:
    """The same with the file locked, inside a write transaction."""
    header = place.index.header()
    disk = Disk.parse(header.disk)
    fresh = take_new and disk.recent_from < header.uidnext
    known = header.uidvalidity and disk.knows(file.stamp()) and not force
    if not known or (fresh and not _mark_old(place, file, disk, header.uidnext)):
        _Pass(place, file, disk, take_new).run()


def _mark_old(place: MboxPlace, file: MboxFile, disk: Disk, uidnext: int) -> bool:
    """A session sees messages that were new to all, and nothing else has happened."""
    try:
        if file.writable:
            writing.mark_old(place, file, disk.recent_from)
    except writing.LostError:
        return False
    except DiskFullError:
        pass
    disk.recent_from = uidnext
    place.remember(file, disk)
    return True


class _Pass:
    """One reading of the whole file."""

    def __init__(self, place: MboxPlace, file: MboxFile, disk: Disk, take_new: bool) -> None:
        self._place, self._file, self._disk, self._take_new = place, file, disk, take_new
        self._index = place.index
        self._header = self._index.header()
        self._names = self._header.keyword_names()
        self._next = 1

    def run(self) -> None:
        """Number, write, take over."""
        self._index.begin()
        data = self._file.data()
        try:
            mails = list(scan(data, len(data)))
        except NotMboxError:
            raise InternalError(
                f"mbox file {self._place.path} doesn't begin with 'From ' line",
                shown="Mailbox is no mbox file",
            ) from None
        base = mails[0].base if mails else None
        self._take_base(base)
        pseudo = bool(mails) and mails[0].pseudo
        real = mails[1:] if pseudo else mails
        rows: list[Row] = self._place.host.database.rows(
            "SELECT id & ?, state, name, guid FROM msg WHERE id BETWEEN ? AND ?",
            (UID_MASK, *self._index.span),
        )
        before = [mail.uid for mail in real]
        guids = self._number(data, real, rows)
        states = [self._state(mail) for mail in real]
        unknown = [at for at, mail in enumerate(real) if not self._all_known(mail)]
        for at in unknown:
            real[at].keywords = ()
        wanted = self._wanted(mails, real, pseudo, before, base)
        if self._take_new:
            self._disk.recent_from = self._next
        if wanted and self._file.writable:
            try:
                rewriting.apply(self._file, mails, wanted)
            except DiskFullError:
                pass  # the index knows; another time there may be room
        self._take_over(real, states, rows, guids)
        if self._header.keyword_names() != self._names:
            self._index.set(keywords=" ".join(self._names))
        if self._next > self._index.header().uidnext:
            self._index.set(uidnext=self._next)
        self._place.remember(self._file, self._disk)

    def _take_base(self, base: Base | None) -> None:
        uidvalidity = self._header.uidvalidity
        if base is not None and base.uidvalidity != uidvalidity:
            if uidvalidity:
                self._index.clear()
                self._disk = Disk()
            uidvalidity = base.uidvalidity
            self._index.set(uidvalidity=uidvalidity)
            if base.last_uid:
                # Clients may know a HIGHESTMODSEQ of an index that was lost: start above any number of
                # changes there can have been.
                floor = max(int(time.time()), self._index.header().modseq + 1)
                self._index.begin()
                self._index.set(modseq=floor, log_from=floor, gone_from=floor)
        elif not uidvalidity:
            uidvalidity = self._place.host.new_uidvalidity()
            self._index.set(uidvalidity=uidvalidity)
        if not self._header.guid:
            self._index.set(guid=_new_guid())
        self._header = self._index.header()
        self._names = self._header.keyword_names()
        self._next = self._header.uidnext
        if base is not None:
            self._next = max(self._next, base.last_uid + 1)
            missing = known_bits(self._names, base.keywords)[1]
            for name in base.keywords:
                if name in missing and len(self._names) < MAX_KEYWORDS:
                    missing.remove(name)
                    self._names.append(shown(name))

    def _number(self, data: Buffer, real: Sequence[Mail], rows: Sequence[Row]) -> dict[int, str]:
        """Give every message its UID. GUIDs of those that were not known."""
        limit, known = self._next, {row[0] for row in rows}
        last = 0
        for mail in real:
            # One that was expunged and is back (a program had it in memory) is a new message; as Dovecot.
            back = mail.uid < self._header.uidnext and mail.uid not in known
            if back or not last < mail.uid < limit:
                mail.uid = 0
            else:
                last = mail.uid
        claimed = {mail.uid for mail in real}
        guids: dict[int, str] = {}
        if len(claimed - {0}) == len(real) and claimed <= known:
            return guids
        lost: dict[str, deque[int]] = {}
        for row in rows:
            if row[0] not in claimed and row[3]:
                lost.setdefault(row[3], deque()).append(row[0])
        bounds: list[int] = []
        upper = MAX_UID
        for mail in reversed(real):
            bounds.append(upper)
            upper = mail.uid or upper
        last = 0
        for mail, bound in zip(real, reversed(bounds), strict=True):
            if mail.uid <= last:
                mail.uid = 0  # behind one that is newer than all
            if not mail.uid or mail.uid not in known:
                guid = guid_of(data[mail.head : mail.body])
                if not mail.uid:
                    mail.uid = self._lost(lost, guid, last, bound)
                guids[mail.uid] = guid
            last = mail.uid
        return guids

    def _lost(self, lost: dict[str, deque[int]], guid: str, last: int, bound: int) -> int:
        """The UID of a message whose X-UID was dropped by others, or could not be written; else a new one."""
        candidates = lost.get(guid)
        while candidates and candidates[0] <= last:
            candidates.popleft()
        if candidates and candidates[0] < bound:
            return candidates.popleft()
        uid, self._next = self._next, self._next + 1
        return uid

    def _state(self, mail: Mail) -> int:
        if not mail.keywords:
            return mail.flags
        bits, missing = known_bits(self._names, mail.keywords)
        return mail.flags if missing else mail.flags | bits

    def _all_known(self, mail: Mail) -> bool:
        if not mail.keywords or not known_bits(self._names, mail.keywords)[1]:
            return True
        mail.broken = True
        return False

    def _wanted(
        self,
        mails: Sequence[Mail],
        real: Sequence[Mail],
        pseudo: bool,
        before: Sequence[int],
        base: Base | None,
    ) -> dict[int, Meta]:
        """Fields that must be written, by place in `mails`."""
        first = 1 if pseudo else 0
        wanted: dict[int, Meta] = {}
        for at, mail in enumerate(real):
            new = self._take_new and not mail.old
            if new or mail.broken or mail.uid != before[at]:
                wanted[at + first] = Meta(mail.uid, mail.flags, mail.old or new, mail.keywords)
        if not mails:
            return wanted
        right = Base(self._header.uidvalidity, self._next - 1, tuple(name for name in self._names if name))
        if base != right and not (base is not None and not wanted and _enough(base, right)):
            mail = mails[0]
            meta = wanted.setdefault(0, Meta(mail.uid, mail.flags, mail.old, mail.keywords))
            meta.base, meta.pseudo = right, pseudo
        elif 0 in wanted:
            wanted[0].base, wanted[0].pseudo = right, pseudo
        return wanted

    def _take_over(
        self, real: Sequence[Mail], states: Sequence[int], rows: Sequence[Row], guids: dict[int, str]
    ) -> None:
        known = {row[0]: row for row in rows}
        changes: list[tuple[int, int, int, str]] = []
        moved: list[tuple[int, str]] = []
        fresh: list[NewMail] = []
        seen_to = 0
        now = int(time.time())
        for mail, state in zip(real, states, strict=True):
            row = known.pop(mail.uid, None)
            if row is None:
                guid = guids.get(mail.uid)
                fresh.append((mail.uid, state, mail.place, None, now, None, None, guid, None))
                if mail.old:
                    seen_to = mail.uid
            elif row[1] != state:
                changes.append((mail.uid, row[1], state, mail.place))
            elif row[2] != mail.place:
                moved.append((mail.uid, mail.place))
        self._index.expunge(sorted(known))
        self._index.change(changes)
        if moved:
            self._index.rename(moved)
        self._index.add(fresh)
        if seen_to and seen_to >= self._index.header().first_recent:
            self._index.set(first_recent=seen_to + 1)


def _enough(base: Base, right: Base) -> bool:
    """What the file says is true, if not all that is known."""
    return base.uidvalidity == right.uidvalidity and base.last_uid == right.last_uid


def _new_guid() -> str:
    return uuid.uuid4().hex
