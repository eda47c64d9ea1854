"""When the index must catch up with the file, and how much of it has to be read for that."""

from pydovecot.storage.drivers.mbox import writing
from pydovecot.storage.drivers.mbox.file import MboxFile
from pydovecot.storage.drivers.mbox.place import Disk, MboxPlace
from pydovecot.storage.drivers.mbox.reading import Pass, appended


def sync(place: MboxPlace, *, take_new: bool, full: bool = False) -> None:
    """See Folder.sync. One stat call when nothing happened."""
    if place.database.refresh():
        place.index.forget()
    header = place.index.header()
    disk = Disk.parse(header.disk)
    if header.uidvalidity and disk.knows(place.stamp()) and not _again(place, disk, full):
        if not (take_new and disk.recent_from < header.uidnext):
            return
        if place.host.habits.lazy_writes and _seen_lazily(place):
            return
    with place.locked(write=True) as file, place.database.write():
        catch_up(place, file, take_new=take_new, full=full)


def _again(place: MboxPlace, disk: Disk, full: bool) -> bool:
    """Parts of the file that were not looked at shall be."""
    return full and disk.behind and not place.host.habits.very_dirty_syncs


def _seen_lazily(place: MboxPlace) -> bool:
    """A session sees messages that were new to all; the file will tell later."""
    with place.database.write():
        header = place.index.header()
        disk = Disk.parse(header.disk)
        if not disk.knows(place.stamp()):
            return False
        _mark_old(place, disk, header.uidnext)
        place.index.set(disk=disk.format())
    return True


def catch_up(
    place: MboxPlace, file: MboxFile, *, take_new: bool = False, full: bool = False, force: bool = False
) -> None:
    """The same with the file locked, inside a write transaction. `force`: nothing is as the index has it."""
    header = place.index.header()
    disk = Disk.parse(header.disk)
    known = header.uidvalidity and disk.knows(file.stamp()) and not force
    if not known or _again(place, disk, full):
        added = None
        if not known and not force and not _again(place, Disk(behind=True), full):
            added = appended(place, file, disk, header)
        # UIDs are written at once.
        lazy = place.host.habits.lazy_writes and bool(header.uidvalidity)
        eager = not place.host.habits.lazy_writes and added is None
        reading = Pass(place, file, disk, take_new=take_new and eager, lazy=lazy, part=added)
        reading.run()
        if reading.numbered and place.host.habits.lazy_writes:
            writing.number(place, file)
        header = place.index.header()
        disk = Disk.parse(header.disk)
    if take_new and disk.recent_from < header.uidnext:
        _mark_old(place, disk, header.uidnext)
        place.index.set(disk=disk.format())
    if not place.host.habits.lazy_writes:
        writing.flush_or_leave(place, file)


def _mark_old(place: MboxPlace, disk: Disk, uidnext: int) -> None:
    """Messages that nobody had seen get their mark, when they are written."""
    disk.dirty = disk.dirty or place.unmarked(disk.recent_from, uidnext)
    disk.recent_from = uidnext
