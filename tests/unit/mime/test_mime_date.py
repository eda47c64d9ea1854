"""Date headers: what Dovecot 2.3.19 makes of each (recorded)."""

from datetime import date as day_of

import pytest

from pydovecot.mime import date, summary

ZERO = day_of(1970, 1, 1).toordinal()


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (b"Mon, 22 Mar 1994 13:34:51 +0000", (764343291, 0)),
        (b"22 Mar 94 13:34 GMT", (764343240, 0)),
        (b"Mon, 22 Mar 1994 13:34:51 EST", (764361291, -300)),
        (b"Mon, 22 Mar 1994 13:34:51 EDT", (764357691, -240)),
        (b"Mon, 22 Mar 1994 13:34:51 edt", (764343291, 0)),  # only a capital T ends a zone's name
        (b"1 Jan 2001 1:05:01 +9999", (978311101 - 6039 * 60, 6039)),
        (b"1 Jan 2001 1:05:01", (978311101, 0)),
        (b"1 Jan 2001 1:05", (978311100, 0)),
        (b"1 Jan 2001 1:05 A", (978307500, 60)),
        (b"1 Jan 2001 1:05 J", (978311100, 0)),
        (b"1 Jan 2001 1:05 Z", (978311100, 0)),
        (b"1 Jan 2000 23:59:60 +0000", (946771199, 0)),
        (b"Mon, 1 Jan 2001 01.05.01 +0100", (978307501, 60)),
        (b"(c) Mon (c) , (d) 1 (e) Jan (f) 2001 (g) 1 : 05 : 07 (h) +0100 (i)", (978307507, 60)),
        (b"1\n Jan\n 2001 1:05:01 +0100", (978307501, 60)),
        (b"1 January 2001 1:05:01 +0000", (978311101, 0)),
        (b"1 Jan 69 00:00:00 +0000", (3124224000, 0)),
        (b"1 Jan 1900 1:05:01 +0000", (2085982397, 0)),  # 32 bits
        (b"Mon 22 Mar 1994 13:34:51 EST", None),
        (b"Mon, 31 Feb 1994 13:34:51 +0000", None),
        (b"29 Feb 2023 10:00:00 +0000", None),
        (b"1 Jan 2000 25:00:00 +0000", None),
        (b"1 Jan 2000 1:5:01 +0000", None),
        (b"1 Jan 100 1:05:01 +0000", None),
        (b"31 Dec 1969 23:59:59 +0000", None),
        (b"0 Jan 2001 1:05:01 +0100", None),
        (b"1-Jan-2001 1:05:01 +0100", None),
        (b"Jan 1 2001 1:05:01", None),
        (b"1 Jan 20011 01:05:01", None),
        (b"garbage", None),
        (b"", None),
        (b"  ", None),
        (b"(", None),
        (b"31 Dec 9999 23:59:59 -9999", ((253402300799 + 6039 * 60) % 2**32, -6039)),
    ],
)
def test_parse(value: bytes, expected: tuple[int, int] | None) -> None:
    found = date.parse(value)
    if expected is None:
        assert found is None
    else:
        assert found is not None
        assert found[1] == expected[1]
        assert found[0] == expected[0]


def test_fast_and_slow_agree() -> None:
    for value in (
        b"Mon, 02 Mar 2020 01:02:03 +0100",
        b"2 Mar 2020 01:02:03 -1130 (X)",
        b"Tue, 29 Feb 2000 23:59:59 +0000",
    ):
        assert date.parse(value) == date._parse_slow(value)


def test_local_day_is_the_writers() -> None:
    mail = b"Date: Mon, 2 Mar 2020 23:30:00 -0500\n\nb\n"
    assert summary.of(mail).sent_day == day_of(2020, 3, 2).toordinal()
    assert summary.of(b"Subject: x\n\n").sent_day == 0
    assert date.local_day(0, -60) == ZERO - 1
