"""What a child tells the master: how many more clients it can take (features F-03)."""

import os
import struct
from typing import Final

RECORD: Final = struct.Struct("=iII")  # pid, generation, available_count: struct master_status


class StatusPipe:
    """Sends the count when the master must know: full, no longer full, busy, idle. Others may be late."""

    def __init__(self, fd: int, limit: int, generation: int) -> None:
        self._fd = fd
        self._generation = generation
        self._limit = limit
        self._pid = os.getpid()
        self._sent = -1

    def update(self, available: int) -> bool:
        """Tell `available`; False when it was not urgent and was held back (call `flush` within a second)."""
        last = self._sent
        if available == last:
            return True
        crossing = 0 in (available, last) or self._limit in (available, last) or last < 0
        if not crossing:
            return False
        self.flush(available)
        return True

    def flush(self, available: int) -> None:
        """Tell `available` now."""
        if available == self._sent:
            return
        self._sent = available
        try:
            os.write(self._fd, RECORD.pack(self._pid, self._generation, available))
        except OSError:
            return  # the master is gone or has retired this generation; the dead pipe says so
