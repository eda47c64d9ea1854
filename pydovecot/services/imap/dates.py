"""IMAP dates: INTERNALDATE, SAVEDATE, APPEND's date-time and SEARCH's date. RFC 3501 9."""

import calendar
import re
import time
from collections.abc import Callable
from datetime import date
from typing import Final

MONTHS: Final = (
    b"Jan",
    b"Feb",
    b"Mar",
    b"Apr",
    b"May",
    b"Jun",
    b"Jul",
    b"Aug",
    b"Sep",
    b"Oct",
    b"Nov",
    b"Dec",
)
_MONTH: Final = {name.lower(): number for number, name in enumerate(MONTHS, 1)}
_DATE: Final = re.compile(rb" ?([0-9]{1,2})-([A-Za-z]{3})-([0-9]{4})")
_DATE_TIME: Final = re.compile(
    rb" ?([0-9]{1,2})-([A-Za-z]{3})-([0-9]{4}) ([0-9]{2}):([0-9]{2}):([0-9]{2}) ([+-])([0-9]{2})([0-9]{2})"
)
_STEP: Final = 900  # seconds: within them no time zone changes its offset
_ROUND_ZONES_SINCE: Final = 94694400  # 1973: the last zone with an offset in seconds (Liberia) gave it up
NO_SUCH_TIME: Final = -1  # no date, as in Dovecot; it was one second before 1970
OLDEST: Final = -(2**31)  # of INTERNALDATE, as in Dovecot
MAX_QUARTERS: Final = 20000  # about 4 MB; seven months of mail in every quarter


def parse_date(text: bytes) -> date | None:
    """SEARCH's `1-Feb-2024`. Days that no calendar has are after all others, as in Dovecot."""
    found = _DATE.fullmatch(text)
    month = _MONTH.get(found[2].lower()) if found else None
    if found is None or month is None:
        return None
    if not int(found[3]):
        return date.min
    try:
        return date(int(found[3]), month, int(found[1]))
    except ValueError:
        return date.max


def parse_date_time(text: bytes) -> int | None:
    """` 1-Feb-2024 10:00:00 +0100` as seconds UTC; NO_SUCH_TIME for the 30th of February and such."""
    found = _DATE_TIME.fullmatch(text)
    if found is None:
        return None
    day = parse_date(b"-".join(found.group(1, 2, 3)))
    hour, minute, second, zone_hour, zone_minute = (int(n) for n in found.group(4, 5, 6, 8, 9))
    if day is None:
        return None
    if day == date.max or hour > 23 or minute > 59 or second > 60:
        return NO_SUCH_TIME
    offset = zone_hour * 3600 + zone_minute * 60
    local = calendar.timegm((day.year, day.month, day.day, hour, minute, min(second, 59)))
    return max(local + offset if found[7] == b"-" else local - offset, OLDEST)


_MINUTES: Final = tuple(b"%02d:%02d" % divmod(second, 60) for second in range(3600))


class _Quarters(dict[int, tuple[bytes, bytes, int]]):
    """Of a quarter of an hour: what stands before and after minutes and seconds, and its first second."""

    def __init__(self, localtime: Callable[[float], time.struct_time]) -> None:
        super().__init__()
        self._localtime = localtime

    def __missing__(self, quarter: int) -> tuple[bytes, bytes, int]:
        at = self._localtime(quarter * _STEP)
        sign, zone = _zone(at.tm_gmtoff)
        month = MONTHS[at.tm_mon - 1]
        before = b'"%02d-%b-%04d %02d:' % (at.tm_mday, month, at.tm_year, at.tm_hour)
        found = (before, b' %b%04d"' % (sign, zone), at.tm_min * 60 + at.tm_sec)
        if len(self) < MAX_QUARTERS:
            self[quarter] = found
        return found


class DateFormatter:
    """Seconds UTC to `"24-Nov-2026 06:02:01 +0000"` in the server's time zone, quotes included.

    Mailboxes hold many dates close together: what is the same within a quarter of an hour is kept.
    """

    def __init__(self, localtime: Callable[[float], time.struct_time] = time.localtime) -> None:
        self._localtime = localtime
        self._quarters = _Quarters(localtime)

    def __call__(self, seconds: int) -> bytes:
        if seconds < _ROUND_ZONES_SINCE:
            return self._exact(seconds)
        before, after, start = self._quarters[seconds // _STEP]
        return before + _MINUTES[start + seconds % _STEP] + after

    def _exact(self, seconds: int) -> bytes:
        at = self._localtime(seconds)
        clock = (at.tm_hour, at.tm_min, at.tm_sec)
        day = (at.tm_mday, MONTHS[at.tm_mon - 1], at.tm_year)
        return b'"%02d-%b-%04d %02d:%02d:%02d %b%04d"' % (*day, *clock, *_zone(at.tm_gmtoff))

    def or_nil(self, seconds: int) -> bytes:
        """NIL for 0 (unknown)."""
        return self(seconds) if seconds else b"NIL"


def _zone(offset: int) -> tuple[bytes, int]:
    """Seconds east of UTC as sign and hhmm."""
    minutes = abs(offset) // 60
    return (b"-" if offset < 0 else b"+"), minutes // 60 * 100 + minutes % 60
