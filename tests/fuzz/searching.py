"""SEARCH for words out of the messages themselves, in several charsets, in every text key."""

import random
import re
from collections.abc import Iterator, Sequence

from pydovecot.mime import header, structure, textsearch, words
from tests.fuzz.run import Outcome
from tests.support.duel import Duel
from tests.support.preauth import DovecotEndedError

KEYS = (
    b"TEXT", b"BODY", b"SUBJECT", b"FROM", b"TO", b"CC", b"BCC", b"HEADER Subject", b"HEADER From",
    b"HEADER To", b"HEADER Received", b"HEADER Message-ID", b"HEADER Content-Type", b"HEADER X-Foo",
    b"HEADER Date",
)  # fmt: skip
CHARSETS = ("utf-8", "utf-8", "utf-8", "iso-8859-1", "koi8-r", "iso-2022-jp", "windows-1251", "big5", "utf-7")
QUESTIONS = 120  # of each batch


def search_all(messages: Sequence[bytes], choose: random.Random, outcome: Outcome) -> None:
    """Questions made of the messages' own texts; those that match nothing are useful too."""
    texts = list(_texts(messages, choose))
    questions = [_question(choose, choose.choice(texts)) for _ in range(QUESTIONS)]
    left = list(messages)
    while questions:
        with Duel(left) as duel:
            try:
                while questions:
                    for difference in duel.matches(questions[-1]):
                        message = left[difference.number - 1] if difference.number else b""
                        outcome.take(message, difference)
                    questions.pop()
            except DovecotEndedError:
                outcome.ended.append(questions.pop())
            outcome.answers += duel.answers * len(left)
    _ask_alone(outcome)


def _ask_alone(outcome: Outcome) -> None:
    """Keep what a message has in a mailbox of its own: Dovecot's answer may depend on the one before it."""
    found, outcome.found = outcome.found, []
    for message, difference in found:
        if difference.number:
            with Duel([message]) as duel:
                if not list(duel.matches(difference.question)):
                    outcome.by_history += 1
                    continue
        outcome.found.append((message, difference))


def _texts(messages: Sequence[bytes], choose: random.Random) -> Iterator[str]:
    for message in choose.sample(list(messages), min(len(messages), 60)):
        end = header.end(message)
        lines = message[:end].decode("utf-8", "replace").split("\n")
        yield _part(choose.choice(lines), choose)
        value = choose.choice(message[:end].split(b"\n")).partition(b":")[2]
        yield _part(words.decode(value.strip()), choose)
        root = structure.parse(message)
        part = root
        while part.children:
            part = choose.choice(part.children)
        yield _part(textsearch.body_text(message, part) or "x", choose)
        yield _part(message[end:].decode("latin-1"), choose)


def _part(text: str, choose: random.Random) -> str:
    """A word or some characters out of a text."""
    if choose.random() < 0.5 and (found := re.findall(r"\w+", text)):
        return str(choose.choice(found))[:30]
    at = choose.randint(0, max(0, len(text) - 1))
    return text[at : at + choose.choice((1, 2, 3, 6, 12, 30))]


def _question(choose: random.Random, text: str) -> bytes:
    text = re.sub("[\0\r\n\ufffd\ud800-\udfff]", "", text) or "a"
    if choose.random() < 0.3:
        text = text.swapcase()
    name = choose.choice(CHARSETS)
    try:
        data = text.encode(name)
    except UnicodeError:
        name, data = "utf-8", text.encode()
    return b"SEARCH CHARSET %b %b {%d+}\r\n%b" % (name.encode(), choose.choice(KEYS), len(data), data)
