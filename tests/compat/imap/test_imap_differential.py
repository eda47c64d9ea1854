"""Every question that IMAP has about mail, to our session and to Dovecot: the same bytes.

Each answer is counted. Those that differ must be explained by an entry of tests/fuzz/known.py, which is a
line of docs/differences.md, and must be fewer than one in a thousand.
"""

import os
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from pydovecot.services.imap.capability import CAPABILITIES
from tests.fuzz.known import KNOWN, explained
from tests.fuzz.run import afresh
from tests.support import mailquestions, preauth, searchquestions
from tests.support.duel import Difference, Duel
from tests.support.scripts import SCRIPTS, WORDS
from tests.support.uglymail import UGLY, Generator

pytestmark = [
    pytest.mark.compat,
    pytest.mark.skipif(bool(preauth.missing()), reason=preauth.missing()),
]

GENERATED = 150  # of each kind
SEED = 20
MOST_DIFFERENT = 0.001  # of all answers about real mail
WORDS_OF_MAIL = 40
LARGE = 250  # messages: larger mailboxes are asked with fewer words and keys


def corpus() -> list[bytes]:
    """The messages of the folder that PYDOVECOT_CORPUS names."""
    folder = os.environ.get("PYDOVECOT_CORPUS")
    if not folder:
        pytest.skip("PYDOVECOT_CORPUS does not name a folder of messages")
    return [path.read_bytes() for path in sorted(Path(folder).glob("*.eml"))]


def generated() -> list[bytes]:
    """Messages of the generator, and mutations of the ugly ones."""
    made = Generator(SEED)
    kinds: tuple[Callable[[], bytes], ...] = (made.structure, made.addresses, made.params)
    mails = [kind() for kind in kinds for _ in range(GENERATED)]
    mails += [made.mutate(UGLY[name]) for name in sorted(UGLY)]
    return [mail or b"\n" for mail in mails]


SOURCES: dict[str, Callable[[], list[bytes]]] = {
    "corpus": corpus,
    "ugly": lambda: list(UGLY.values()),
    "scripts": lambda: list(SCRIPTS.values()),
    "generated": generated,
}


@dataclass(slots=True)
class Asked:
    """A mailbox on both servers, and what was found."""

    source: str
    mails: list[bytes]
    duel: Duel
    known: list[Difference] = field(default_factory=list)

    def unexplained(self, differences: Iterable[Difference]) -> list[str]:
        """What no entry explains, one line each."""
        wrong: list[tuple[bytes, Difference]] = []
        for one in differences:
            message = self.mails[one.number - 1] if one.number else b""
            if explained(message, one):
                self.known.append(one)
            else:
                wrong.append((message, one))
        of_items = [(message, one) for message, one in wrong if one.question.startswith(b"FETCH")]
        others = [one for _, one in wrong if not one.question.startswith(b"FETCH")]
        return [*map(str, others), *(str(one) for _, one in afresh(of_items))]


@pytest.fixture(scope="module", params=SOURCES)
def asked(request: pytest.FixtureRequest) -> Iterator[Asked]:
    """Messages, and both servers with these in INBOX."""
    mails = SOURCES[request.param]()
    with Duel(mails) as duel:
        yield Asked(request.param, mails, duel)


def test_items_and_sections(asked: Asked) -> None:
    """ENVELOPE, BODYSTRUCTURE, … and every BODY[section] to depth 3, whole and in part."""
    found = (
        difference
        for number, mail in enumerate(asked.mails, 1)
        for difference in asked.duel.items(number, mailquestions.items(mail))
    )
    assert asked.unexplained(found) == []


def test_items_of_all_messages_at_once(asked: Asked) -> None:
    """The questions that the index answers, asked twice: ours must not change, whatever is cached now."""
    for item in mailquestions.bulk_items():
        assert asked.unexplained(asked.duel.item_of_all(item)) == []
        question = b"FETCH 1:* (" + item + b")"
        assert asked.duel.ours.ask(question) == asked.duel.ours.ask(question)


def test_searches(asked: Asked) -> None:
    large = len(asked.mails) > LARGE
    words = [*WORDS[:: 4 if large else 1], *searchquestions.words_in(asked.mails, 7, WORDS_OF_MAIL)]
    commands = [b"SEARCH " + key for key in searchquestions.PLAIN_KEYS]
    commands += searchquestions.text_searches(words, few=large)
    commands += searchquestions.date_searches(asked.mails, 30)
    found = (difference for command in commands for difference in asked.duel.matches(command))
    assert asked.unexplained(found) == []


@pytest.mark.skipif("SORT" not in CAPABILITIES, reason="SORT is not offered")
def test_sorts(asked: Asked) -> None:
    assert asked.unexplained(asked.duel.mailbox(searchquestions.sorts())) == []


@pytest.mark.skipif("THREAD=REFS" not in CAPABILITIES, reason="THREAD is not offered")
def test_threads(asked: Asked) -> None:
    assert asked.unexplained(asked.duel.mailbox(searchquestions.threads())) == []


def test_decoded_sections(asked: Asked) -> None:
    """BINARY and BINARY.SIZE, which end Dovecot now and then."""
    if asked.source == "generated":
        pytest.skip("Dovecot would end at every second message")
    found = (
        difference
        for number, mail in enumerate(asked.mails, 1)
        for difference in asked.duel.each(number, mailquestions.fallible_items(mail))
    )
    assert asked.unexplained(found) == []


def test_nearly_all_answers_were_equal(asked: Asked) -> None:
    """Behind all others: what they counted."""
    share = len(asked.known) / max(1, asked.duel.answers)
    print(f"{asked.source}: {asked.duel.answers} answers, {len(asked.known)} differ as documented")
    print(Counter(one.question.partition(b"[")[0][-6:] for one in asked.known), len(asked.duel.ended))
    if asked.source in ("corpus", "scripts"):
        assert share <= MOST_DIFFERENT


def test_nothing_was_logged(asked: Asked) -> None:
    assert [line for line in asked.duel.ours.sink.lines if re.search("Error|Panic", str(line))] == []


def test_known_differences_are_documented() -> None:
    text = (Path(__file__).parents[3] / "docs/differences.md").read_text()
    for known in KNOWN:
        assert known.line in text, known.line
        line = text[text.index(known.line) :].split("\n* ")[0]
        assert known.rule in line
