"""doveadm tail: sessions and deliveries as they happen, each told as a story, from the log lines.

    16:02:11 alice      imap from 192.0.2.7 begins (PLAIN, TLS)          #1
    16:02:15 alice      imap ends after 4 s: Logged out                  #1
    16:02:20 bob        refused: auth failed, 1 attempts in 2 secs, imap from 192.0.2.9

It reads the log file, from its end or the last lines of it, through rotations, until it is interrupted.
"""

import os
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Final

from pydovecot.admin.arguments import Arguments
from pydovecot.admin.context import Context
from pydovecot.admin.errors import AdminError
from pydovecot.admin.host.logs import configured
from pydovecot.admin.settings import LogSettings
from pydovecot.base import wildcard
from pydovecot.event.event import Level

LOOK_BACK: Final = 200  # lines
MAX_BACK_BYTES: Final = 4 * 1024 * 1024
MAX_LINE: Final = 64 * 1024
MAX_SESSIONS: Final = 10_000  # remembered; the oldest is forgotten
POLL_SECS: Final = 0.25

_LINE: Final = re.compile(
    r"(?P<stamp>\w{3} +\d+ [\d:]{8}) (?:\S+ \w+: )?(?P<service>[\w-]+)"
    r"(?:\((?P<user>[^)]*)\))?(?:<[^>]*>)?(?:<(?P<session>[^>]*)>)?: "
    r"(?P<level>Info|Warning|Error|Fatal|Panic): (?P<text>.*)"
)
_PAIR: Final = re.compile(r"(\w+)=<?([^,<>]*)>?")
_NO_USER: Final = re.compile(r"|.*,.*|\d+|[\d.]+|[\da-f:]+:[\da-f:]*")  # a pid, an address
_ENDS: Final = ("Logged out", "Disconnected", "Connection closed")
_CLOCK: Final = re.compile(r"(\d+):(\d+):(\d+)$")


@dataclass(slots=True)
class _Session:
    number: int
    user: str
    began: int


@dataclass(slots=True)
class Teller:
    """Lines in, sentences out. `wanted`: mask of user names."""

    wanted: str = "*"
    _sessions: dict[str, _Session] = field(default_factory=dict)
    _count: int = 0

    def line(self, line: str) -> str | None:
        """What a line says to a reader; None when it is no part of a story."""
        found = _LINE.match(line)
        if found is None:
            return None
        service, text, stamp = found["service"], found["text"], found["stamp"]
        if service.endswith("-login"):
            told = self._login(service.removesuffix("-login"), text, stamp)
        else:
            told = self._session(found, service, text, stamp)
        if told is None or not wildcard.matches(told[0], self.wanted):
            return None
        return f"{stamp[-8:]} {told[0]:<20} {told[1]}"

    def _login(self, protocol: str, text: str, stamp: str) -> tuple[str, str] | None:
        facts = dict(_PAIR.findall(text))
        user, where = facts.get("user", ""), facts.get("rip", "?")
        if text.startswith("Login: "):
            if len(self._sessions) >= MAX_SESSIONS:
                self._sessions.pop(next(iter(self._sessions)))
            self._count += 1
            one = _Session(self._count, user, _seconds(stamp))
            self._sessions[facts.get("session", "")] = one
            how = ", ".join([facts.get("method", "?"), "TLS" if "TLS" in text else "no TLS"])
            return user, f"{protocol} from {where} begins ({how})  #{one.number}"
        head, _, rest = text.partition(": user=")
        if user and rest and "no auth attempts" not in head:
            return user, f"refused: {_inner(head)}, {protocol} from {where}"
        return None

    def _session(
        self, found: "re.Match[str]", service: str, text: str, stamp: str
    ) -> tuple[str, str] | None:
        user, session, level = found["user"] or "", found["session"] or "", found["level"]
        if _NO_USER.fullmatch(user):
            return None
        one = self._sessions.get(session)
        mark = f"  #{one.number}" if one is not None else ""
        if level != "Info":
            return user, f"{service} {level.lower()}: {text}{mark}"
        if service in ("imap", "pop3") and text.startswith(_ENDS):
            self._sessions.pop(session, None)
            lasted = f" after {max(_seconds(stamp) - one.began, 0)} s" if one is not None else ""
            return user, f"{service} ends{lasted}: {_before_counts(text)}{mark}"
        return user, f"{service}: {text}{mark}"


def _inner(head: str) -> str:
    """The reason inside of the brackets, where there are some."""
    reason = re.search(r"\((.*)\)$", head)
    return reason[1] if reason else head


def _before_counts(text: str) -> str:
    return re.split(r" (?:in=|top=)", text)[0]


def _seconds(stamp: str) -> int:
    found = _CLOCK.search(stamp)
    assert found
    hours, minutes, seconds = map(int, found.groups())
    return hours * 3600 + minutes * 60 + seconds


def run(context: Context, arguments: Arguments) -> int:
    """Until interrupted, or with -1 to the end of the file."""
    path = arguments.text("log-file") or _log_file(context)
    teller = Teller(arguments.text("user-mask", "*"))
    back = arguments.number("lines", LOOK_BACK)
    follow = not arguments.flag("once")
    for line in lines_of(path, back, follow=follow, idle=lambda: time.sleep(POLL_SECS)):
        told = teller.line(line)
        if told is not None:
            context.print(told)
            context.sent()
    return 0


def _log_file(context: Context) -> str:
    settings = context.settings().get(LogSettings)
    path = configured(settings.log_path, settings.info_log_path, settings.debug_log_path).get(Level.INFO)
    if path is None or path.startswith("/dev/"):
        raise AdminError("The log does not go to a file of its own: name it with -l (/var/log/maillog)")
    return path


def lines_of(path: str, back: int, *, follow: bool, idle: Callable[[], object]) -> Iterator[str]:
    """The last `back` lines of a file, and those that are added. A file that is rotated is followed."""
    try:
        fd, rest = _open(path), b""
    except OSError as exc:
        raise AdminError(f"open({path}) failed: {exc.strerror}") from exc
    try:
        yield from (_text(line) for line in _last(fd, back))
        while True:
            data = os.read(fd, 65536)
            if data:
                *lines, rest = (rest + data).split(b"\n")
                rest = b"" if len(rest) > MAX_LINE else rest
                yield from map(_text, lines)
            elif not follow:
                return
            elif _replaced(fd, path):
                old, fd, rest = fd, _open(path), b""
                os.close(old)
            else:
                idle()
    finally:
        os.close(fd)


def _last(fd: int, count: int) -> list[bytes]:
    """Leaves the position at the end."""
    size = os.lseek(fd, 0, os.SEEK_END)
    start = max(0, size - MAX_BACK_BYTES)
    data = os.pread(fd, size - start, start)
    whole, _, rest = data.rpartition(b"\n")
    os.lseek(fd, size - len(rest), os.SEEK_SET)
    return whole.split(b"\n")[-count:] if count > 0 and whole else []


def _replaced(fd: int, path: str) -> bool:
    """Another file has the name now, or this one was cut to nothing."""
    here = os.fstat(fd)
    if os.lseek(fd, 0, os.SEEK_CUR) > here.st_size:
        os.lseek(fd, 0, os.SEEK_SET)
        return False
    try:
        there = os.stat(path)
    except OSError:
        return False
    return (here.st_dev, here.st_ino) != (there.st_dev, there.st_ino)


def _open(path: str) -> int:
    return os.open(path, os.O_RDONLY | os.O_CLOEXEC)


def _text(line: bytes) -> str:
    return "".join(one if one.isprintable() else "?" for one in line.decode("utf-8", "replace"))
