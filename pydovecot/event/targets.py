"""Where log lines end: files that are reopened on USR1, stderr, syslog."""

import os
import socket
import time
from dataclasses import dataclass
from typing import Final, Protocol

from pydovecot.event.event import Level
from pydovecot.event.sinks import LEVEL_WORDS
from pydovecot.event.wire import Record

STDERR_FD: Final = 2
SYSLOG_SOCKET: Final = "/dev/log"
PRIORITIES: Final = {
    Level.DEBUG: 7,
    Level.INFO: 6,
    Level.WARNING: 4,
    Level.ERROR: 3,
    Level.FATAL: 2,
    Level.PANIC: 2,
}
FACILITIES: Final = {
    "kern": 0, "user": 1 << 3, "mail": 2 << 3, "daemon": 3 << 3, "auth": 4 << 3, "syslog": 5 << 3,
    "lpr": 6 << 3, "news": 7 << 3, "uucp": 8 << 3, "cron": 9 << 3, "authpriv": 10 << 3, "ftp": 11 << 3,
} | {f"local{n}": (16 + n) << 3 for n in range(8)}  # fmt: skip


@dataclass(frozen=True, slots=True)
class LogTarget:
    """Where the log process writes. Empty paths: as the one before them says; `log_path` empty: syslog."""

    log_path: str = "syslog"
    info_log_path: str = ""
    debug_log_path: str = ""
    log_timestamp: str = "%b %d %H:%M:%S "
    syslog_facility: str = "mail"
    instance_name: str = "dovecot"


class Target(Protocol):
    """One place for log lines."""

    def write(self, record: Record) -> None: ...

    def reopen(self) -> None: ...

    def close(self) -> None: ...


class Clock:
    """The formatted time, made once a second."""

    def __init__(self, form: str) -> None:
        self._form = form
        self._second = -1
        self._text = ""

    def text(self) -> str:
        """The time stamp of a line, its blank included."""
        second = int(time.time())
        if second != self._second:
            self._second, self._text = second, time.strftime(self._form, time.localtime(second))
        return self._text


class FileTarget:
    """Appends to a file, or writes to stderr (`/dev/stderr`)."""

    def __init__(self, path: str, clock: Clock) -> None:
        self._path = path
        self._clock = clock
        self._fd = self._open()

    def _open(self) -> int:
        if self._path == "/dev/stderr":
            return STDERR_FD
        return os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)

    def write(self, record: Record) -> None:
        """Append one line. What cannot be written (full disk) goes to stderr, never kills the service."""
        line = f"{self._clock.text()}{record.prefix}{LEVEL_WORDS[record.level]}{record.text}\n"
        raw = line.encode("utf-8", "replace")
        try:
            _write_all(self._fd, raw)
        except OSError:
            if self._fd != STDERR_FD:
                _complain(raw)

    def reopen(self) -> None:
        """Open the path again (after a rotation); when that fails the old file stays. Raises OSError."""
        if self._fd == STDERR_FD:
            return
        fresh = self._open()
        os.close(self._fd)
        self._fd = fresh

    def close(self) -> None:
        """Close the file."""
        if self._fd != STDERR_FD:
            os.close(self._fd)
            self._fd = STDERR_FD


class SyslogTarget:
    """Speaks to /dev/log. As Dovecot's: the level is the priority, `Info: ` is left out of the text."""

    def __init__(self, tag: str, facility: str) -> None:
        self._tag = tag
        self._facility = FACILITIES.get(facility, FACILITIES["mail"])
        self._socket: socket.socket | None = None
        self.reopen()

    def write(self, record: Record) -> None:
        """Send one datagram; reconnect once when the syslog daemon was restarted."""
        word = "" if record.level is Level.INFO else LEVEL_WORDS[record.level]
        number = self._facility | PRIORITIES[record.level]
        stamp = time.strftime("%b %d %H:%M:%S")
        head = f"<{number}>{stamp} {self._tag}[{os.getpid()}]: "
        raw = f"{head}{record.prefix}{word}{record.text}".encode("utf-8", "replace")
        for _attempt in range(2):
            try:
                if self._socket is not None:
                    self._socket.send(raw)
                    return
            except OSError:
                pass
            self.reopen()
        _complain(raw + b"\n")

    def reopen(self) -> None:
        """Connect again."""
        if self._socket is not None:
            self._socket.close()
        fresh = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        try:
            fresh.connect(SYSLOG_SOCKET)
        except OSError:
            fresh.close()
            self._socket = None
            return
        self._socket = fresh

    def close(self) -> None:
        """Disconnect."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None


def open_targets(settings: LogTarget) -> dict[Level, Target]:
    """One target for each level; levels with the same path share it. Raises OSError of a log file."""
    error_path = settings.log_path or "syslog"
    info_path = settings.info_log_path or error_path
    debug_path = settings.debug_log_path or info_path
    clock = Clock(settings.log_timestamp)
    opened: dict[str, Target] = {}
    for path in (error_path, info_path, debug_path):
        if path in opened:
            continue
        if path == "syslog":
            opened[path] = SyslogTarget(settings.instance_name, settings.syslog_facility)
        else:
            opened[path] = FileTarget(path, clock)
    by_level = dict.fromkeys(Level, opened[error_path])
    by_level[Level.INFO] = opened[info_path]
    by_level[Level.DEBUG] = opened[debug_path]
    return by_level


def close_targets(targets: dict[Level, Target]) -> None:
    """Close each target once."""
    for target in {id(t): t for t in targets.values()}.values():
        target.close()


def _write_all(fd: int, data: bytes) -> None:
    while data:
        data = data[os.write(fd, data) :]


def _complain(raw: bytes) -> None:
    try:
        os.write(STDERR_FD, raw)
    except OSError:
        return
