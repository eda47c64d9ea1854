"""Dates, items, search programs: pure functions of the imap service."""

import time
from datetime import date

import pytest

from pydovecot.model.flags import Flag
from pydovecot.model.search import And, Contains, HasFlag, Header, Not, Or, SeqIn, Where
from pydovecot.model.section import Partial, Section, Text
from pydovecot.model.seqset import SeqSet
from pydovecot.proto.imap.cursor import Cursor
from pydovecot.proto.imap.syntax import BadSyntax
from pydovecot.proto.imap.tokens import arguments
from pydovecot.services.imap.dates import NO_SUCH_TIME, DateFormatter, parse_date, parse_date_time
from pydovecot.services.imap.fetch_items import ContentItem, parse_items
from pydovecot.services.imap.search_keys import KEYS, Program, Selected, parse_keys, resolve


def test_internaldate() -> None:
    utc = DateFormatter(time.gmtime)
    assert utc(1704103200) == b'"01-Jan-2024 10:00:00 +0000"'
    assert utc(1704103200 + 899) == b'"01-Jan-2024 10:14:59 +0000"'
    assert utc(1704103200 + 900) == b'"01-Jan-2024 10:15:00 +0000"'
    assert utc(0) == b'"01-Jan-1970 00:00:00 +0000"'
    assert utc.or_nil(0) == b"NIL"


def test_internaldate_in_other_zones(monkeypatch: pytest.MonkeyPatch) -> None:
    for zone, expected in (
        ("Asia/Kathmandu", b'"01-Jan-2024 15:45:07 +0545"'),
        ("America/St_Johns", b'"01-Jan-2024 06:30:07 -0330"'),
        ("UTC", b'"01-Jan-2024 10:00:07 +0000"'),
    ):
        monkeypatch.setenv("TZ", zone)
        time.tzset()
        assert DateFormatter()(1704103207) == expected
        assert DateFormatter()._exact(1704103207) == expected
    monkeypatch.setenv("TZ", "Africa/Monrovia")
    time.tzset()
    assert DateFormatter()(0) == b'"31-Dec-1969 23:15:30 -0044"'
    monkeypatch.undo()
    time.tzset()


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        (b"01-Jan-2024 10:00:00 +0000", 1704103200),
        (b" 1-Jan-2024 10:00:00 +0000", 1704103200),
        (b"1-jan-2024 11:30:00 +0130", 1704103200),
        (b"31-Dec-2023 22:30:00 -1130", 1704103200),
        (b"01-Jan-2024 23:59:60 +0000", 1704153599),
        (b"01-Jan-2024 10:00:00 +2460", 1704013200),
        (b"32-Jan-2024 00:00:00 +0000", NO_SUCH_TIME),
        (b"31-Apr-2024 00:00:00 +0000", NO_SUCH_TIME),
        (b"00-Apr-2024 00:00:00 +0000", NO_SUCH_TIME),
        (b"01-Jan-2024 24:00:00 +0000", NO_SUCH_TIME),
        (b"01-Jan-2024 10:60:00 +0000", NO_SUCH_TIME),
        (b"01-Jan-0000 10:00:00 +0000", -(2**31)),
        (b"01-Jan-2024", None),
        (b"01-Foo-2024 10:00:00 +0000", None),
        (b"01-Jan-2024 10:00:00", None),
        (b"", None),
    ],
)
def test_date_times(text: bytes, seconds: int | None) -> None:
    assert parse_date_time(text) == seconds


def test_dates() -> None:
    day = parse_date(b"1-Feb-2024")
    assert day is not None and day.isoformat() == "2024-02-01"
    assert parse_date(b"1-Feb-24") is None
    assert parse_date(b"99-Dec-2024") == parse_date(b"30-Feb-2024") == date.max
    assert parse_date(b"1-Jan-0000") == date.min


def items(text: bytes) -> list[object]:
    cursor = Cursor(arguments(text))
    found = parse_items(cursor)
    assert not cursor.more()
    return list(found)


@pytest.mark.parametrize(
    ("text", "label", "section", "partial", "seen"),
    [
        (b"BODY[]", b"BODY[]", Section(), None, True),
        (b"body.peek[1.2.mime]", b"BODY[1.2.MIME]", Section((1, 2), Text.MIME), None, False),
        (b"BODY[TEXT]<3.4>", b"BODY[TEXT]<3>", Section(text=Text.TEXT), Partial(3, 4), True),
        (b"BODY[3]<0>", b"BODY[3]<0>", Section((3,)), Partial(0, 1 << 62), True),
        (
            b'BODY.PEEK[2.HEADER.FIELDS.NOT (From "a \\" b")]',
            b'BODY[2.HEADER.FIELDS.NOT (FROM "A \\" B")]',
            Section((2,), Text.HEADER_FIELDS_NOT, (b"From", b'a " b')),
            None,
            False,
        ),
        (b"RFC822.HEADER", b"RFC822.HEADER", Section(text=Text.HEADER), None, False),
        (b"RFC822", b"RFC822", Section(), None, True),
    ],
)
def test_sections(text: bytes, label: bytes, section: Section, partial: Partial | None, seen: bool) -> None:
    assert items(text) == [ContentItem(label, section, partial, sets_seen=seen)]
    assert (
        items(b"(" + text + b" " + text + b")") == [ContentItem(label, section, partial, sets_seen=seen)] * 2
    )


@pytest.mark.parametrize(
    "text",
    [
        b"BODY[1..2]", b"BODY[.]", b"BODY[1.FOO]", b"BODY[HEADER.FIELDS", b"BODY[HEADER.FIELDS (",
        b"BODY[]<>", b"BODY[]<1.>", b"BODY[TEXT (a)]", b"BODY[" + b"1." * 200 + b"1]",
        b"BODY[HEADER.FIELDS ({3}\r\n)]", b"()",
    ],
)  # fmt: skip
def test_no_sections(text: bytes) -> None:
    with pytest.raises(BadSyntax):
        parse_items(Cursor(arguments(text, [b"a\nb"])))


def search(text: bytes) -> object:
    return parse_keys(Cursor(arguments(text)), Program())


def test_search_programs() -> None:
    seen = HasFlag(Flag.SEEN)
    assert search(b"SEEN") == seen
    assert search(b"seen not seen") == And((seen, Not(seen)))
    assert search(b"OR SEEN NOT OR SEEN (SEEN SEEN)") == Or(seen, Not(Or(seen, And((seen, seen)))))
    assert search(b'FROM x BODY "y z"') == And((Header("From", "x"), Contains(Where.BODY, "y z")))
    assert search(b"FUZZY SUBJECT x") == Header("Subject", "x")


def test_every_key_of_rfc_3501_is_there() -> None:
    # RFC 3501 9, search-key
    words = b"""ALL ANSWERED BCC BEFORE BODY CC DELETED FLAGGED FROM KEYWORD NEW OLD ON RECENT SEEN SINCE
        SUBJECT TEXT TO UNANSWERED UNDELETED UNFLAGGED UNKEYWORD UNSEEN DRAFT HEADER LARGER SENTBEFORE SENTON
        SENTSINCE SMALLER UID UNDRAFT""".split()
    assert set(words) <= KEYS.keys()


@pytest.mark.parametrize(
    ("text", "expected"),
    [(b"1:*", ((1, 3),)), (b"*", ((3, 3),)), (b"2,9", ((2, 2),)), (b"4:9", ()), (b"9:2", ((2, 3),))],
)
def test_sequence_numbers_beyond_the_mailbox_match_nothing(
    text: bytes, expected: tuple[tuple[int, int], ...]
) -> None:
    key = parse_keys(Cursor(arguments(text)), Program())
    assert isinstance(key, SeqIn)
    resolved = resolve(Not(Or(key, And((key, key)))), Selected(3))
    assert isinstance(resolved, Not) and isinstance(resolved.key, Or)
    assert isinstance(resolved.key.left, SeqIn)
    assert resolved.key.left.seqs.ranges == expected
    assert resolve(SeqIn(SeqSet.from_ranges([(1, 0xFFFFFFFF)])), Selected(0)) == SeqIn(SeqSet())


def test_charset_of_the_strings() -> None:
    assert parse_keys(Cursor(arguments(b'SUBJECT "\xe4"')), Program("latin-1")) == Header("Subject", "ä")
    with pytest.raises(BadSyntax, match="Invalid search key"):
        parse_keys(Cursor(arguments(b'SUBJECT "\xe4"')), Program())
