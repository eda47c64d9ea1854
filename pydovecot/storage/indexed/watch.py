"""Waking up when a mailbox changed: inotify on its directories and on the index."""

import ctypes
import os
from collections.abc import Sequence
from typing import Final

import inotify_simple
from inotify_simple import INotify, flags

# Left alone it asks ctypes.util.find_library, which runs ldconfig and a compiler at the first use.
inotify_simple._libc = ctypes.CDLL(None, use_errno=True)

_MASK: Final = flags.CREATE | flags.DELETE | flags.MOVED_FROM | flags.MOVED_TO | flags.ATTRIB
_EVENT_BYTES: Final = 65536


class Watch:
    """`fd` turns readable on changes; None when the kernel has no inotify (or no more of it) for us."""

    def __init__(self, paths: Sequence[str]) -> None:
        self.fd: int | None = None
        self._inotify: INotify | None = None
        try:
            self._inotify = INotify(nonblocking=True)
            for path in paths:
                self._inotify.add_watch(path, _MASK)
        except OSError:
            self.close()
            return
        self.fd = self._inotify.fileno()

    def drain(self) -> bool:
        """Throw all events away; True when there were any (or it cannot be known)."""
        if self.fd is None:
            return True
        seen = False
        try:
            while os.read(self.fd, _EVENT_BYTES):
                seen = True
        except BlockingIOError:
            pass
        return seen

    def close(self) -> None:
        """Stop watching."""
        if self._inotify is not None:
            self._inotify.close()
        self._inotify, self.fd = None, None
