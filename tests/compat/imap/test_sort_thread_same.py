"""SORT and THREAD of odd mail and of real mail: the answers of the installed Dovecot, byte for byte."""

import itertools
import os
import unicodedata
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from tests.support import mailgen, oddheaders, preauth
from tests.support.duel import Duel

pytestmark = [
    pytest.mark.compat,
    pytest.mark.skipif(bool(preauth.missing()), reason=preauth.missing()),
]

KEYS = (b"ARRIVAL", b"CC", b"DATE", b"FROM", b"SIZE", b"SUBJECT", b"TO", b"DISPLAYFROM", b"DISPLAYTO")
KINDS = (b"REFERENCES", b"REFS", b"ORDEREDSUBJECT")


def single_keys() -> list[bytes]:
    """Each key, up and down. The second time Dovecot has what it needs in its cache."""
    return [b"SORT (%b%b) UTF-8 ALL" % (way, key) for key in KEYS for way in (b"", b"REVERSE ", b"")]


def pairs() -> list[bytes]:
    """Each key before each other one, of some messages."""
    return [
        b"UID SORT (REVERSE %b %b) US-ASCII NOT SUBJECT re" % pair for pair in itertools.permutations(KEYS, 2)
    ]


def threads(searches: Sequence[bytes] = (b"ALL", b"SUBJECT a", b"NOT 2:3")) -> list[bytes]:
    """Each kind, of all messages and of some."""
    return [
        b"%bTHREAD %b UTF-8 %b" % (uid, kind, search)
        for search in searches
        for kind in KINDS
        for uid in (b"", b"UID ")
    ]


def disagreements(mails: Sequence[bytes], commands: Sequence[bytes]) -> list[str]:
    with Duel(mails) as duel:
        found = [str(difference) for difference in duel.mailbox(commands)]
        assert duel.answers == len(commands)
    return found


@pytest.mark.parametrize("seed", range(3))
def test_odd_headers_are_sorted(seed: int) -> None:
    mails = list(oddheaders.sortable(seed, 300))
    assert disagreements(mails, [*single_keys(), *pairs()[::5], *threads((b"ALL",))]) == []


@pytest.mark.parametrize("seed", range(6))
def test_random_references_are_threaded(seed: int) -> None:
    mails = list(oddheaders.conversations(seed, (6, 20, 60, 200)[seed % 4]))
    assert disagreements(mails, threads()) == []


WELL_FORMED: dict[str, Callable[[], list[bytes]]] = {
    "discussion": lambda: list(oddheaders.discussion(1, 400)),
    "down": lambda: oddheaders.staircase(200),
    "up": lambda: oddheaders.staircase(200, backwards=True),
}


@pytest.mark.parametrize("name", WELL_FORMED)
def test_discussions_are_threaded(name: str) -> None:
    assert disagreements(WELL_FORMED[name](), threads()) == []


def test_ordinary_mail() -> None:
    mails = list(mailgen.generate(5, 150))
    assert disagreements(mails, [*single_keys(), *pairs()[::7], *threads()]) == []


def test_letters_of_all_scripts() -> None:
    """i;unicode-casemap, RFC 5051, with the tables that Dovecot has."""
    letters = [chr(code) for code in range(0x21, 0x1F700) if unicodedata.category(chr(code))[0] in "LMNSP"]
    mails = [b"Subject: x" + letter.encode() + b"y\n\nb\n" for letter in letters[::13]]
    assert len(mails) > 5000
    assert disagreements(mails, [b"SORT (SUBJECT) UTF-8 ALL"]) == []


def test_real_mail() -> None:
    folder = os.environ.get("PYDOVECOT_CORPUS")
    if not folder:
        pytest.skip("PYDOVECOT_CORPUS does not name a folder of messages")
    mails = [path.read_bytes() for path in sorted(Path(folder).glob("*.eml"))]
    word = "é".encode()
    searches = (b"ALL", b"SUBJECT re", b"BODY the", b"TEXT {%d+}\r\n%b" % (len(word), word))
    assert disagreements(mails, [*single_keys(), *pairs(), *threads(searches)]) == []
