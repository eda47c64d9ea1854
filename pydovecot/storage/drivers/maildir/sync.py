"""Bringing the index up to what is in a Maildir: new, renamed and vanished files, and UIDs for the new ones.

UIDs are given under dovecot-uidlist.lock only. What is merely renamed or gone needs no lock.
"""

import os
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

from pydovecot.base.rawname import shown_all
from pydovecot.index.mailbox import UID_MASK, Header
from pydovecot.storage.api import MailboxGoneError
from pydovecot.storage.drivers.maildir import filename, numbering
from pydovecot.storage.drivers.maildir.disk import DiskState, Times, changed
from pydovecot.storage.drivers.maildir.place import NEW, MaildirPlace

FEW: Final = 500  # rows that are looked up by their name one by one instead of all at once
MAX_LISTINGS: Final = 5  # of a directory that changes while it is read
CONFIRM_SECS: Final = 0.012  # longer than the tick of directory times

Row = tuple[int, int, str]  # uid, state, name


class _NeedsLock(Exception):
    """New messages were found, or the uidlist changed."""


@dataclass(slots=True)
class _Found:
    """Differences between the index and the directories."""

    added: list[str] = field(default_factory=list)
    missing: list[Row] = field(default_factory=list)
    known: set[str] = field(default_factory=set)  # names in the index of the part that was compared


def sync(place: MaildirPlace, *, take_new: bool, after: int = 0) -> None:
    """See Folder.sync. Three stat calls when nothing happened."""
    try:
        _sync(place, take_new, after)
    except FileNotFoundError as exc:
        if os.path.isdir(place.path + "/cur") and os.path.isdir(place.control):
            raise
        raise MailboxGoneError(place.path) from exc  # deleted between two of the steps


def _sync(place: MaildirPlace, take_new: bool, after: int) -> None:
    if place.host.database.refresh():
        place.index.forget()
    times = place.times()
    header = place.index.header()
    if not _worth_it(place, times, header, take_new, after):
        return
    state = DiskState.parse(header.disk)
    if header.uidvalidity and place.uidlist_stamp() == state.uidlist and not _arrived(place, state, times):
        try:
            with place.host.database.write():
                # Many sessions are woken by one change: the first that gets here has done it for all.
                if not after or _worth_it(place, place.times(), place.index.header(), take_new, after):
                    _Sync(place, take_new, locked=False, after=after).run()
            return
        except _NeedsLock:
            pass
    with place.uidlist_lock() as writable, place.host.database.write():
        _Sync(place, take_new, locked=True, writable=writable, after=after).run()


def _arrived(place: MaildirPlace, state: DiskState, times: Times) -> bool:
    """There is new mail, surely: it needs an UID and so the lock, and no transaction to find that out."""
    if state.in_new or times.new == state.new_time:
        return False
    return bool(os.listdir(place.path + "/new"))


def catch_up(place: MaildirPlace, *, writable: bool) -> None:
    """Number what others have numbered (locked, in a write transaction), before UIDs of our own follow."""
    header = place.index.header()
    if not header.uidvalidity or place.uidlist_stamp() != DiskState.parse(header.disk).uidlist:
        _Sync(place, take_new=False, locked=True, writable=writable).run()


def _worth_it(place: MaildirPlace, times: Times, header: Header, take_new: bool, after: int) -> bool:
    state, now, tick = DiskState.parse(header.disk), time.time_ns(), place.host.tick
    return (
        changed(times.new, state.new_time, state.new_at, now, tick, after)
        or changed(times.cur, state.cur_time, state.cur_at, now, tick, after)
        or place.uidlist_stamp() != state.uidlist
        or (take_new and state.in_new > 0)
        or (state.own_at != 0 and now - state.own_at > place.host.own_ns)
        or not header.uidvalidity
    )


class _Sync:
    """One pass, inside a write transaction."""

    def __init__(
        self, place: MaildirPlace, take_new: bool, *, locked: bool, writable: bool = True, after: int = 0
    ) -> None:
        self._place, self._index, self._after = place, place.index, after
        self._take_new, self._locked, self._writable = take_new, locked, writable
        self._header = self._index.header()
        self._state = DiskState.parse(self._header.disk)
        self._now = time.time_ns()

    def run(self) -> None:
        """Compare and take over."""
        self._index.begin()
        numbers = None
        if self._locked:
            numbers = numbering.read(self._place, self._header, self._state, writable=self._writable)
            if numbers.replaced:
                self._header = self._index.header()
        times = self._place.times()
        tick = self._place.host.tick
        both = self._locked or self._cur_changed(times.cur, tick)
        found = self._compare(both)
        renamed = self._renamed(found)
        if found.added and numbers is None:
            raise _NeedsLock
        fresh = self._fresh(found, renamed) if found.added else []
        if found.missing:
            self._confirm(found, renamed, both)
        if numbers is not None:
            self._follow(numbers, found, renamed, fresh)
        if renamed or fresh or self._locked:
            self._place.load_keywords()
            self._state = self._reload_state()
        self._apply(found, renamed)
        self._state.new_time, self._state.new_at = times.new, self._now
        if both:
            self._state.cur_time, self._state.cur_at, self._state.own_at = times.cur, self._now, 0
        if numbers is not None:
            self._add(numbers, fresh)
        self._index.set(disk=self._state.format())
        if self._take_new and self._state.in_new:
            self._move_new()

    def _follow(
        self,
        numbers: numbering.Numbers,
        found: _Found,
        renamed: list[tuple[Row, str]],
        fresh: list[filename.Parsed],
    ) -> None:
        """Dovecot has given known messages new UIDs ("Expunged message reappeared"): the uidlist is right."""
        strangers = numbers.strangers({one[1] for one in fresh})
        if not strangers:
            return
        rows: list[Row] = self._place.host.database.rows(
            "SELECT id & ?, state, name FROM msg WHERE id BETWEEN ? AND ?", (UID_MASK, *self._index.span)
        )
        now = {row[0]: name for row, name in renamed}
        gone = {row[0] for row in found.missing}
        moved = {row[0]: row for row in rows if _base(row[2]) in strangers and row[0] not in gone}
        renamed[:] = [pair for pair in renamed if pair[0][0] not in moved]
        found.missing += moved.values()
        fresh += filename.parse_all([now.get(uid, row[2]) for uid, row in moved.items()])

    def _reload_state(self) -> DiskState:
        """load_keywords may have stored another one."""
        stored = DiskState.parse(self._index.header().disk)
        state = self._state
        state.keywords_inode, state.keywords_size, state.keywords_time = stored.keywords
        return state

    def _cur_changed(self, cur: int, tick: int) -> bool:
        state = self._state
        return changed(cur, state.cur_time, state.cur_at, self._now, tick, self._after) or (
            state.own_at != 0 and self._now - state.own_at > self._place.host.own_ns
        )

    # -- differences ---------------------------------------------------------------------------------------

    def _compare(self, both: bool) -> _Found:
        try:
            names = [NEW + name for name in shown_all(os.listdir(self._place.path + "/new"))]
            if both:
                names += shown_all(os.listdir(self._place.path + "/cur"))
        except FileNotFoundError as exc:
            raise MailboxGoneError(self._place.path) from exc
        row = self._place.host.database.row(
            "SELECT group_concat(name, char(10)) FROM msg WHERE id BETWEEN ? AND ?"
            + ("" if both else " AND name LIKE 'new/%'"),
            self._index.span,
        )
        known = set(row[0].split("\n")) if row[0] else set()
        present = set(names)
        found = _Found(known=known)
        if present != known:
            # Sorted: nearly the order of arrival, and what follows walks through memory in one direction.
            found.added = _messages(sorted(present - known))
            found.missing = self._rows(known - present)
        return found

    def _rows(self, names: set[str]) -> list[Row]:
        """Rows of messages by name."""
        if not names:
            return []
        query, bind = (
            "SELECT id & ?, state, name FROM msg WHERE id BETWEEN ? AND ?",
            (UID_MASK, *self._index.span),
        )
        if len(names) <= FEW:
            marks = ",".join("?" * len(names))
            rows: list[Row] = self._place.host.database.rows(
                f"{query} AND name IN ({marks})", (*bind, *names)
            )
            return rows
        return [row for row in self._place.host.database.rows(query, bind) if row[2] in names]

    def _renamed(self, found: _Found) -> list[tuple[Row, str]]:
        """Missing messages whose base came back under another name; both lists lose them."""
        if not found.missing or not found.added:
            return []
        by_base = {_base(row[2]): row for row in found.missing}
        out: list[tuple[Row, str]] = []
        rest: list[str] = []
        for name in found.added:
            row = by_base.pop(_base(name), None)
            if row is None:
                rest.append(name)
            else:
                out.append((row, name))
        found.added = rest
        found.missing = list(by_base.values())
        return out

    def _fresh(self, found: _Found, renamed: Sequence[tuple[Row, str]]) -> list[filename.Parsed]:
        """Added names that are new messages; second names of messages that are there are dealt with."""
        parsed = filename.parse_all(found.added)
        if not found.known and len({one[1] for one in parsed}) == len(parsed):
            return parsed
        known = {_base(name): name for name in found.known} if found.known else {}
        known.update((_base(name), name) for _, name in renamed)
        fresh: dict[str, filename.Parsed] = {}
        for one in parsed:
            other = fresh[one[1]][0] if one[1] in fresh else known.get(one[1])
            if other is None:
                fresh[one[1]] = one
                continue
            again = self._duplicate(other, one[0])
            if again:
                (one,) = filename.parse_all([again])
                fresh[one[1]] = one
        return list(fresh.values())

    def _duplicate(self, one: str, two: str) -> str | None:
        """Two files of one base. A name for the second if it is another message, else None."""
        place = self._place
        try:
            first, second = os.stat(place.file_of(one)), os.stat(place.file_of(two))
        except FileNotFoundError:
            return None  # a rename in progress: the next sync sees what became of it
        if first.st_ino == second.st_ino or not self._writable:
            return None
        base, colon, info = two.removeprefix(NEW).partition(":")
        sizes = base[base.find(",") :] if "," in base else ""
        again = f"{place.host.names.next()}{sizes}{colon}{info}"
        again = NEW + again if two.startswith(NEW) else again
        os.rename(place.file_of(two), place.file_of(again))
        return again

    def _confirm(self, found: _Found, renamed: list[tuple[Row, str]], both: bool) -> None:
        """A listing can miss files that are renamed meanwhile: look again before anything counts as gone."""
        for attempt in range(MAX_LISTINGS):
            before = self._place.times()
            if attempt:
                time.sleep(CONFIRM_SECS)
            there: dict[str, str] = {}
            for name in self._place.listing():
                there[_base(name)] = name
            still: list[Row] = []
            for row in found.missing:
                name = there.get(_base(row[2]), "")
                if name:
                    if name != row[2]:
                        renamed.append((row, name))
                else:
                    still.append(row)
            found.missing = still
            after = self._place.times()
            quiet = self._now - max(after.cur, after.new) > self._place.host.tick
            if not still or quiet or (attempt and (before.cur, before.new) == (after.cur, after.new)):
                return

    # -- taking over ---------------------------------------------------------------------------------------

    def _apply(self, found: _Found, renamed: Iterable[tuple[Row, str]]) -> None:
        changes: list[tuple[int, int, int, str]] = []
        names: list[tuple[int, str]] = []
        for (uid, state, old), name in sorted(renamed):
            told = state & ~filename.FILE_BITS | filename.state_of(name)
            self._state.in_new += name.startswith(NEW) - old.startswith(NEW)
            if told != state:
                changes.append((uid, state, told, name))
            else:
                names.append((uid, name))
        self._index.change(changes)
        if names:
            self._index.rename(names)
        self._state.in_new -= sum(row[2].startswith(NEW) for row in found.missing)
        self._index.expunge(sorted(row[0] for row in found.missing))

    def _add(self, numbers: numbering.Numbers, fresh: Sequence[filename.Parsed]) -> None:
        """Number new messages and add them."""
        mails = numbers.give(fresh)
        self._state = numbers.state
        self._index.add(mails)
        self._state.in_new += sum([mail[2].startswith(NEW) for mail in mails])
        # What another program has numbered and moved to cur/ was seen there. As Dovecot.
        seen = [mail[0] for mail in mails if mail[0] < numbers.given and not mail[2].startswith(NEW)]
        header = self._index.header()
        if seen and seen[-1] >= header.first_recent:
            self._index.set(first_recent=seen[-1] + 1)
        if numbers.uidnext > header.uidnext:
            self._index.set(uidnext=numbers.uidnext)

    def _move_new(self) -> None:
        """A session has seen them: from new/ to cur/."""
        rows = self._place.host.database.rows(
            "SELECT id & ?, name FROM msg WHERE id BETWEEN ? AND ? AND name LIKE 'new/%'",
            (UID_MASK, *self._index.span),
        )
        moved: list[tuple[int, str]] = []
        with self._place.own_changes() as state:
            for uid, name in rows:
                target = name.removeprefix(NEW)
                target = target if ":" in target else target + filename.INFO
                try:
                    os.rename(self._place.file_of(name), self._place.file_of(target))
                except FileNotFoundError:
                    continue  # gone or moved: the next sync finds out
                except OSError:
                    break  # a read-only Maildir
                moved.append((uid, target))
            self._index.rename(moved)
            state.in_new -= len(moved)


def _base(name: str) -> str:
    return filename.base_of(name.removeprefix(NEW))


def _messages(names: list[str]) -> list[str]:
    """Without hidden files, and without names with a newline, which cannot be in a uidlist."""
    joined = "\n" + "\n".join(names)
    if "\n." not in joined and "\nnew/." not in joined and joined.count("\n") == len(names):
        return names
    return [name for name in names if not name.startswith((".", "new/.")) and "\n" not in name]
