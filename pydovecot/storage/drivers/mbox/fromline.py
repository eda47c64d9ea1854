"""The line that separates messages: `From sender  Tue Nov 24 06:04:15 2026`.

What is such a line is decided as Dovecot does, else the two would count messages differently: the date must
be one that asctime writes, or nearly, with or without seconds and time zone; who sent it may be anything.
"""

import calendar
import re
import time
from typing import Final

_MONTHS: Final = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_MONTH: Final = rb"(?i:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)"
_ZONE: Final = rb"(?: (?P<zone>[+-]\d{4}))?"
_SENDER: Final = rb'(?P<sender>(?:"(?:[^"\\\r\n]|\\[^\r\n])*+")?+[^ \r\n]*+)'
_USUAL: Final = (
    rb"[^\r\n]{4}(?P<month>" + _MONTH + rb"|\?\?\?)  ?(?P<day>\d\d?) "
    rb"(?P<hour>\d\d):(?P<minute>\d\d)(?::(?P<second>\d\d))?"
    rb" (?:(?!\d{4})[^ \r\n]*+ )?(?P<year>\d{4})" + _ZONE
)  # fmt: skip
_OTHER: Final = (
    rb"[^\r\n]{5}(?P<day2>\d\d?) (?P<month2>" + _MONTH + rb") (?P<year2>\d{4})[^\r\n]"
    rb"(?P<hour2>\d\d):(?P<minute2>\d\d)(?::(?P<second2>\d\d))?(?: (?P<zone2>[+-]\d{4}))?"
)  # fmt: skip
_LINE: Final = rb"From " + _SENDER + rb" ++(?:" + _USUAL + rb"|" + _OTHER + rb")"
LINE: Final = re.compile(_LINE)
# A line that is still being written is none.
FIRST: Final = re.compile(_LINE + rb"[^\n]*\n")
NEXT: Final = re.compile(rb"\n" + _LINE + rb"[^\n]*\n")
WHOLE: Final = re.compile(rb"^" + _LINE + rb"[^\n]*\n?", re.MULTILINE)
_CONTROLS: Final = re.compile(rb"[\x00-\x1f\x7f]")
_WEEKDAYS: Final = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_NAMES: Final = tuple(name.capitalize() for name in _MONTHS)


def received(line: bytes) -> int:
    """The line's date in seconds UTC (without a zone it is local time); 0 when it is none."""
    match = LINE.match(line)
    if match is None:
        return 0
    mark = "" if match["day"] else "2"
    year, day = int(match["year" + mark]), int(match["day" + mark])
    name = match["month" + mark].lower().decode()
    month = _MONTHS.index(name) + 1 if name in _MONTHS else 1
    clock = [int(match[name + mark] or 0) for name in ("hour", "minute", "second")]
    zone = match["zone" + mark]
    parts = (year, month, max(day, 1), clock[0], clock[1], clock[2], 0, 0, -1)
    try:
        if zone is None:
            return max(0, int(time.mktime(parts)))
        offset = (int(zone[1:3]) * 60 + int(zone[3:5])) * 60
        return max(0, calendar.timegm(parts) - (offset if zone[:1] == b"+" else -offset))
    except (OverflowError, ValueError):
        return 0


def create(sender: str, when: int) -> bytes:
    """A line with its newline, in local time; without a sender it is a bounce."""
    now = time.localtime(when)
    date = (
        f"{_WEEKDAYS[now.tm_wday]} {_NAMES[now.tm_mon - 1]} {now.tm_mday:02} "
        f"{now.tm_hour:02}:{now.tm_min:02}:{now.tm_sec:02} {now.tm_year:04}"
    )
    name = _CONTROLS.sub(b"_", sender.encode("utf-8", "surrogateescape")) or b"MAILER-DAEMON"
    line = b"From %s  %s\n" % (name, date.encode())
    found = LINE.match(line)
    if found is None or found["sender"] != name:  # blanks that no quotes hold together
        line = b"From %s  %s\n" % (name.replace(b" ", b"_"), date.encode())
    return line


def sender(line: bytes) -> str:
    """Who is named in a line."""
    match = LINE.match(line)
    return match["sender"].decode("utf-8", "surrogateescape") if match is not None else ""
