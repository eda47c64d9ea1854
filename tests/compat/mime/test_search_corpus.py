"""SEARCH for words in several scripts and for dates: the same messages as the installed Dovecot finds."""

import os
import random
import re
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path

import pytest

from pydovecot.mime import structure, summary, textsearch
from pydovecot.model.search import (
    Contains,
    Date,
    DateField,
    DateOp,
    Header,
    Key,
    Larger,
    Not,
    Or,
    Smaller,
    Where,
)
from pydovecot.storage.search import evaluate
from tests.support import preauth
from tests.support.listview import ListView
from tests.support.preauth import PreauthImap
from tests.support.scripts import SCRIPTS, WORDS

pytestmark = [
    pytest.mark.compat,
    pytest.mark.skipif(bool(preauth.missing()), reason=preauth.missing()),
]

WORDS_OF_CORPUS = 20
ALL_KEYS = 80  # messages: larger mailboxes are asked with fewer words and keys
KEYS: dict[bytes, Callable[[str], Key]] = {
    b"TEXT": lambda text: Contains(Where.TEXT, text),
    b"BODY": lambda text: Contains(Where.BODY, text),
    b"SUBJECT": lambda text: Header("Subject", text),
    b"FROM": lambda text: Header("From", text),
    b"TO": lambda text: Header("To", text),
    b"CC": lambda text: Header("Cc", text),
    b"HEADER Subject": lambda text: Header("Subject", text, exact=True),
    b"HEADER From": lambda text: Header("From", text, exact=True),
    b"HEADER Message-ID": lambda text: Header("Message-ID", text, exact=True),
    b"HEADER Received": lambda text: Header("Received", text, exact=True),
}


def corpus() -> list[bytes]:
    """The messages of the folder that PYDOVECOT_CORPUS names."""
    folder = os.environ.get("PYDOVECOT_CORPUS")
    if not folder:
        pytest.skip("PYDOVECOT_CORPUS does not name a folder of messages")
    mails = [path.read_bytes() for path in sorted(Path(folder).glob("*.eml"))]
    # docs/differences.md: this charset's name is read as what its senders mean by it.
    return [mail for mail in mails if b"ks_c_5601" not in mail.lower()]


SOURCES: dict[str, Callable[[], list[bytes]]] = {"corpus": corpus, "scripts": lambda: list(SCRIPTS.values())}


@pytest.fixture(scope="module", params=SOURCES)
def served(request: pytest.FixtureRequest) -> Iterator[tuple[ListView, PreauthImap]]:
    """A view of messages, and Dovecot with the same."""
    mails = SOURCES[request.param]()
    with PreauthImap(mails) as imap:
        yield ListView(mails), imap


def words_in(view: ListView) -> list[str]:
    """Words that occur in the mail, decoded; those that are not ASCII first."""
    choose = random.Random(7)
    found: set[str] = set()
    for mail in view.mails:
        root = structure.parse(mail)
        text = textsearch.header_text(mail[: root.body])
        stack = [root]
        while stack:
            part = stack.pop()
            stack += part.children
            if not part.children:
                text += textsearch.body_text(mail, part) or ""
        words = re.findall(r"\w{3,12}", text.replace("\ufffd", " "))
        foreign = [word for word in words if not word.isascii()]
        found.update(choose.sample(words, min(1, len(words))), choose.sample(foreign, min(2, len(foreign))))
    return sorted(found, key=lambda word: (word.isascii(), word))[:WORDS_OF_CORPUS]


def test_texts(served: tuple[ListView, PreauthImap]) -> None:
    view, imap = served
    few = len(view.mails) > ALL_KEYS
    wrong = []
    for text in [*WORDS[:: 8 if few else 1], *words_in(view)]:
        for asked, key in list(KEYS.items())[: 4 if few else None]:
            want = imap.search(asked, text)
            if (got := evaluate(view, key(text))) != want:
                wrong.append(f"{asked.decode()} {text!r}: {got} is not {want}")
    assert wrong == []


def test_dates(served: tuple[ListView, PreauthImap]) -> None:
    view, imap = served
    days = {summary.of(mail).sent_day or date(1970, 1, 1).toordinal() for mail in view.mails}
    wrong = []
    for day in sorted(days):
        shown = date.fromordinal(day).strftime("%-d-%b-%Y").encode()
        for op in DateOp:
            want = imap.search(b"SENT%b %b" % (op.name.encode(), shown))
            if (got := evaluate(view, Date(DateField.SENT, op, day))) != want:
                wrong.append(f"{op} {shown!r}: {got} is not {want}")
    assert wrong == []


def test_combinations(served: tuple[ListView, PreauthImap]) -> None:
    view, imap = served
    sizes = sorted(summary.of(mail).size for mail in view.mails)
    middle = sizes[len(sizes) // 2]
    asked: dict[bytes, Key] = {
        b"LARGER %d" % middle: Larger(middle),
        b"SMALLER %d" % middle: Smaller(middle),
        b"NOT BODY a": Not(Contains(Where.BODY, "a")),
        b"OR FROM a SUBJECT e": Or(Header("From", "a"), Header("Subject", "e")),
    }
    for words, key in asked.items():
        assert evaluate(view, key) == imap.search(words), words
