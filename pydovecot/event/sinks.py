"""Where log lines go from inside a process: the pipe to the log process, a stream, or a list (tests)."""

import contextlib
import os
import sys
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final, TextIO

from pydovecot.event import wire
from pydovecot.event.event import Level

if TYPE_CHECKING:
    from pydovecot.event.targets import Target

LEVEL_WORDS: Final = {
    Level.DEBUG: "Debug: ",
    Level.INFO: "Info: ",
    Level.WARNING: "Warning: ",
    Level.ERROR: "Error: ",
    Level.FATAL: "Fatal: ",
    Level.PANIC: "Panic: ",
}


class PipeSink:
    """Writes Dovecot's log protocol to a pipe. `prefix` is the process's own, such as `imap-login: `."""

    def __init__(self, fd: int, prefix: str, pid: int | None = None) -> None:
        self.fd = fd
        self.prefix = prefix
        self.pid = os.getpid() if pid is None else pid

    def set_prefix(self, prefix: str, *, announce: bool = True) -> None:
        """Change the prefix, and (`announce`) let the log process know it should we die without a word."""
        self.prefix = prefix
        if not announce:
            return
        with contextlib.suppress(OSError):
            os.write(self.fd, wire.encode_prefix(self.pid, prefix))

    def __call__(self, level: Level, text: str, fields: dict[str, object]) -> None:
        """Send one line. A log process that is gone loses lines; it must not stop the service."""
        for line in wire.encode(level, self.pid, self.prefix, text):
            try:
                os.write(self.fd, line)
            except OSError:
                return


class StreamSink:
    """Writes readable lines to a text stream: standalone roles, the command line, a master without log."""

    def __init__(self, prefix: str, stream: TextIO | None = None, timestamp: str = "") -> None:
        self.prefix = prefix
        self.stream = stream
        self.timestamp = timestamp

    def __call__(self, level: Level, text: str, fields: dict[str, object]) -> None:
        stream = self.stream or sys.stderr
        stamp = time.strftime(self.timestamp) if self.timestamp else ""
        stream.write(f"{stamp}{self.prefix}{LEVEL_WORDS[level]}{wire.clean(text)}\n")
        stream.flush()


class TargetSink:
    """Writes to log files or syslog without a log process: programs that the MTA starts."""

    def __init__(self, targets: "Mapping[Level, Target]", prefix: str) -> None:
        self.prefix = prefix
        self._targets = targets

    def __call__(self, level: Level, text: str, fields: dict[str, object]) -> None:
        self._targets[level].write(wire.Record(level, os.getpid(), self.prefix, wire.clean(text)))


class ListSink:
    """Keeps lines in memory, for tests."""

    def __init__(self) -> None:
        self.lines: list[tuple[Level, str]] = []
        self.fields: list[dict[str, object]] = []

    def __call__(self, level: Level, text: str, fields: dict[str, object]) -> None:
        self.lines.append((level, text))
        self.fields.append(fields)

    @property
    def texts(self) -> list[str]:
        """The texts alone."""
        return [text for _level, text in self.lines]
