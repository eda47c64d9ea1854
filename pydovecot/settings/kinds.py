"""Turns the text of a setting into a value, and back into the text that doveconf prints.

The wording of errors is Dovecot's, because scripts look for it; the caller adds file and line.
"""

import re
from typing import Final

UINT_MAX: Final = 2**32 - 1  # Dovecot's "unsigned int" settings
SIZE_MAX: Final = 2**64 - 1  # Dovecot's uoff_t

_SIZE_UNITS: Final[dict[str, int]] = {"": 1, "b": 1} | {
    letter + byte: 1 << 10 * power for power, letter in enumerate("kmgt", 1) for byte in ("", "b")
}
_TIME: Final = re.compile(r"([0-9]+)[ \t]*(.*)", re.DOTALL)
_SIZE: Final = re.compile(r"([0-9]+)[ \t]*(.*)", re.DOTALL)
# The unit may be cut anywhere ("h", "hou", "hours"); the order makes "m" minutes and "ms" milliseconds.
_TIME_UNITS: Final = (
    ("secs", 1000),
    ("seconds", 1000),
    ("mins", 60_000),
    ("minutes", 60_000),
    ("msecs", 1),
    ("milliseconds", 1),
    ("hours", 3_600_000),
    ("days", 86_400_000),
    ("weeks", 604_800_000),
)


class BadValue(ValueError):
    """The text is not a value of this type; the message is what the administrator reads."""


def parse_bool(text: str) -> bool:
    """yes, y, 1 or no, in any case."""
    lowered = text.lower()
    if lowered in {"yes", "y", "1"}:
        return True
    if lowered == "no":
        return False
    raise BadValue(f"Invalid boolean value: {text} (use yes or no)")


def parse_uint(text: str) -> int:
    """A decimal number of at most 32 bits."""
    digits = text.removeprefix("-")
    if not digits.isdecimal() or not digits.isascii():
        raise BadValue(f"Invalid number {text}: Not a valid number")
    if digits is not text:
        raise BadValue(f"Invalid number {text}: Number too small")
    if len(text.lstrip("0")) > 10 or int(text) > UINT_MAX:
        raise BadValue(f"Invalid number {text}: Number too large")
    return int(text)


def parse_octal(text: str) -> int:
    """A file mode: octal with a leading zero, else decimal. Bits above 32 are cut off, as Dovecot does."""
    if not text.startswith("0"):
        return parse_uint(text)
    if len(text) > 22 or any(char not in "01234567" for char in text):
        raise BadValue(f"Invalid number: {text}")
    return int(text, 8) & UINT_MAX


def parse_size(text: str) -> int:
    """A number of bytes with an optional unit: B, k, M, G, T, also kB."""
    found = _SIZE.fullmatch(text)
    if found is None or len(found[1].lstrip("0")) > 20 or int(found[1]) > SIZE_MAX:
        raise BadValue(f"Invalid size: {text}")
    unit = found[2].lower()
    factor = _SIZE_UNITS.get(unit)
    if factor is None:
        raise BadValue(f"Invalid size: {text}")
    if int(found[1]) * factor > SIZE_MAX:
        raise BadValue(f"Size is too large: {text}")
    return int(found[1]) * factor


def parse_msecs(text: str) -> int:
    """A time interval in milliseconds."""
    found = _TIME.fullmatch(text)
    if found is None:
        raise BadValue(f"Invalid time interval: {text}")
    unit = found[2].lower()
    number = int(found[1]) if len(found[1].lstrip("0")) <= 20 else SIZE_MAX
    if not unit:
        # Only zero may stand alone: "5" could be meant as seconds, minutes or days.
        if number:
            raise BadValue(f"Time interval '{text}' is missing units (add e.g. 's' for seconds)")
        return 0
    for name, factor in _TIME_UNITS:
        if name.startswith(unit):
            if number * factor > UINT_MAX * 1000:
                raise BadValue(f"Time interval is too large: {text}")
            return number * factor
    raise BadValue(f"Invalid time interval: {text}")


def parse_time(text: str) -> int:
    """A time interval in seconds: "30 s", "2 min", "1 hour", "1 days", "1 week"."""
    msecs = parse_msecs(text)
    if msecs % 1000:
        raise BadValue(f"Milliseconds not supported for this setting: {text}")
    return msecs // 1000


def format_bool(value: bool) -> str:
    return "yes" if value else "no"


def format_octal(value: int) -> str:
    """As doveconf prints modes: 0600, and 00 for none."""
    return f"0{value:o}"


def format_size(value: int) -> str:
    """The largest unit that divides: "64 k"; 0 has no unit."""
    if value == 0:
        return "0"
    unit = "B"
    for larger in "kMGT":
        if value % 1024:
            break
        value //= 1024
        unit = larger
    return f"{value} {unit}"


def format_time(value: int) -> str:
    """The largest unit that divides: "2 mins"; 0 has no unit."""
    if value == 0:
        return "0"
    unit = "secs"
    for factor, larger in ((60, "mins"), (60, "hours"), (24, "days"), (7, "weeks")):
        if value % factor:
            break
        value //= factor
        unit = larger
    return f"{value} {unit}"


def format_msecs(value: int) -> str:
    """Like format_time, in milliseconds where seconds do not divide."""
    if value % 1000 == 0:
        return format_time(value // 1000)
    return f"{value} ms"
