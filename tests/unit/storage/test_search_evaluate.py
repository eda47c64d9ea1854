"""storage.search: every key, combinations, and what is read for them."""

from datetime import date, datetime
from typing import cast

import pytest

from pydovecot.model.flags import Flag
from pydovecot.model.numbers import ModSeq
from pydovecot.model.search import (
    Age,
    All,
    And,
    Contains,
    Date,
    DateField,
    DateOp,
    Guid,
    HasFlag,
    HasKeyword,
    Header,
    Key,
    Larger,
    MailboxIs,
    ModSeqSince,
    Not,
    Or,
    Recent,
    SeqIn,
    Smaller,
    UidIn,
    Where,
)
from pydovecot.model.seqset import STAR, SeqSet
from pydovecot.storage.api import View
from pydovecot.storage.search import evaluate
from tests.support.listview import ListView
from tests.support.scripts import SCRIPTS

MAILS = [
    b"From: Ann <ann@x>\nSubject: apples  and pears\nDate: Mon, 2 Mar 2020 23:30:00 -0500\n\nred\n",
    b"From: bob@y\nSubject: pears\nDate: Tue, 3 Mar 2020 00:30:00 +0100\n\ngreen apples\n"
    + b"x" * 500
    + b"\n",
    b"From: carol@z\nSubject: none\n\nblue\n",
    b"To: ann@x\n\nyellow\n",
]
NOON = int(datetime(2020, 3, 3, 12).timestamp())


@pytest.fixture
def view() -> ListView:
    made = ListView(MAILS)
    made.system_flags = [int(Flag.SEEN), 0, int(Flag.SEEN | Flag.FLAGGED), 0]
    made.keyword_sets = [("Junk",), (), ("Junk", "$Work"), ()]
    made.received = [NOON, NOON - 86400, NOON + 86400, NOON]
    made.recent_seqs = {2, 4}
    return made


def found(view: ListView, key: Key, now: float = NOON) -> list[int]:
    return cast("list[int]", evaluate(cast(View, view), key, now=lambda: now))


DAY = date(2020, 3, 3).toordinal()
TEXT_APPLES = Contains(Where.TEXT, "Apples")
BODY_APPLES = Contains(Where.BODY, "Apples")
KEYS: list[tuple[Key, list[int]]] = [
    (All(), [1, 2, 3, 4]),
    (SeqIn(SeqSet.from_ranges([(2, STAR)])), [2, 3, 4]),
    (SeqIn(SeqSet.from_ranges([(3, 9)])), [3, 4]),
    (UidIn(SeqSet.from_ranges([(101, 102), (999, STAR)])), [1, 2, 4]),
    (HasFlag(Flag.SEEN), [1, 3]),
    (Not(HasFlag(Flag.SEEN)), [2, 4]),
    (HasKeyword("junk"), [1, 3]),
    (HasKeyword("unknown"), []),
    (Recent(), [2, 4]),
    (ModSeqSince(ModSeq(1003)), [3, 4]),
    (Larger(300), [2]),
    (Smaller(300), [1, 3, 4]),
    (Guid("guid3"), [3]),
    (MailboxIs("inbox"), [1, 2, 3, 4]),
    (MailboxIs("other"), []),
    (Age(3600, younger=True), [1, 3, 4]),
    (Age(3600, younger=False), [2]),
    (Date(DateField.RECEIVED, DateOp.ON, DAY), [1, 4]),
    (Date(DateField.RECEIVED, DateOp.BEFORE, DAY), [2]),
    (Date(DateField.SAVED, DateOp.SINCE, DAY), [1, 3, 4]),
    # The day is the sender's own: 2 March in New York, 3 March in Berlin.
    (Date(DateField.SENT, DateOp.ON, DAY), [2]),
    (Date(DateField.SENT, DateOp.ON, DAY - 1), [1]),
    # No date counts as 1970.
    (Date(DateField.SENT, DateOp.BEFORE, DAY - 1), [3, 4]),
    (Date(DateField.RECEIVED, DateOp.SINCE, 1), [1, 2, 3, 4]),
    (Date(DateField.RECEIVED, DateOp.BEFORE, date.max.toordinal()), [1, 2, 3, 4]),
    (Header("from", "ANN"), [1]),
    (Header("Subject", ""), [1, 2, 3]),
    (Header("Subject", "apples and"), [1]),
    (Header("Subject", "apples and", exact=True), []),
    (Header("From", "<bob@y>"), [2]),
    (Header("From", "<bob@y>", exact=True), []),
    (Header("From", '"ann"', exact=True), []),
    (TEXT_APPLES, [1, 2]),
    (BODY_APPLES, [2]),
    (Contains(Where.BODY, ""), [1, 2, 3, 4]),
    (And(()), [1, 2, 3, 4]),
    (And((TEXT_APPLES, HasFlag(Flag.SEEN))), [1]),
    (Or(BODY_APPLES, HasFlag(Flag.FLAGGED)), [2, 3]),
    (Not(Or(TEXT_APPLES, Not(Header("From", "")))), [3]),
]


@pytest.mark.parametrize(("key", "expected"), KEYS, ids=lambda value: str(value)[:60])
def test_key(view: ListView, key: Key, expected: list[int]) -> None:
    assert found(view, key) == expected


@pytest.mark.parametrize(("key", "expected"), KEYS, ids=lambda value: str(value)[:60])
def test_key_among_few(view: ListView, key: Key, expected: list[int]) -> None:
    """The same after another key has left few candidates."""
    few = SeqIn(SeqSet.from_ranges([(2, 2)]))
    assert found(view, And((few, key))) == [seq for seq in expected if seq == 2]


def test_cheap_keys_come_first(view: ListView) -> None:
    assert found(view, And((BODY_APPLES, Not(HasFlag(Flag.SEEN)), Larger(300)))) == [2]
    assert view.opened == [2]


def test_the_second_half_of_or_skips_what_matched(view: ListView) -> None:
    assert found(view, Or(BODY_APPLES, HasFlag(Flag.SEEN))) == [1, 2, 3]
    assert view.opened == [2, 4]


def test_expunged_content_matches_nothing(view: ListView) -> None:
    view.gone = {1, 2}
    assert found(view, TEXT_APPLES) == []
    assert found(view, Header("Subject", "pears")) == []
    assert found(view, HasFlag(Flag.SEEN)) == [1, 3]


def test_empty_mailbox() -> None:
    assert found(ListView([]), Not(TEXT_APPLES)) == []


# Words as senders and searchers write them: (message, word, found in the body, found in the subject).
@pytest.mark.parametrize(
    ("name", "word", "in_text"),
    [
        ("german-quoted-printable", "KÖLN", True),
        ("german-base64", "koln", False),  # its accent stands behind the bare letter
        ("german-8bit", "straße", True),
        ("german-8bit", "strasse", False),
        ("russian-koi8-8bit", "ПРИВЕТ", True),
        ("russian-1251-base64", "москвы", True),
        ("greek-quoted-printable", "οδος", True),
        ("japanese-iso2022-8bit", "日本語", True),
        ("japanese-sjis-base64", "カタカナ", True),
        ("chinese-gb-quoted-printable", "中文", True),
        ("chinese-big5-8bit", "繁體", True),
        ("korean-base64", "한국어", True),
        ("turkish-8bit", "stanbul", True),
        ("vietnamese-8bit", "tiếng", True),
        ("hebrew-base64", "שלום", True),
        ("thai-quoted-printable", "สวัสดี", True),
        ("utf7-8bit", "äöü", True),
        ("compat-8bit", "ａｂｃ", True),
        ("compat-8bit", "abc", True),
        ("qp-split", "splitword", True),
        ("qp-split", "hidden", True),
        ("base64-broken", "helloworld", False),
        ("base64-broken", "hello", True),
        ("parts", "headerword", True),
        ("parts", "hiddenbinary", False),
        ("parts", "unknownencoded", False),
        ("parts", "preamble", False),
        ("parts", "untyped", True),
        ("unknown-charset", "hello there", True),
        ("latin1-undeclared", "körper", False),
        ("folded", "two three", True),
        ("broken-words", "ab", True),
        ("ascii-8bit", "hello world", True),
    ],
)
def test_words(name: str, word: str, in_text: bool) -> None:
    assert found(ListView([SCRIPTS[name]]), Contains(Where.TEXT, word)) == ([1] if in_text else [])


def test_utf16_and_language_tags_are_read() -> None:
    mail = b"Subject: =?utf-8*en?q?Tagged?=\nContent-Type: text/plain; charset=utf-16-le\n" + (
        b"Content-Transfer-Encoding: base64\n\ncwBpAHgAdABlAGUAbgA=\n"
    )
    assert found(ListView([mail]), Contains(Where.BODY, "sixteen")) == [1]
    assert found(ListView([mail]), Header("Subject", "tagged")) == [1]
