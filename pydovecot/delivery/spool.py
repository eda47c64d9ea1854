"""A message while it arrives: in memory, and in an unlinked file when it is large."""

import os
import tempfile
from collections.abc import Iterator
from typing import BinaryIO, Final

from pydovecot.model.errors import InternalError

MEMORY_BYTES: Final = 128 * 1024
READ_BYTES: Final = 1 << 16


class Spool:
    """Written once, then read any number of times. `close` frees it."""

    def __init__(self, folder: str) -> None:
        self._folder = folder
        self._parts: list[bytes] = []
        self._file: BinaryIO | None = None
        self.size = 0

    def write(self, data: bytes) -> None:
        """Append. Raises InternalError when the folder is full or not there."""
        self.size += len(data)
        if self._file is None:
            self._parts.append(data)
            if self.size <= MEMORY_BYTES:
                return
            data = b"".join(self._parts)
            self._parts = []
        try:
            if self._file is None:
                self._file = tempfile.TemporaryFile(dir=self._folder, prefix="pydovecot.", buffering=0)  # noqa: SIM115
            view = memoryview(data)
            while view:
                view = view[self._file.write(view) :]
        except OSError as exc:
            raise InternalError(f"write({self._folder}) failed: {exc.strerror}") from exc

    def chunks(self) -> Iterator[bytes]:
        """The message in pieces."""
        if self._file is None:
            yield from self._parts
            return
        at = 0
        while data := os.pread(self._file.fileno(), READ_BYTES, at):
            at += len(data)
            yield data

    def head(self, size: int) -> bytes:
        """The first `size` octets."""
        if self._file is not None:
            return os.pread(self._file.fileno(), size, 0)
        found, left = [], size
        for part in self._parts:
            found.append(part[:left])
            left -= len(found[-1])
            if not left:
                break
        return b"".join(found)

    def close(self) -> None:
        """Free memory and disk."""
        self._parts = []
        if self._file is not None:
            self._file.close()
            self._file = None
