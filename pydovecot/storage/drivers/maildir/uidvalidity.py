"""dovecot-uidvalidity: UIDVALIDITY values of one location never repeat.

The last value is 8 hex digits in `dovecot-uidvalidity`, and the suffix of an empty file
`dovecot-uidvalidity.6b052840` that is renamed to the next number: two processes cannot take the same one.
"""

import os
import re
import time
from typing import Final

from pydovecot.base.replace_file import replace_file

FILE_NAME: Final = "dovecot-uidvalidity"
_SUFFIX: Final = re.compile(FILE_NAME + r"\.([0-9a-f]{8})")
MAX_TRIES: Final = 1000
MAX_VALUE: Final = 0xFFFFFFFF


def take_next(directory: str, *, mode: int = 0o600, gid: int = -1) -> int:
    """A value that no mailbox of this location has had."""
    path = os.path.join(directory, FILE_NAME)
    for _ in range(MAX_TRIES):
        current = _current(directory)
        if current is None:
            value = max(int(time.time()), _read(path) + 1)
            taken = _first(f"{path}.{value:08x}")
        else:
            value = max(current, _read(path)) + 1
            taken = _rename(f"{path}.{current:08x}", f"{path}.{value & MAX_VALUE:08x}")
        if taken:
            value &= MAX_VALUE
            with replace_file(path, mode=mode, gid=gid) as out:
                out.write(b"%08x" % value)
            return value
    # Somebody removes the files all the time; the clock is what remains.
    return int(time.time())


def _current(directory: str) -> int | None:
    """The largest number among the companion files."""
    numbers = [int(match[1], 16) for name in os.listdir(directory) if (match := _SUFFIX.fullmatch(name))]
    return max(numbers, default=None)


def _read(path: str) -> int:
    try:
        with open(path, "rb") as stream:
            return int(stream.read(8), 16)
    except (OSError, ValueError):
        return 0


def _first(path: str) -> bool:
    try:
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o444))
    except FileExistsError:
        return False
    return True


def _rename(old: str, new: str) -> bool:
    try:
        os.rename(old, new)
    except FileNotFoundError:
        return False
    return True
