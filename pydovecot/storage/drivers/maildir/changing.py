"""STORE and EXPUNGE: files are renamed and unlinked, then the index follows in the same transaction."""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from pydovecot.base.rawname import raw
from pydovecot.index.mailbox import DELETED, UID_MASK
from pydovecot.storage.api import ExpungedError
from pydovecot.storage.content import crlf_size
from pydovecot.storage.drivers.maildir import filename, numbering, uidlist
from pydovecot.storage.drivers.maildir.place import NEW, MaildirPlace
from pydovecot.storage.indexed.folder import StateChange, StoreOutcome
from pydovecot.storage.indexed.watch import ring

BULK: Final = 400  # UIDs that are asked for by number; more are read as one range

Row = tuple[int, int, int, str]  # uid, modseq, state, name


def rows_of(place: MaildirPlace, uids: Sequence[int]) -> list[Row]:
    """Rows of those messages that are there, ascending."""
    if not uids:
        return []
    select = "SELECT id & ?, modseq, state, name FROM msg WHERE id"
    low, high = place.index.key(uids[0]), place.index.key(uids[-1])
    rows: list[Row]
    if len(uids) == uids[-1] - uids[0] + 1 or len(uids) > BULK:
        rows = place.host.database.rows(f"{select} BETWEEN ? AND ?", (UID_MASK, low, high))
        if len(rows) != len(uids):
            wanted = set(uids)
            rows = [row for row in rows if row[0] in wanted]
        return rows
    listed = ",".join([str(place.index.key(uid)) for uid in uids])
    rows = place.host.database.rows(f"{select} IN ({listed}) ORDER BY id", (UID_MASK,))
    return rows


def store(
    place: MaildirPlace, uids: Sequence[int], change: StateChange, unchanged_since: int | None
) -> StoreOutcome:
    """Change flags of what is there now, not of what some view shows."""
    outcome = StoreOutcome()
    index = place.index
    unseen = False  # a change that no file name shows
    with place.host.database.write():
        index.begin()
        rows = rows_of(place, uids)
        outcome.gone = len(rows) < len(uids)
        changes: list[tuple[int, int, int, str]] = []
        late: list[Row] = []
        with place.own_changes() as state, _renamer(place) as rename:
            for row in rows:
                uid, modseq, old, name = row
                new = change.apply(old)
                if unchanged_since is not None and modseq > unchanged_since:
                    outcome.modified.append(uid)
                    continue
                if new == old:
                    outcome.states.append((uid, old, False))
                    continue
                target = filename.with_state(name.removeprefix(NEW), new)
                try:
                    if target != name:
                        rename(name, target)
                except FileNotFoundError:
                    late.append(row)
                    continue
                state.in_new -= name.startswith(NEW)
                unseen |= target == name
                changes.append((uid, old, new, target))
            if late:
                outcome.gone |= _late(place, late, change, changes)
        changes.sort()
        index.change(changes)
        outcome.states += [(uid, new, True) for uid, _, new, _ in changes]
        outcome.states.sort()
        if changes:
            outcome.modseq = index.modseq()
    if unseen:
        ring(place.path + "/cur")
    return outcome


@contextmanager
def _renamer(place: MaildirPlace) -> Iterator[Callable[[str, str], None]]:
    """Renames names in cur/ relative to its descriptor: the kernel walks no path for each of thousands."""
    fd = os.open(place.path + "/cur", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:

        def rename(name: str, target: str) -> None:
            if name.startswith(NEW):
                os.rename(place.file_of(name), raw(target), dst_dir_fd=fd)
            else:
                os.rename(raw(name), raw(target), src_dir_fd=fd, dst_dir_fd=fd)

        yield rename
    finally:
        os.close(fd)


def _late(
    place: MaildirPlace,
    late: Sequence[Row],
    change: StateChange,
    changes: list[tuple[int, int, int, str]],
) -> bool:
    """Messages that somebody else renamed before us: apply the change to the flags they have now."""
    found = place.locate([filename.base_of(row[3].removeprefix(NEW)) for row in late])
    gone = False
    for uid, _, old, name in late:
        now = found.get(filename.base_of(name.removeprefix(NEW)))
        if now is None:
            gone = True  # the next sync removes it from the index
            continue
        told = old & ~filename.FILE_BITS | filename.state_of(now)
        new = change.apply(told)
        target = filename.with_state(now.removeprefix(NEW), new)
        try:
            if target != now:
                os.rename(place.file_of(now), place.file_of(target))
        except FileNotFoundError:
            gone = True
            continue
        changes.append((uid, old, new, target))
    return gone


def sizes_of_one(place: MaildirPlace, row: Row) -> tuple[int, int]:
    """Octets of one message as stored and in the CRLF form: by the index, its name or its bytes."""
    uid, _, _, name = row
    told = filename.sizes_of(name)
    known = place.host.database.row("SELECT psize, size FROM msg WHERE id = ?", (place.index.key(uid),))
    stored, crlf = known if known is not None else (None, None)
    stored, crlf = stored or told[0], crlf or told[1]
    if stored is None or crlf is None:
        try:
            data = place.with_file(name, _read)
        except ExpungedError:
            return 0, 0
        return len(data), crlf_size(data)
    return stored, crlf


def sizes(place: MaildirPlace, uids: Sequence[int]) -> tuple[int, int, int]:
    """How many of these messages there are, and their octets."""
    found = [sizes_of_one(place, row) for row in rows_of(place, uids)]
    return len(found), sum(size[0] for size in found), sum(size[1] for size in found)


def _read(path: str) -> bytes:
    with open(path, "rb") as file:
        return file.read()


def expunge(place: MaildirPlace, uids: Sequence[int], *, only_deleted: bool) -> None:
    """Remove messages; those that are gone already are gone from the index, too."""
    gone = remove(place, uids, only_deleted=only_deleted)
    if gone.messages:
        tell(place, gone)
        numbering.compress(place)


@dataclass(frozen=True, slots=True)
class Removed:
    """What there is less. `crlf_octets`: only where a hook wants to know."""

    messages: int = 0
    octets: int = 0
    crlf_octets: int = 0


def tell(place: MaildirPlace, gone: Removed) -> None:
    """To whoever counts; no lock may be held."""
    place.host.count_quota(-gone.octets, -gone.messages)
    if place.hook is not None and gone.messages:
        place.hook.left(gone.messages, gone.octets, gone.crlf_octets)


def remove(place: MaildirPlace, uids: Sequence[int], *, only_deleted: bool) -> Removed:
    """The same without what needs the uidlist's lock."""
    index = place.index
    with place.host.database.write():
        index.begin()
        rows = rows_of(place, uids)
        if only_deleted:
            rows = [row for row in rows if row[2] & DELETED]
        if not rows:
            return Removed()
        removed: list[int] = []
        octets = crlf_octets = 0
        with place.own_changes() as state:
            for row in rows:
                uid, _, _, name = row
                size = sizes_of_one(place, row) if place.hook is not None else filename.sizes_of(name)
                if not _unlink(place, name, only_deleted):
                    continue
                removed.append(uid)
                octets, crlf_octets = octets + (size[0] or 0), crlf_octets + (size[1] or 0)
                state.in_new -= name.startswith(NEW)
        index.expunge(removed)
    return Removed(len(removed), octets, crlf_octets)


def _unlink(place: MaildirPlace, name: str, only_deleted: bool) -> bool:
    """True when the file is gone now."""
    try:
        os.unlink(place.file_of(name))
    except FileNotFoundError:
        base = filename.base_of(name.removeprefix(NEW))
        now = place.locate([base]).get(base)
        if now is None:
            return True
        if only_deleted and not filename.state_of(now) & DELETED:
            return False  # somebody has taken the flag away: the next sync tells
        try:
            os.unlink(place.file_of(now))
        except FileNotFoundError:
            return False
    return True


def save_uidls(place: MaildirPlace, uidls: Sequence[tuple[int, str]]) -> None:
    """Write POP3 UIDLs as P into the uidlist and into the index."""
    values = {uid: uidl for uid, uidl in uidls if uidlist.can_hold(uidl)}
    if not values:
        return
    with place.uidlist_lock() as writable, place.host.database.write():
        state = place.disk()
        if writable and uidlist.stamp(place.uidlist_path) == state.uidlist:
            whole = uidlist.read(place.uidlist_path)
            for entry in whole.entries:
                if entry.uid in values:
                    fields = uidlist.extra_fields(entry.extra)
                    fields["P"] = values[entry.uid]
                    entry.extra = uidlist.format_extra(fields)
            permissions = place.host.permissions
            uidlist.write(place.uidlist_path, whole, mode=permissions.file_mode, gid=permissions.gid)
            state.saw_uidlist(uidlist.stamp(place.uidlist_path))
            place.index.set(disk=state.format())
        place.host.database.executemany(
            "UPDATE msg SET uidl = ? WHERE id = ?",
            [(uidl, place.index.key(uid)) for uid, uidl in values.items()],
        )
