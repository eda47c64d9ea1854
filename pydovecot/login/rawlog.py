"""rawlog_dir: what one client and the server said to each other, in two files, for finding faults.

Each line begins with the time of its first octet. The login is not there, so no password; but all mail is.
"""

import itertools
import os
import time
from typing import BinaryIO, Final

from pydovecot.event.event import Event
from pydovecot.login.mail_session import MailSession
from pydovecot.login.settings import MailUserSettings

_NUMBERS: Final = itertools.count(1)  # of this process's sessions


class RawLog:
    """The files of one session, `YYYYMMDD-HHMMSS.PID.N.in` and `.out`; without a directory there is none."""

    def __init__(self, directory: str, event: Event) -> None:
        self._files: list[_Lines] = []
        if not directory or not os.path.isdir(directory):
            return
        name = f"{directory}/{time.strftime('%Y%m%d-%H%M%S')}.{os.getpid()}.{next(_NUMBERS)}"
        for suffix in (".in", ".out"):
            try:
                self._files.append(_Lines(_create(name + suffix)))
            except OSError as exc:
                event.error(f"creat({name}{suffix}) failed: {exc.strerror}")
                self.close()
                return

    def __bool__(self) -> bool:
        return bool(self._files)

    def came(self, data: bytes) -> None:
        """Octets of the client."""
        self._put(0, data)

    def went(self, data: bytes) -> None:
        """Octets of ours."""
        self._put(1, data)

    def _put(self, which: int, data: bytes) -> None:
        if self._files:
            try:
                self._files[which].put(data)
            except OSError:  # a full disk must not end the session
                self.close()

    def close(self) -> None:
        """The session is over."""
        files, self._files = self._files, []
        for file in files:
            file.close()


class _Lines:
    """A file whose lines begin with a time."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._inside = False  # of a line

    def put(self, data: bytes) -> None:
        stamp = b"%.6f " % time.time()
        *whole, rest = data.split(b"\n")
        out = stamp.join(line + b"\n" for line in whole)
        if whole and not self._inside:
            out = stamp + out
        if rest:
            out += rest if self._inside and not whole else stamp + rest
        self._inside = bool(rest) or (self._inside and not whole)
        self._file.write(out)

    def close(self) -> None:
        try:
            if self._inside:
                self._file.write(b"\n")
        except OSError:
            pass
        self._file.close()


def _create(path: str) -> BinaryIO:
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    return open(fd, "wb", buffering=0)


def open_rawlog(session: MailSession) -> RawLog:
    """The log of one session, if rawlog_dir wants one."""
    directory = session.settings.get(MailUserSettings).rawlog_dir
    return RawLog(session.expand(directory) if directory else "", session.event)
