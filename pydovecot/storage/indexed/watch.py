"""Waking up when a mailbox changed: inotify on its directories, and what their events say.

A change of ours renames files inside a write transaction, so the events come before what they tell of can be
read; the sync that follows waits for that transaction. What changes without any file (a keyword that has no
letter) is told by an attribute event, see `ring`.
"""

import ctypes
import errno
import os
import stat
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

import inotify_simple
from inotify_simple import INotify, flags

from pydovecot.base.rawname import shown

# Left alone it asks ctypes.util.find_library, which runs ldconfig and a compiler at the first use.
inotify_simple._libc = ctypes.CDLL(None, use_errno=True)

_NAMES: Final = int(flags.CREATE | flags.DELETE | flags.MOVED_FROM | flags.MOVED_TO)
_SELF: Final = int(flags.DELETE_SELF | flags.MOVE_SELF)
_LOST: Final = int(flags.Q_OVERFLOW | flags.IGNORED | flags.UNMOUNT) | _SELF
_CONTENT: Final = int(flags.MODIFY) | _SELF
_SYSCTL: Final = "/proc/sys/fs/inotify/"


@dataclass(frozen=True, slots=True)
class Watched:
    """One directory. `prefix` stands before the names in it; None: only its own fate matters.

    `content`: a file, whose content matters; when another file takes its name, that one is watched.
    """

    path: str
    prefix: str | None
    content: bool = False


@dataclass(slots=True)
class Seen:
    """What events told: names that came or went. `whole`: anything may have happened."""

    names: set[str] = field(default_factory=set)
    whole: bool = False


class Watch:
    """`fd` turns readable on changes; None when the kernel has no inotify (or no more of it) for us."""

    def __init__(self, directories: Sequence[Watched]) -> None:
        self.fd: int | None = None
        self.problem = ""  # why there is none, for the log
        self._inotify: INotify | None = None
        self._prefixes: dict[int, str] = {}
        self._files: dict[int, str] = {}
        try:
            self._inotify = INotify(nonblocking=True)
        except OSError as exc:
            self.problem = _limit(exc, errno.EMFILE, "instance limit of the user", "max_user_instances")
            return
        try:
            for one in directories:
                if one.content:
                    self._files[self._inotify.add_watch(one.path, _CONTENT)] = one.path
                    continue
                mask = _SELF if one.prefix is None else _SELF | _NAMES | int(flags.ATTRIB)
                self._prefixes[self._inotify.add_watch(one.path, mask)] = one.prefix or ""
        except OSError as exc:
            self.problem = _limit(exc, errno.ENOSPC, "watch limit of the user", "max_user_watches")
            self.close()
            return
        self.fd = self._inotify.fileno()

    def drain(self) -> Seen | None:
        """Take all events away; None when there were none."""
        if self._inotify is None:
            return Seen(whole=True)
        events = self._inotify.read(timeout=0)
        if not events:
            return None
        seen = Seen()
        for event in events:
            if event.wd in self._files and event.mask & (_SELF | int(flags.IGNORED)):
                self._follow(event.wd)
            if event.mask & _LOST:
                seen.whole = True
            elif event.mask & _NAMES and not event.name.startswith("."):
                seen.names.add(self._prefixes.get(event.wd, "") + shown(event.name))
        return seen

    def _follow(self, wd: int) -> None:
        """Another file may have the name now."""
        path = self._files.pop(wd)
        try:
            assert self._inotify is not None
            self._files[self._inotify.add_watch(path, _CONTENT)] = path
        except OSError:
            pass  # gone: the next sync tells

    def close(self) -> None:
        """Stop watching."""
        if self._inotify is not None:
            self._inotify.close()
        self._inotify, self.fd = None, None


def _limit(exc: OSError, number: int, what: str, name: str) -> str:
    if exc.errno == number:
        return f"{what} exceeded? Increase {_SYSCTL}{name}"
    return f"{exc.strerror}"


def ring(path: str) -> None:
    """Wake those who watch directory `path`, without a change of what is in it."""
    try:
        try:
            os.chmod(path, stat.S_IMODE(os.stat(path).st_mode))
        except PermissionError:
            os.utime(path)  # not ours, but we may write there: others will read it again in vain
    except OSError:
        pass  # gone, or read-only: they will see it when they look for another reason
