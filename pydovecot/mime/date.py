"""Date header values, as leniently read as Dovecot does. RFC 5322 3.3."""

import re
from calendar import monthrange
from datetime import date
from functools import lru_cache
from typing import Final

from pydovecot.mime.scanner import Scanner

_MONTHS: Final = {
    name: number
    for number, name in enumerate(
        (b"jan", b"feb", b"mar", b"apr", b"may", b"jun", b"jul", b"aug", b"sep", b"oct", b"nov", b"dec"), 1
    )
}
_FAST: Final = re.compile(
    rb"(?:[A-Za-z]{3}, +)?([0-9]{1,2}) +([A-Za-z]{3}) +([0-9]{4}) +([0-9]{2}):([0-9]{2})(?::([0-9]{2}))? +"
    rb"([+-])([0-9]{2})([0-9]{2})(?: +\([A-Za-z ]*\))? *"
)
_ZONES: Final = {b"e": -300, b"c": -360, b"m": -420, b"p": -480}
_EPOCH: Final = date(1970, 1, 1).toordinal()
STAMP_MASK: Final = 0xFFFFFFFF  # Dovecot's cache has 32 bits for a date; years out of 1970..2106 wrap around


def parse(value: bytes) -> tuple[int, int] | None:
    """(seconds UTC, zone in minutes) of a Date header value; None when it cannot be understood."""
    found = _FAST.fullmatch(value)
    if found is None:
        return _parse_slow(value)
    day, name, year, hour, minute, second, sign, zone_hours, zone_minutes = found.groups()
    month = _MONTHS.get(name.lower())
    if month is None:
        return None
    zone = int(zone_hours) * 60 + int(zone_minutes)
    return _stamp(
        int(year), month, int(day), int(hour), int(minute), int(second or 0), zone if sign == b"+" else -zone
    )


def local_day(stamp: int, zone: int) -> int:
    """The date's day where it was written, as a proleptic Gregorian ordinal."""
    return _EPOCH + (stamp + zone * 60) // 86400


def _stamp(
    year: int, month: int, day: int, hour: int, minute: int, second: int, zone: int
) -> tuple[int, int] | None:
    if year < 1900 or hour > 23 or minute > 59 or second > 60:
        return None
    start, length = _month(year, month)
    if not 1 <= day <= length:
        return None
    days = start + day - 1
    # The leap second has no number of its own.
    stamp = ((days * 24 + hour) * 60 + minute) * 60 + min(second, 59)
    if stamp == -1:
        return None  # what mktime says when it fails
    return (stamp - zone * 60) & STAMP_MASK, zone


@lru_cache(maxsize=512)
def _month(year: int, month: int) -> tuple[int, int]:
    """Days from 1970 to the first of a month, and how many it has."""
    return date(year, month, 1).toordinal() - _EPOCH, monthrange(year, month)[1]


def _parse_slow(value: bytes) -> tuple[int, int] | None:
    scanner = Scanner(value)
    scanner.skip_ws()
    word = _token(scanner)
    if word is not None and len(word) == 3:
        # A weekday, and its comma.
        if not scanner.peek(b","):
            return None
        scanner.pos += 1
        scanner.skip_ws()
        word = _token(scanner)
    day = _number(word, 1, 2)
    month = _MONTHS.get((_token(scanner) or b"")[:3].lower())
    text = _token(scanner)
    year = _number(text, 4, 4)
    if year is None and (year := _number(text, 2, 2)) is not None:
        year += 1900 if year >= 70 else 2000
    hour = _number(_token(scanner), 1, 2)
    minute = _number(_token(scanner), 2, 2) if _colon(scanner) else None
    second: int | None = 0
    if _colon(scanner):
        second = _number(_token(scanner), 2, 2)
    if day is None or month is None or year is None or hour is None or minute is None or second is None:
        return None
    zone = 0
    if scanner.more():
        word = _token(scanner)
        if word is None:
            return None
        zone = _zone(word)
    return _stamp(year, month, day, hour, minute, second, zone)


def _token(scanner: Scanner) -> bytes | None:
    out: list[bytes] = []
    return None if scanner.take_atom(out) < 0 else out[0]


def _colon(scanner: Scanner) -> bool:
    if not scanner.peek(b":") and not scanner.peek(b"."):
        return False
    scanner.pos += 1
    scanner.skip_ws()
    return True


def _number(text: bytes | None, low: int, high: int) -> int | None:
    """The value of a text of `low` to `high` digits."""
    if text is None or not low <= len(text) <= high or not text.isdigit():
        return None
    return int(text)


def _zone(text: bytes) -> int:
    if len(text) == 5 and text[:1] in (b"+", b"-"):
        if not text[1:].isdigit():
            return 0
        minutes = int(text[1:3]) * 60 + int(text[3:])
        return minutes if text[:1] == b"+" else -minutes
    if len(text) == 1:
        return _military(text)
    if len(text) == 3 and text[2:] == b"T":
        kind = text[1:2].upper()
        base = _ZONES.get(text[:1].lower())
        if base is not None and kind in (b"D", b"S"):
            return base + 60 if kind == b"D" else base
    return 0


def _military(text: bytes) -> int:
    """One letter as the sender most likely meant it, not as RFC 822 had it."""
    letter = text.upper()
    code = text[0]
    if letter < b"J":
        return (code - 0x41 + 1) * 60
    if letter == b"J":
        return 0
    if letter <= b"M":
        return (code - 0x41) * 60
    if letter < b"Z":
        return (0x4D - code) * 60
    return 0
