"""From bytes of a service's pipe to log records: Dovecot's protocol, and what libraries print beside it."""

from collections import OrderedDict
from collections.abc import Iterator
from typing import Final

from pydovecot.event import wire
from pydovecot.event.event import Level

MAX_PREFIXES: Final = 4096  # processes whose own prefix is remembered for the line about their death
MAX_PARTIAL: Final = 64 * 1024  # a line without end is cut here
MAX_TRACEBACK_LINES: Final = 60
TRACEBACK: Final = "Traceback (most recent call last):"
CRASH: Final = "Fatal Python error: "  # faulthandler: a signal such as SIGSEGV
_CONTINUES: Final = ("During handling of", "The above exception", TRACEBACK)


class PrefixMemory:
    """The last prefix of each process, so that "killed with signal 9" can name the user it hit."""

    def __init__(self) -> None:
        self._prefixes: OrderedDict[int, str] = OrderedDict()

    def remember(self, pid: int, prefix: str) -> None:
        """A process used this prefix."""
        if self._prefixes.get(pid) != prefix:
            self._prefixes[pid] = prefix
            self._prefixes.move_to_end(pid)
            if len(self._prefixes) > MAX_PREFIXES:
                self._prefixes.popitem(last=False)

    def forget(self, pid: int) -> str:
        """The process is dead; returns its last prefix or nothing."""
        return self._prefixes.pop(pid, "")


class PipeReader:
    """Lines of one service. `feed` gives finished records; `flush` what waits for more (a traceback)."""

    def __init__(self, name: str, memory: PrefixMemory) -> None:
        self._prefix = f"{name}: "
        self._memory = memory
        self._partial = b""
        self._traceback: list[str] = []

    @property
    def waiting(self) -> bool:
        """True while a traceback may go on."""
        return bool(self._traceback)

    def feed(self, data: bytes) -> Iterator[wire.Record]:
        """Take bytes as they came from the pipe."""
        *lines, self._partial = (self._partial + data).split(b"\n")
        if len(self._partial) > MAX_PARTIAL:
            lines.append(self._partial)
            self._partial = b""
        for line in lines:
            yield from self._line(line)

    def flush(self) -> Iterator[wire.Record]:
        """End a traceback that is not going on."""
        if self._traceback:
            text = " | ".join(part.strip() for part in self._traceback if part.strip())
            self._traceback = []
            yield self._plain(text)

    def end(self) -> Iterator[wire.Record]:
        """The pipe has ended: everything that is left."""
        if self._partial:
            yield from self._line(self._partial)
            self._partial = b""
        yield from self.flush()

    def _line(self, line: bytes) -> Iterator[wire.Record]:
        if len(line) > 2 and line[0] == wire.HEADER and line[1] == wire.OPTION:
            pid, _, word = line[2:].partition(b" ")
            if word == b"bye" and pid.isdigit():
                self._memory.forget(int(pid))
            elif word.startswith(b"prefix=") and pid.isdigit():
                self._memory.remember(int(pid), word[7:].decode("utf-8", "replace"))
            return
        record = wire.decode(line)
        if record is None:
            yield from self._text(line.decode("utf-8", "replace"))
            return
        yield from self.flush()
        if record.prefix:
            if record.prefix != self._prefix:
                self._memory.remember(record.pid, record.prefix)
            yield record
            return
        # Without a prefix: the master speaks about a process that is dead.
        prefix = self._memory.forget(record.pid) or self._prefix
        yield wire.Record(record.level, record.pid, prefix, record.text)

    def _text(self, text: str) -> Iterator[wire.Record]:
        """A line without header. A traceback is many of them and one event."""
        if self._traceback:
            if len(self._traceback) < MAX_TRACEBACK_LINES:
                self._traceback.append(text)
            inner = not text.strip() or text[0] in " \t" or text.startswith(_CONTINUES)
            inner = inner or self._traceback[0].startswith(CRASH)  # ends with the process
            if not inner and not self._traceback[-1].endswith(TRACEBACK):
                yield from self.flush()
            return
        if text.startswith((TRACEBACK, CRASH)):
            self._traceback.append(text)
            return
        if text.strip():
            yield self._plain(text)

    def _plain(self, text: str) -> wire.Record:
        return wire.Record(Level.ERROR, 0, self._prefix, wire.clean(text))
