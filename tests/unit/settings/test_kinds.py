"""Values as text: what is taken, what is refused with which words, what is printed."""

import pytest

from pydovecot.settings import kinds
from pydovecot.settings.kinds import BadValue


@pytest.mark.parametrize(
    ("text", "value"), [("yes", True), ("Y", True), ("1", True), ("no", False), ("NO", False)]
)
def test_booleans(text: str, value: bool) -> None:
    assert kinds.parse_bool(text) is value


@pytest.mark.parametrize("text", ["n", "0", "true", "", "maybe"])
def test_other_booleans_are_refused_in_dovecots_words(text: str) -> None:
    with pytest.raises(BadValue, match=r"Invalid boolean value: .* \(use yes or no\)"):
        kinds.parse_bool(text)


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("abc", "Not a valid number"),
        ("-1", "Number too small"),
        ("4294967296", "Number too large"),
        ("²", "Not"),
    ],
)
def test_bad_numbers(text: str, fault: str) -> None:
    with pytest.raises(BadValue, match=f"Invalid number {text}: {fault}"):
        kinds.parse_uint(text)


@pytest.mark.parametrize(
    ("text", "value", "shown"), [("0600", 0o600, "0600"), ("600", 600, "01130"), ("0", 0, "00")]
)
def test_modes_are_octal_only_with_a_leading_zero(text: str, value: int, shown: str) -> None:
    assert kinds.parse_octal(text) == value
    assert kinds.format_octal(value) == shown


@pytest.mark.parametrize(
    ("text", "shown"),
    [("64k", "64 k"), ("1 MB", "1 M"), ("5", "5 B"), ("0", "0"), ("1024", "1 k"), ("2048G", "2 T")],
)
def test_sizes(text: str, shown: str) -> None:
    assert kinds.format_size(kinds.parse_size(text)) == shown


@pytest.mark.parametrize("text", ["", "1x", "1kk", "abc", "1.5M", "9" * 30])
def test_bad_sizes(text: str) -> None:
    with pytest.raises(BadValue, match="Invalid size"):
        kinds.parse_size(text)


def test_a_size_that_overflows() -> None:
    with pytest.raises(BadValue, match="Size is too large"):
        kinds.parse_size("17592186044416M")


@pytest.mark.parametrize(
    ("text", "seconds", "shown"),
    [
        ("5m", 300, "5 mins"),
        ("2 hours", 7200, "2 hours"),
        ("1 w", 604800, "1 weeks"),
        ("0", 0, "0"),
        ("90 s", 90, "90 secs"),
    ],
)
def test_times(text: str, seconds: int, shown: str) -> None:
    assert kinds.parse_time(text) == seconds
    assert kinds.format_time(seconds) == shown


def test_a_time_needs_a_unit_except_zero() -> None:
    with pytest.raises(BadValue, match="Time interval '5' is missing units"):
        kinds.parse_time("5")


def test_milliseconds_only_where_they_are_allowed() -> None:
    assert kinds.parse_msecs("1500 ms") == 1500
    assert kinds.parse_time("2000 msecs") == 2
    with pytest.raises(BadValue, match="Milliseconds not supported"):
        kinds.parse_time("1500 ms")
    assert kinds.format_msecs(1500) == "1500 ms"
    assert kinds.format_msecs(60_000) == "1 mins"
