"""UIDs: reading and extending dovecot-uidlist while it is locked."""

import os
import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

from pydovecot.base.rawname import raw
from pydovecot.index.mailbox import UID_MASK, Header, NewMail
from pydovecot.storage.drivers.maildir import filename, uidlist, uidvalidity
from pydovecot.storage.drivers.maildir.disk import DiskState
from pydovecot.storage.drivers.maildir.place import NEW, MaildirPlace

COMPRESS_MIN = 200  # lines; below nobody minds some old ones
COMPRESS_PERCENT = 75  # Dovecot: UIDLIST_COMPRESS_PERCENTAGE


@dataclass(slots=True)
class Numbers:
    """What the uidlist says beyond the index, and the next UID. `replaced`: all messages were read anew."""

    place: MaildirPlace
    state: DiskState
    uidnext: int
    first: int  # UIDs from here on are not in the index
    listed: dict[str, uidlist.Entry] = field(default_factory=dict)
    writable: bool = True
    rewrite: bool = False
    replaced: bool = False
    given: int = 0  # UIDs from here on are ours: nobody has seen those messages before

    def strangers(self, added: Collection[str]) -> dict[str, uidlist.Entry]:
        """Lines that the index lacks and that are about none of `added`: of messages it knows, or gone."""
        return {
            base: entry
            for base, entry in self.listed.items()
            if entry.uid >= self.first and base not in added
        }

    def give(self, names: Sequence[filename.Parsed]) -> list[NewMail]:
        """Rows for new files: UIDs of the uidlist where it has them, else the next ones, written to it."""
        trust = self.place.host.trust_sizes
        mails: list[NewMail] = []
        unknown = names
        if self.listed:
            unknown = []
            for parsed in names:
                entry = self.listed.get(parsed[1])
                if entry is not None and entry.uid >= self.first:
                    mails.append(_mail(entry.uid, parsed, entry.extra, trust))
                else:
                    unknown.append(parsed)
        unknown = filename.by_arrival(unknown)
        start = self.given = self.uidnext
        self.uidnext += len(unknown)
        uids = range(start, self.uidnext)
        mails += _fresh_rows(uids, unknown, trust)
        if self.listed:
            mails.sort()
        if unknown and self.writable:
            if self.state.lines:
                self._forget_old([parsed[1] for parsed in unknown if not parsed[0].startswith(NEW)])
            lines = "".join([f"{uid} :{parsed[1]}\n" for uid, parsed in zip(uids, unknown, strict=True)])
            extend(self.place, self.state, raw(lines).encode("utf-8", "surrogateescape"), len(unknown))
        return mails

    def _forget_old(self, bases: Sequence[str]) -> None:
        """A message that was expunged and came back gets a new UID: its old line must go first."""
        if not bases:
            return
        data = uidlist.read_bytes(self.place.uidlist_path)
        again = {base for base in bases if raw(f":{base}\n").encode("utf-8", "surrogateescape") in data}
        if again:
            whole = uidlist.parse(data)
            whole.entries = [entry for entry in whole.entries if entry.base not in again]
            _write(self.place, self.state, whole)


def _fresh_rows(uids: range, unknown: Sequence[filename.Parsed], trust_sizes: bool) -> list[NewMail]:
    """Rows of files that no uidlist knows. Usual names are handled column by column, as there can be many."""
    stored, crlf = [parsed[4] for parsed in unknown], [parsed[5] for parsed in unknown]
    if trust_sizes and all(stored) and all(crlf) and not any([parsed[6] for parsed in unknown]):
        states = map(filename.STATES.__getitem__, [parsed[7] for parsed in unknown])
        names = [parsed[0] for parsed in unknown]
        sizes = zip(map(int, crlf), map(int, stored), strict=True)
        return [
            (uid, state, name, None, None, size, psize, None, None)
            for uid, state, name, (size, psize) in zip(uids, states, names, sizes, strict=True)
        ]
    return [_mail(uid, parsed, "", trust_sizes) for uid, parsed in zip(uids, unknown, strict=True)]


def _mail(uid: int, parsed: filename.Parsed, extra: str, trust_sizes: bool) -> NewMail:
    psize, size = filename.sizes_parsed(parsed) if trust_sizes else (None, None)
    state = filename.state_of_info(parsed[7])
    if not extra:
        return (uid, state, parsed[0], None, None, size, psize, None, None)
    fields = uidlist.extra_fields(extra)
    if size is None and fields.get("W", "").isdigit():
        size = int(fields["W"][:18])
    return (uid, state, parsed[0], None, None, size, psize, fields.get("G"), fields.get("P"))


def extend(place: MaildirPlace, state: DiskState, lines: bytes, count: int) -> None:
    """Append lines (locked) and remember how the file looks now."""
    uidlist.append(place.uidlist_path, lines, fsync=place.host.fsync_always)
    state.lines += count
    state.saw_uidlist(uidlist.stamp(place.uidlist_path))


def read(place: MaildirPlace, header: Header, state: DiskState, *, writable: bool) -> Numbers:
    """Read what is new in the uidlist (locked, in a write transaction); make one if there is none."""
    stamp = uidlist.stamp(place.uidlist_path)
    numbers = Numbers(place, state, header.uidnext, header.uidnext, writable=writable)
    if header.uidvalidity and stamp == state.uidlist:
        return numbers
    appended = bool(header.uidvalidity) and stamp[0] == state.list_inode and stamp[1] > state.list_size
    if appended:
        tail = uidlist.read(place.uidlist_path, state.list_size)
        if tail.complete and not tail.broken:
            _take(numbers, tail, stamp)
            state.lines += tail.lines
            return numbers
    whole = uidlist.read(place.uidlist_path)
    if not whole.valid:
        return _make(place, header, state, numbers)
    if writable and whole.guid not in ("", header.guid) and _is_of_another(place, whole.guid):
        whole.guid = ""  # somebody has copied the directory; RFC 8474 4 wants an id of its own
    if header.uidvalidity != whole.uidvalidity:
        _restart(place, header, whole)
        numbers.first, numbers.replaced = 1, True
        numbers.uidnext = 1
        state.in_new = 0
    elif whole.guid and whole.guid != header.guid:
        place.index.set(guid=whole.guid)
    _take(numbers, whole, stamp)
    state.lines = whole.lines
    if writable and (whole.broken or not whole.complete or whole.version == 1 or not whole.guid):
        whole.guid = whole.guid or place.index.header().guid
        _write(place, state, whole)
    return numbers


def _is_of_another(place: MaildirPlace, guid: str) -> bool:
    """Another mailbox that is there has this GUID."""
    names = place.host.database.rows(
        "SELECT name FROM mailbox WHERE guid = ? AND id != ?", (guid, place.index.id)
    )
    root = place.host.control_root
    return any(uidlist.guid_of(raw(f"{root}/{name}/{uidlist.FILE_NAME}")) == guid for (name,) in names)


def _take(numbers: Numbers, found: uidlist.Uidlist, stamp: uidlist.Stamp) -> None:
    numbers.listed = {entry.base: entry for entry in found.entries}
    numbers.uidnext = max(numbers.uidnext, found.uidnext)
    numbers.state.saw_uidlist(stamp)


def _restart(place: MaildirPlace, header: Header, found: uidlist.Uidlist) -> None:
    """The index knows nothing of this UIDVALIDITY."""
    index = place.index
    if header.uidvalidity:
        index.clear()
    guid = found.guid or os.urandom(16).hex()
    index.set(uidvalidity=found.uidvalidity, guid=guid)
    if found.uidnext > 1:
        # Clients may know a HIGHESTMODSEQ of an index that was lost: start above any number of changes there
        # can have been.
        floor = max(int(time.time()), index.header().modseq + 1)
        index.set(modseq=floor, log_from=floor, gone_from=floor)


def _make(place: MaildirPlace, header: Header, state: DiskState, numbers: Numbers) -> Numbers:
    """There is no uidlist: write one of what the index knows, or of nothing."""
    made = uidlist.Uidlist(header.uidvalidity, header.uidnext, header.guid)
    if made.uidvalidity and not _known_mail(place):
        # Not the list is lost but the mailbox: another program has deleted it and made it again.
        place.index.clear()
        numbers.first = numbers.uidnext = 1
        numbers.replaced, state.in_new = True, 0
        made = uidlist.Uidlist()
    if not made.uidvalidity:
        permissions = place.host.permissions
        made.guid = os.urandom(16).hex()
        if numbers.writable:
            made.uidvalidity = uidvalidity.take_next(
                place.host.control_root, mode=permissions.file_mode, gid=permissions.gid
            )
        else:
            made.uidvalidity = int(time.time())
        place.index.set(uidvalidity=made.uidvalidity, guid=made.guid)
    rows = place.host.database.rows(
        "SELECT id & ?, name, uidl FROM msg WHERE id BETWEEN ? AND ?", (UID_MASK, *place.index.span)
    )
    made.entries = [
        uidlist.Entry(uid, filename.base_of(name.removeprefix(NEW)), f"P{uidl} " if uidl else "")
        for uid, name, uidl in rows
    ]
    if numbers.writable:
        _write(place, state, made)
    return numbers


def _known_mail(place: MaildirPlace) -> bool:
    """Some message of the index is still there."""
    rows = place.host.database.rows("SELECT name FROM msg WHERE id BETWEEN ? AND ?", place.index.span)
    known = {filename.base_of(name.removeprefix(NEW)) for (name,) in rows}
    return any(filename.base_of(name.removeprefix(NEW)) in known for name in place.listing())


def _write(place: MaildirPlace, state: DiskState, found: uidlist.Uidlist) -> None:
    permissions = place.host.permissions
    uidlist.write(
        place.uidlist_path, found, mode=permissions.file_mode, gid=permissions.gid, fsync=place.host.fsync
    )
    state.lines = len(found.entries)
    state.saw_uidlist(uidlist.stamp(place.uidlist_path))


def compress(place: MaildirPlace) -> None:
    """Write the uidlist anew when many of its messages are gone. Takes the lock."""
    header = place.index.header()
    lines = DiskState.parse(header.disk).lines
    if lines < COMPRESS_MIN or header.messages * 100 > lines * COMPRESS_PERCENT:
        return
    with place.uidlist_lock() as writable, place.host.database.write():
        if not writable:
            return
        whole = uidlist.read(place.uidlist_path)
        header = place.index.header()
        if whole.uidvalidity != header.uidvalidity or not whole.valid:
            return
        there = {
            row[0]
            for row in place.host.database.rows(
                "SELECT id & ? FROM msg WHERE id BETWEEN ? AND ?", (UID_MASK, *place.index.span)
            )
        }
        # Lines that the index does not know yet stay.
        whole.entries = [
            entry for entry in whole.entries if entry.uid in there or entry.uid >= header.uidnext
        ]
        state = DiskState.parse(header.disk)
        known = uidlist.stamp(place.uidlist_path) == state.uidlist
        seen = state.uidlist
        _write(place, state, whole)
        if not known:
            state.saw_uidlist(seen)  # still to be read
        place.index.set(disk=state.format())
