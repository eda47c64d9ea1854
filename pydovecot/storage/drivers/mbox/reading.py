"""Reading an mbox: every message gets its UID, and the index takes over what the file says.

A UID is given once and then stands in the file (X-UID, and the last one in X-IMAPbase). Fields that came with
a mail from outside are not believed: a UID that was never given, keywords that the mailbox does not know.
"""

import hashlib
import time
import uuid
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from pydovecot.base.rawname import shown
from pydovecot.index.database import MEMORY
from pydovecot.index.mailbox import UID_MASK, Header, NewMail
from pydovecot.index.schema import KEYWORD_SHIFT, MAX_KEYWORDS
from pydovecot.model.errors import Code, DiskFullError, UserError
from pydovecot.storage.drivers.mbox import rewriting, writing
from pydovecot.storage.drivers.mbox.fields import Meta
from pydovecot.storage.drivers.mbox.file import MboxFile
from pydovecot.storage.drivers.mbox.guid import NOTHING
from pydovecot.storage.drivers.mbox.place import Disk, MboxPlace, at, known_bits
from pydovecot.storage.drivers.mbox.scan import DIRTY, MAX_UID, STALE, Base, Buffer, Mail, NotMboxError, scan

Row = tuple[int, int, str, str | None]  # uid, state, name, guid


@dataclass(slots=True)
class Part:
    """The file from `shift` on, and its messages; a pseudo message is among them."""

    data: Buffer
    shift: int
    mails: list[Mail]
    base: Base | None
    rows: list[Row]  # what the index has of this part

    def header(self, mail: Mail) -> bytes:
        """With the format's own fields."""
        return self.data[mail.head - self.shift : mail.body - self.shift]


def _whole(place: MboxPlace, file: MboxFile) -> Part:
    data = file.data()
    try:
        mails = list(scan(data, len(data)))
    except NotMboxError:
        raise UserError(Code.CANNOT, "Mailbox isn't a valid mbox file") from None
    rows = place.database.rows(
        "SELECT id & ?, state, name, guid FROM msg WHERE id BETWEEN ? AND ?", (UID_MASK, *place.index.span)
    )
    return Part(data, 0, mails, mails[0].base if mails else None, rows)


def appended(place: MboxPlace, file: MboxFile, disk: Disk, header: Header) -> Part | None:
    """The last message that is known and what others have put behind it, if they seem to have done only that.

    None: the whole file has to be read (mbox_dirty_syncs).
    """
    habits, stamp = place.host.habits, file.stamp()
    if not (habits.dirty_syncs or habits.very_dirty_syncs) or not header.messages:
        return None
    if stamp.inode != disk.stamp.inode or stamp.size <= disk.stamp.size:
        return None
    row: Row = place.database.row(
        "SELECT id & ?, state, name, guid FROM msg WHERE id BETWEEN ? AND ? ORDER BY id DESC LIMIT 1",
        (UID_MASK, *place.index.span),
    )
    last = at(row[2], row[0])
    data = file.read(last.start, stamp.size)
    try:
        mails = list(scan(data, len(data), first=last.start == 0))
        base = mails[0].base if last.start == 0 else writing.first_of(file).base
    except (NotMboxError, writing.LostError):
        return None
    found = mails[0]
    if found.pseudo or not writing.is_it(place, data, found, last):
        return None
    for mail in mails:
        mail.shift(last.start)
    if (found.body, found.end) != (last.body, last.end):
        return None
    if base is None or base.uidvalidity != header.uidvalidity:
        return None
    return Part(data, last.start, mails, base, [row])


class Pass:
    """One reading, of the whole file or of a part of it."""

    def __init__(
        self, place: MboxPlace, file: MboxFile, disk: Disk, *, take_new: bool, lazy: bool, part: Part | None
    ) -> None:
        self._place, self._file, self._disk = place, file, disk
        self._take_new, self._lazy = take_new, lazy
        self._partial = part is not None
        self._part = part if part is not None else _whole(place, file)
        self._index = place.index
        self._header = self._index.header()
        self._names = self._header.keyword_names()
        self._next = 1
        self.numbered = False  # some message has a UID that is not in the file
        self._seen_to = 0  # the last UID of which the file says that somebody has seen it

    def run(self) -> None:
        """Number, write (unless that comes later), take over."""
        self._index.begin()
        part = self._part
        if self._take_base(part.base):
            part.rows = []
        mails = part.mails
        pseudo = bool(mails) and mails[0].pseudo
        real = mails[1:] if pseudo else mails
        before = [mail.uid for mail in real]
        guids = self._number(real)
        states, wanted = self._compare(real, before)
        right = Base(self._header.uidvalidity, self._next - 1, tuple(name for name in self._names if name))
        if self._take_new:
            self._disk.recent_from = self._next
        rebase = bool(mails) and not self._is_right(right, bool(wanted))
        self._write(mails, pseudo, wanted, right, rebase)
        self._take_over(real, states, guids)
        if self._header.keyword_names() != self._names:
            self._index.set(keywords=" ".join(self._names))
        if self._next > self._index.header().uidnext:
            self._index.set(uidnext=self._next)
        self._disk.behind = self._partial
        self._place.remember(self._file, self._disk)

    def _take_base(self, base: Base | None) -> bool:
        """UIDVALIDITY and keywords of the file; True when it is not the mailbox that the index knew."""
        uidvalidity, cleared = self._header.uidvalidity, False
        if base is not None and base.uidvalidity != uidvalidity:
            if uidvalidity:
                self._index.clear()
                self._disk, cleared = Disk(), True
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
            self._index.set(guid=self._new_guid(uidvalidity))
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
        return cleared

    def _new_guid(self, uidvalidity: int) -> str:
        """Without an index on disk it must be the same each time."""
        if self._place.database.path != MEMORY:
            return uuid.uuid4().hex
        text = f"{self._place.path}\0{uidvalidity}"
        return hashlib.md5(text.encode("utf-8", "surrogateescape"), usedforsecurity=False).hexdigest()

    def _number(self, real: Sequence[Mail]) -> dict[int, str]:
        """Give every message its UID. GUIDs of those that were not known."""
        rows = self._part.rows
        limit, known = self._next, {row[0] for row in rows}
        last = 0
        for mail in real:
            # One that was expunged and is back (a program had it in memory) is a new message; as Dovecot.
            back = mail.uid not in known and (mail.early or mail.uid < self._header.uidnext)
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
            # What no field identifies is another message, unless its UID was never in the file.
            if row[0] not in claimed and row[3] and (row[3] != NOTHING or STALE in row[2]):
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
                guid = self._place.guid_of_header(self._part.header(mail))
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

    def _compare(self, real: Sequence[Mail], before: Sequence[int]) -> tuple[list[int], dict[int, Meta]]:
        """States of all messages, and what must be written of which, by place in `real`."""
        ahead = {row[0]: row[1] for row in self._part.rows if row[2].endswith(DIRTY)}
        states: list[int] = []
        wanted: dict[int, Meta] = {}
        for place, mail in enumerate(real):
            foreign = False
            state = mail.flags
            if mail.old:
                self._seen_to = mail.uid
            old = mail.old or self._take_new or mail.uid < self._disk.recent_from
            if mail.keywords:
                bits, missing = known_bits(self._names, mail.keywords)
                foreign = bool(missing)
                state |= 0 if missing else bits
            known = ahead.get(mail.uid)
            changed = known is not None and known != state
            if known is not None:
                state = known
            states.append(state)
            mail.dirty = changed
            mail.stale = foreign or mail.broken or mail.uid != before[place]
            if mail.dirty or mail.stale or old != mail.old:
                names = [name for bit, name in enumerate(self._names) if state >> KEYWORD_SHIFT + bit & 1]
                flags = state & (1 << KEYWORD_SHIFT) - 1
                wanted[place] = Meta(mail.uid, flags, old, names, foreign=foreign)
        return states, wanted

    def _is_right(self, right: Base, written: bool) -> bool:
        """X-IMAPbase says what is true, if not all that is known (where nothing is written anyway)."""
        base = self._part.base
        if base == right:
            return True
        if base is None or written:
            return False
        return base.uidvalidity == right.uidvalidity and base.last_uid == right.last_uid

    def _write(
        self, mails: Sequence[Mail], pseudo: bool, wanted: dict[int, Meta], right: Base, rebase: bool
    ) -> None:
        """Now, if the whole file was read and flags are not written lazily; else it is remembered."""
        first = 1 if pseudo else 0
        if wanted or rebase:
            if self._file.writable and not self._partial and not self._lazy:
                metas = {place + first: meta for place, meta in wanted.items()}
                if rebase and 0 not in metas:
                    mail = mails[0]
                    metas[0] = Meta(mail.uid, mail.flags, mail.old, mail.keywords)
                if 0 in metas:
                    metas[0].base, metas[0].pseudo = right, pseudo
                try:
                    rewriting.apply(self._file, mails, metas)
                    for place, meta in wanted.items():
                        mails[place + first].written(meta.old)
                    self._disk.dirty = False
                    return
                except DiskFullError:
                    pass  # another time there may be room
            self._disk.dirty = True
            self.numbered = any(mails[place + first].stale for place in wanted)
        elif not self._partial:
            self._disk.dirty = False

    def _take_over(self, real: Sequence[Mail], states: Sequence[int], guids: dict[int, str]) -> None:
        known = {row[0]: row for row in self._part.rows}
        changes: list[tuple[int, int, int, str]] = []
        moved: list[tuple[int, str]] = []
        fresh: list[NewMail] = []
        edited: list[int] = []
        now = int(time.time())
        for mail, state in zip(real, states, strict=True):
            row = known.pop(mail.uid, None)
            if row is None:
                guid = guids.get(mail.uid)
                fresh.append((mail.uid, state, mail.place, None, now, None, None, guid, None))
                continue
            name = mail.place
            if row[1] != state:
                changes.append((mail.uid, row[1], state, name))
            elif row[2] != name:
                moved.append((mail.uid, name))
            else:
                continue
            old = at(row[2], mail.uid)
            if old.end - old.body != mail.end - mail.body:
                edited.append(mail.uid)
        self._index.expunge(sorted(known))
        self._index.change(changes)
        if moved:
            self._index.rename(moved)
        if edited:
            self._index.forget_content(edited)
        self._index.add(fresh)
        if self._seen_to >= self._index.header().first_recent:
            self._index.set(first_recent=self._seen_to + 1)
