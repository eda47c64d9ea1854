"""What we last saw of a mailbox's files, so that an unchanged Maildir costs three stat calls.

A directory's time tells that names in it changed, but only to the kernel's clock tick: a time that was young
when it was read is not trusted, and the directory is read once more after a moment. Times that our own
renames caused are believed for longer (a foreign rename in the same tick shows up a little later).
"""

import os
from collections.abc import Callable
from dataclasses import dataclass, fields
from operator import attrgetter
from typing import Final

from pydovecot.storage.drivers.maildir.keywords import stamp as keywords_stamp
from pydovecot.storage.drivers.maildir.uidlist import Stamp

TICK_NS: Final = 100_000_000  # file systems keep time in ticks of at most 10 ms; a margin
NFS_TICK_NS: Final = 2_000_000_000
OWN_NS: Final = 10_000_000_000  # how long our own changes are believed to be the only ones
NEVER_NS: Final = 1 << 62  # maildir_very_dirty_syncs: until somebody else changes something


@dataclass(slots=True)
class DiskState:
    """Stored as numbers in the index; all zero: nothing seen yet."""

    new_time: int = 0
    new_at: int = 0
    cur_time: int = 0
    cur_at: int = 0
    own_at: int = 0
    list_inode: int = 0
    list_size: int = 0
    list_time: int = 0
    keywords_inode: int = 0
    keywords_size: int = 0
    keywords_time: int = 0
    lines: int = 0  # of the uidlist
    in_new: int = 0  # messages that are still in new/

    @classmethod
    def parse(cls, text: str) -> "DiskState":
        """From the index."""
        return cls(*map(int, text.split())) if text else cls()

    def format(self) -> str:
        """For the index."""
        return " ".join(map(str, _numbers(self)))

    @property
    def uidlist(self) -> Stamp:
        """The uidlist as it was."""
        return (self.list_inode, self.list_size, self.list_time)

    def saw_uidlist(self, stamp: Stamp) -> None:
        """The uidlist as it is."""
        self.list_inode, self.list_size, self.list_time = stamp

    @property
    def keywords(self) -> tuple[int, int, int]:
        """dovecot-keywords as it was."""
        return (self.keywords_inode, self.keywords_size, self.keywords_time)

    def saw_keywords(self, path: str) -> None:
        """dovecot-keywords as it is."""
        self.keywords_inode, self.keywords_size, self.keywords_time = keywords_stamp(path)


# Formatted with every change: dataclasses.astuple would copy value by value.
_numbers: Final[Callable[[DiskState], tuple[int, ...]]] = attrgetter(*(one.name for one in fields(DiskState)))


def changed(time: int, known: int, known_at: int, now: int, tick: int, after: int = 0) -> bool:
    """A directory must be read again. `after`: when something is known to have happened."""
    return time != known or (known_at - known < tick and (tick <= now - known or known_at < after))


class Times:
    """mtimes of new/ and cur/. FileNotFoundError when the mailbox is gone."""

    __slots__ = ("cur", "new")

    def __init__(self, path: str) -> None:
        self.new = os.stat(path + "/new").st_mtime_ns
        self.cur = os.stat(path + "/cur").st_mtime_ns


def own_change(state: DiskState, before: Times, after: Times, now: int, tick: int) -> None:
    """Our renames made `after` of `before`; what had been seen before is still all there is.

    A time that was too young to be trusted stays so.
    """
    if before.new == state.new_time and after.new != before.new:
        young = state.new_at - state.new_time < tick
        state.new_time, state.new_at, state.own_at = after.new, after.new + (0 if young else tick), now
    if before.cur == state.cur_time and after.cur != before.cur:
        young = state.cur_at - state.cur_time < tick
        state.cur_time, state.cur_at, state.own_at = after.cur, after.cur + (0 if young else tick), now
