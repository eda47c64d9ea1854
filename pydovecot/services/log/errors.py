"""The last warnings and errors, for `doveadm log errors` (UNIX socket log-errors)."""

import time
from collections import deque
from typing import Final

from pydovecot.base import tabescape
from pydovecot.event.event import Level
from pydovecot.event.wire import Record

KEPT: Final = 1000
_WORDS: Final = {
    Level.WARNING: "warning",
    Level.ERROR: "error",
    Level.FATAL: "fatal",
    Level.PANIC: "panic",
}


class ErrorMemory:
    """Keeps the last lines of level warning and above."""

    def __init__(self) -> None:
        self._kept: deque[tuple[int, Record]] = deque(maxlen=KEPT)

    def add(self, record: Record) -> None:
        """Remember a record if it is bad enough."""
        if record.level in _WORDS:
            self._kept.append((int(time.time()), record))

    def dump(self) -> bytes:
        """`type TAB time TAB prefix TAB text` lines, oldest first."""
        rows = [[_WORDS[r.level], str(when), r.prefix, r.text] for when, r in self._kept]
        return b"".join(map(tabescape.join_text, rows))
