"""maildirsize, the file of Maildir++: limits in the first line, then what came and went, a line each.

    1000S,10C        octets and messages that are allowed; nothing that is 0
    794 2            what was counted when the file was made
    397 1            a message came
    -397 -1          one went

Whoever changes the mail appends a line. The file is made anew by counting when it is longer than 5120 bytes,
when its limits are not those that are configured, and when it says that the user is over the limit although
nobody has counted for 15 minutes. Byte for byte as Dovecot writes it.
"""

import os
import re
import time
from dataclasses import dataclass
from typing import Final

from pydovecot.base.dotlock import Dotlock, LockTimeout
from pydovecot.base.replace_file import replace_file
from pydovecot.plugins.quota.rules import BackendLimits, BadRule, Limits

FILE_NAME: Final = "maildirsize"
MAX_BYTES: Final = 5120
STALE_SECS: Final = 15 * 60  # usage beyond the limit is believed so long
STALE_LOCK_SECS: Final = 30
_LINE: Final = re.compile(rb"\s*([+-]?[0-9]{1,18})\s+([+-]?[0-9]{1,9})")
_LIMIT: Final = re.compile(r"([0-9]*)(.?)", re.DOTALL)
MAX_LIMIT: Final = (1 << 63) - 1


@dataclass(frozen=True, slots=True)
class Content:
    """What a file says. `used` None: nobody can tell, count again."""

    limits: Limits
    used: Limits | None
    lines: int  # of usage
    written: float  # mtime


def parse_limits(text: str) -> tuple[Limits, bool]:
    """`1000S,10C`; False: some of it is nothing of the kind."""
    octets = messages = 0
    good = True
    for part in text.split(","):
        match = _LIMIT.fullmatch(part)
        if match is None or not match[2] or match[2] not in "SC":
            good = False
            continue
        value = min(int(match[1] or 0), MAX_LIMIT)
        if match[2] == "C":
            messages = value or messages
        else:
            octets = value or octets
    return Limits(octets, messages), good


class MaildirLimits(BackendLimits):
    """`backend=1000S,10C` or `backend=NOQUOTA`."""

    def __call__(self, text: str) -> Limits:
        """Raises BadRule."""
        if text == "NOQUOTA":
            return Limits()
        limits, good = parse_limits(text)
        if not good:
            raise BadRule("Invalid Maildir++ quota rule")
        return limits


def parse(data: bytes, written: float) -> Content | None:
    """A file's bytes; None when there is not even a first line."""
    whole = len(data) <= MAX_BYTES
    text, newline, _ = data[:MAX_BYTES].rpartition(b"\n")
    if not newline or b"\0" in text:
        return None
    first, *lines = text.split(b"\n")
    limits, _ = parse_limits(first.decode("latin-1"))
    octets = messages = 0
    for line in lines:
        match = _LINE.match(line)
        if match is None:
            return Content(limits, None, len(lines), written)
        octets, messages = octets + int(match[1]), messages + int(match[2])
    broken = octets < 0 or messages < 0 or not whole
    return Content(limits, None if broken else Limits(octets, messages), len(lines), written)


def format_whole(limits: Limits, used: Limits) -> bytes:
    """A new file."""
    words = []
    if limits.octets or not limits.messages:
        words.append(f"{limits.octets}S")
    if limits.messages:
        words.append(f"{limits.messages}C")
    return f"{','.join(words)}\n{used.octets} {used.messages}\n".encode()


class Maildirsize:
    """The file at one place."""

    def __init__(self, directory: str, mode: int, gid: int) -> None:
        self._directory, self.path = directory, f"{directory}/{FILE_NAME}"
        self._mode, self._gid = mode or 0o600, gid

    def read(self) -> Content | None:
        """What it says; None without a file. OSError."""
        try:
            fd = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        except FileNotFoundError:
            return None
        with open(fd, "rb") as file:
            return parse(file.read(MAX_BYTES + 1), os.fstat(fd).st_mtime)

    def append(self, octets: int, messages: int) -> bool:
        """Add a line in one write. False: it could not be done."""
        try:
            fd = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW)
        except OSError:
            return False
        try:
            line = b"%d %d\n" % (octets, messages)
            return os.write(fd, line) == len(line)
        except OSError:
            return False
        finally:
            os.close(fd)

    def write(self, limits: Limits, used: Limits) -> bool:
        """A new file. False: somebody else is making one."""
        os.makedirs(self._directory, mode=0o700, exist_ok=True)
        lock = Dotlock(self.path, timeout=0, stale=STALE_LOCK_SECS, mode=self._mode)
        try:
            lock.acquire()
        except LockTimeout:
            return False
        try:
            with replace_file(self.path, mode=self._mode, gid=self._gid) as out:
                out.write(format_whole(limits, used))
        finally:
            lock.release()
        return True

    def remove(self) -> None:
        """Whoever comes next counts."""
        try:
            os.unlink(self.path)
        except OSError:
            pass


def is_stale(content: Content, limits: Limits, now: float | None = None) -> bool:
    """It says that the user is over the limit, which is believed only soon after counting."""
    used = content.used
    assert used is not None
    over_octets = limits.octets and used.octets > limits.octets
    over_messages = limits.messages and used.messages > limits.messages
    if not over_octets and not over_messages:
        return False
    return content.lines > 1 or content.written < (time.time() if now is None else now) - STALE_SECS
