"""dovecot-keywords: names of the letters a-z in file names. `0 Junk\\n1 $Forwarded\\n`, at most 26."""

import os
import time
from typing import Final

from pydovecot.base.dotlock import Dotlock
from pydovecot.base.replace_file import replace_file

FILE_NAME: Final = "dovecot-keywords"
MAX_KEYWORDS: Final = 26
MAX_BYTES: Final = 1 << 16
LOCK_SECS: Final = 20  # Dovecot: KEYWORDS_LOCK_TIMEOUT is short, too


def read(path: str) -> list[str] | None:
    """Names by number, "" for holes; None when there is no file. Lines that make no sense are left out."""
    try:
        with open(path, "rb") as stream:
            text = stream.read(MAX_BYTES).decode("utf-8", "replace")
    except FileNotFoundError:
        return None
    names: list[str] = []
    for line in text.split("\n"):
        number, blank, name = line.partition(" ")
        if not blank or not number.isdigit() or len(number) > 2 or not name or " " in name:
            continue
        index = int(number)
        if index >= MAX_KEYWORDS:
            continue
        names.extend([""] * (index + 1 - len(names)))
        names[index] = name
    return names


def write(path: str, names: list[str], *, mode: int, gid: int, fsync: bool) -> None:
    """Replace the file; the uidlist must be locked."""
    with Dotlock(path, timeout=LOCK_SECS), replace_file(path, mode=mode, gid=gid, fsync=fsync) as out:
        for index, name in enumerate(names[:MAX_KEYWORDS]):
            if name:
                out.write(f"{index} {name}\n".encode())
        out.flush()
        # Dovecot compares whole seconds: each new content needs a later one.
        before = stamp(path)[2] // 1_000_000_000
        now = time.time()
        if now < before + 1:
            os.utime(out.fileno(), (now, before + 1))


NO_FILE: Final = (0, 0, 0)


def stamp(path: str) -> tuple[int, int, int]:
    """What tells one content from another."""
    try:
        found = os.stat(path)
    except FileNotFoundError:
        return NO_FILE
    return (found.st_ino, found.st_size, found.st_mtime_ns)
