"""The subscriptions file: version 2 (`V\\t2`, an empty line, levels separated by TAB) or plain lines.

A file keeps the version it has; a new one is version 2.
"""

import os
from collections.abc import Sequence
from typing import Final

from pydovecot.base import tabescape
from pydovecot.base.dotlock import Dotlock
from pydovecot.base.mutf7 import decode_lenient, encode_lenient
from pydovecot.base.replace_file import replace_file
from pydovecot.model.errors import Code, UserError

HEADER: Final = b"V\t2\n\n"
MAX_BYTES: Final = 16 << 20  # of a file, as much as anybody can have subscribed to
LOCK_SECS: Final = 120


class Subscriptions:
    """Names with their hierarchy separated by `separator`."""

    def __init__(self, path: str, separator: str, *, mode: int = 0o600, gid: int = -1) -> None:
        self._path, self._separator = path, separator
        self._mode, self._gid = mode, gid
        self._seen: tuple[int, int, int] | None = None
        self._names: list[str] = []
        self._version = 2

    def names(self) -> Sequence[str]:
        """In the order of the file."""
        try:
            found = os.stat(self._path)
        except (FileNotFoundError, NotADirectoryError):
            self._seen, self._names, self._version = None, [], 2
            return self._names
        seen = (found.st_ino, found.st_size, found.st_mtime_ns)
        if seen != self._seen:
            self._read()
            self._seen = seen
        return self._names

    def _read(self) -> None:
        with open(self._path, "rb") as stream:
            data = stream.read(min(MAX_BYTES, os.fstat(stream.fileno()).st_size))
        first, _, rest = data.partition(b"\n")
        self._version = 2 if first == HEADER.strip() else 1
        if self._version == 2:
            lines = rest.split(b"\n")
            names = [
                self._separator.join(decode_lenient(p) for p in tabescape.split(line))
                for line in lines
                if line
            ]
        else:
            names = [
                self._separator.join(decode_lenient(p) for p in line.split(self._separator.encode()))
                for line in data.split(b"\n")
                if line
            ]
        self._names = list(dict.fromkeys(names))

    def _line(self, name: str) -> bytes:
        parts = [encode_lenient(part) for part in name.split(self._separator)]
        if self._version == 2:
            return tabescape.join(parts)
        return self._separator.encode().join(parts) + b"\n"

    def set(self, name: str, subscribed: bool) -> bool:
        """Add or remove a name; False when nothing changed."""
        if (name in self.names()) == subscribed:
            return False
        try:
            return self._set(name, subscribed)
        except PermissionError:
            raise UserError(Code.NOPERM, "No permission to modify subscriptions") from None

    def _set(self, name: str, subscribed: bool) -> bool:
        with Dotlock(self._path, timeout=LOCK_SECS):
            names = list(self.names())
            if (name in names) == subscribed:
                return False
            if subscribed:
                names.append(name)
            else:
                names.remove(name)
            with replace_file(self._path, mode=self._mode, gid=self._gid, fsync=True) as out:
                if self._version == 2:
                    out.write(HEADER)
                for entry in names:
                    out.write(self._line(entry))
            self._seen = None
        return True
