"""doveadm-search-query: what words mean, what is refused, and that nothing breaks the parser."""

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pydovecot.admin.errors import AdminError
from pydovecot.admin.mail import query
from pydovecot.model.flags import Flag
from pydovecot.model.search import (
    All,
    And,
    Date,
    DateField,
    DateOp,
    HasFlag,
    HasKeyword,
    Header,
    Key,
    Larger,
    MailboxGuidIs,
    MailboxIs,
    Moment,
    Not,
    Or,
    SeqIn,
    UidIn,
)

NOW = 1_700_000_000


def parse(text: str) -> Key:
    return query.parse(text.split(), NOW)


def test_all_keys_must_match() -> None:
    seen = HasFlag(Flag.SEEN)
    assert parse("seen FROM ada") == And((seen, Header("From", "ada")))
    assert parse("seen") == seen
    assert parse("( seen )") == seen
    assert parse("not seen") == Not(seen)
    assert parse("not not seen") == seen


def test_or_makes_the_whole_list_an_or() -> None:
    one, two, three = (HasKeyword(name) for name in "abc")
    assert parse("keyword a or keyword b") == Or(one, two)
    assert parse("keyword a keyword b or keyword c") == Or(one, Or(two, three))
    assert parse("( keyword a keyword b ) or keyword c") == Or(And((one, two)), three)
    with pytest.raises(AdminError, match="Use parenthesis"):
        parse("keyword a or keyword b keyword c")


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("2024-02-03", date(2024, 2, 3)),
        ("3-Feb-2024", date(2024, 2, 3)),
        ("03-FEB-2024", date(2024, 2, 3)),
        ("1600000000", 1_600_000_000),
        ("2weeks", NOW - 14 * 86400),
        ("30d", NOW - 30 * 86400),
        ("1 hour", NOW - 3600),
        ("90s", NOW - 90),
        ("2024-02-31", date.max),
        ("", None),
        ("monday", None),
        ("3x", None),
        ("2weekss", None),
        ("-1", None),
    ],
)
def test_dates(text: str, found: date | int | None) -> None:
    assert query.when(text, NOW) == found


def test_days_and_moments() -> None:
    assert parse("savedbefore 30d") == Moment(DateField.SAVED, DateOp.BEFORE, NOW - 30 * 86400)
    assert parse("sentsince 2024-02-03") == Date(
        DateField.SENT, DateOp.SINCE, date(2024, 2, 3).toordinal()
    )


@pytest.mark.parametrize(
    ("text", "octets"), [("5", 5), ("5B", 5), ("2k", 2048), ("2kB", 2048), ("3M", 3 << 20), ("1G", 1 << 30)]
)
def test_sizes(text: str, octets: int) -> None:
    assert parse(f"larger {text}") == Larger(octets)


def test_numbers() -> None:
    key = parse("1:3,7")
    assert isinstance(key, SeqIn)
    assert list(key.seqs) == [1, 2, 3, 7]
    key = parse("uid 5:*")
    assert isinstance(key, UidIn)
    assert not key.uids.has_star  # all from 5 on, whatever the last one is
    assert 4_000_000_000 in key.uids


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("nosuch", "Unknown argument NOSUCH"),
        ("uid", "Missing parameter for search key (for search key: UID)"),
        ("uid x", "Invalid UID messageset"),
        ("0", "Invalid messageset"),
        ("( seen", "Missing ')'"),
        ("seen )", "Unexpected ')'"),
        ("( )", "No search parameters inside list"),
        ("not", "Missing argument"),
        ("seen or", "Missing argument"),
        ("since monday", "Invalid search date parameter: monday"),
        ("larger 3x", "Invalid size: 3x"),
    ],
)
def test_refused(text: str, complaint: str) -> None:
    with pytest.raises(AdminError) as failure:
        parse(text)
    assert failure.value.text == complaint


def test_what_a_query_says_of_mailboxes() -> None:
    assert query.names_of(parse("mailbox Work seen mailbox A*")) == (["Work", "A*"], False)
    assert query.names_of(parse("mailbox-guid 0 seen")) == ([], True)
    assert query.names_of(parse("mailbox Work or mailbox A")) == ([], False)
    assert query.names_of(parse("not mailbox Work seen")) == ([], False)


def test_the_query_within_a_mailbox() -> None:
    def within(text: str, name: str) -> Key:
        def matches(one: MailboxIs | MailboxGuidIs) -> bool:
            return isinstance(one, MailboxIs) and one.pattern == name

        return query.for_mailbox(parse(text), matches)

    seen = HasFlag(Flag.SEEN)
    assert within("mailbox Work seen", "Work") == seen
    assert within("mailbox Work seen", "Other") == query.NOTHING
    assert within("not mailbox Work seen", "Work") == query.NOTHING
    assert within("( mailbox Work seen ) or ( mailbox Other all )", "Other") == All()
    assert within("mailbox Work or seen", "Other") == seen


@pytest.mark.parametrize(
    ("text", "allowed"),
    [
        ("all", False),
        ("mailbox Work", False),
        ("mailbox Work all", True),
        ("mailbox-guid 0 seen", True),
        ("( mailbox A seen ) or ( mailbox B seen )", True),
        ("( mailbox A ) or ( mailbox B seen )", False),
        ("( mailbox A seen ) or seen", False),
        ("( mailbox A or mailbox B ) seen", True),
        ("mailbox A or mailbox B", False),
        ("not mailbox A seen", True),
    ],
)
def test_mail_is_removed_only_where_a_mailbox_is_named(text: str, allowed: bool) -> None:
    key = parse(text)
    if allowed:
        query.check_careful(key, "expunge")
        return
    with pytest.raises(AdminError, match="To avoid accidents") as failure:
        query.check_careful(key, "expunge")
    assert failure.value.status == 64


WORDS = st.sampled_from(
    [*query.KEYS, "or", "not", "(", ")", "a", "", "1", "2:*", "1,", "3k", "2weeks", "1-Jan-2020", "\udcff"]
)


@given(st.lists(st.one_of(WORDS, st.text(max_size=6)), max_size=30))
def test_any_words_are_a_query_or_refused(words: list[str]) -> None:
    try:
        key = query.parse(words, NOW)
    except AdminError as failure:
        assert failure.text
        return
    query.names_of(key)
    query.for_mailbox(key, lambda _one: True)


def test_deep_queries_end() -> None:
    for words in (["("] * 5000, ["not"] * 5000, ["("] * 150 + ["seen"] + [")"] * 150, ["all", "or"] * 4000):
        try:
            key = query.parse([*words, "all"], NOW)
        except AdminError:
            continue
        assert query.for_mailbox(key, lambda _one: False) is not None
