"""How a child's log lines travel to the log process: one pipe for each service, one write for each line.

    \\001 <level + 1, with 0x80 when a prefix length follows> <pid> SP [<prefix length> SP] <prefix><text> LF

It is Dovecot's own form (lib/failures.c). A write of up to PIPE_BUF bytes is atomic, so processes may share a
pipe; longer texts are split into several lines. Text without the header byte is what a library printed.
"""

import select
from dataclasses import dataclass
from typing import Final

from pydovecot.event.event import Level

HEADER: Final = 0x01
HAS_PREFIX: Final = 0x80
OPTION: Final = 0x07  # a message to the log process itself: "prefix=..." or "bye"
MAX_LINE: Final = select.PIPE_BUF
_CONTROLS: Final = {c: 0x3F for c in (*range(9), *range(10, 32), 127)}


@dataclass(frozen=True, slots=True)
class Record:
    """One line that arrived. `prefix` is empty when the log process shall use the service's own."""

    level: Level
    pid: int
    prefix: str
    text: str


def encode(level: Level, pid: int, prefix: str, text: str) -> list[bytes]:
    """The writes that carry one log line; control characters become `?` as Dovecot's str_sanitize does."""
    raw_prefix = clean(prefix).encode("utf-8", "replace")[:512]
    raw = clean(text).encode("utf-8", "replace")
    head = b"\x01%c%d %d " % ((level + 1) | HAS_PREFIX, pid, len(raw_prefix)) + raw_prefix
    room = MAX_LINE - len(head) - 1
    return [head + raw[i : i + room] + b"\n" for i in range(0, max(len(raw), 1), room)]


def encode_for(level: Level, pid: int, text: str) -> bytes:
    """The write with which the master speaks about process `pid`; the log process adds the prefix."""
    return (b"\x01%c%d " % (level + 1, pid) + clean(text).encode("utf-8", "replace"))[: MAX_LINE - 1] + b"\n"


def encode_prefix(pid: int, prefix: str) -> bytes:
    """The write that says what process `pid` is doing from now on, should it die without a word."""
    return b"\x01%c%d prefix=" % (OPTION, pid) + clean(prefix).encode("utf-8", "replace")[:512] + b"\n"


def encode_bye(pid: int) -> bytes:
    """The write that says that process `pid` has ended well: its prefix can be forgotten."""
    return b"\x01%c%d bye\n" % (OPTION, pid)


def clean(text: str) -> str:
    """`text` on one line: line breaks become spaces, other control characters `?`."""
    if text.isprintable():
        return text
    return text.replace("\r\n", " ").replace("\n", " ").translate(_CONTROLS)


def decode(line: bytes) -> Record | None:
    """Read one line without its LF; None when it has no (valid) header and is plain text."""
    if len(line) < 3 or line[0] != HEADER:
        return None
    kind = line[1] & ~HAS_PREFIX
    if not 1 <= kind <= Level.PANIC + 1:
        return None
    pid, _, rest = line[2:].partition(b" ")
    if not pid.isdigit() or len(pid) > 10:
        return None
    prefix = b""
    if line[1] & HAS_PREFIX:
        size, _, rest = rest.partition(b" ")
        if not size.isdigit() or len(size) > 5:
            return None
        prefix, rest = rest[: int(size)], rest[int(size) :]
    text = rest.decode("utf-8", "replace")
    return Record(Level(kind - 1), int(pid), prefix.decode("utf-8", "replace"), text)
