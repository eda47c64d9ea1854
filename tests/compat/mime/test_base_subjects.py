"""Base subjects: THREAD=ORDEREDSUBJECT of the installed Dovecot puts the same subjects together."""

import random
import re

import pytest

from pydovecot.mime import header, subject
from tests.support import preauth
from tests.support.preauth import PreauthImap

pytestmark = [
    pytest.mark.compat,
    pytest.mark.skipif(bool(preauth.missing()), reason=preauth.missing()),
]

BITS = [
    "Re:", "re :", "RE", "Fwd:", "fw:", "FW [x]:", "[list]", "[a] ", "[", "]", "[fwd:", "(fwd)", " (FWD) ",
    " ", "  ", "\n ", "hello", "é", "=?utf-8?q?Re:?=", "=?utf-8?q?h=C3=A9llo?=", "re", ":", "[]",
]  # fmt: skip


def subjects(seed: int, count: int) -> list[str]:
    """Senseless rows of bits."""
    choose = random.Random(seed)
    return ["".join(choose.choice(BITS) for _ in range(choose.randint(1, 7))) for _ in range(count)]


def groups(answer: bytes) -> set[frozenset[int]]:
    """Top level threads as sets of numbers."""
    found, depth, current = set(), 0, b""
    for char in re.findall(rb"[()]|[^()]+", answer.partition(b"THREAD ")[2]):
        if char == b"(":
            depth += 1
            current += b" "
        elif char == b")":
            depth -= 1
            current += b" "
            if depth == 0:
                found.add(frozenset(map(int, current.split())))
                current = b""
        else:
            current += char
    return found


def test_groups() -> None:
    texts = subjects(5, 600)
    mails = [f"Subject: {text}\nDate: 1 Jan 2001 00:00:00 +0000\n\nb\n".encode() for text in texts]
    ours: dict[str, set[int]] = {}
    for number, mail in enumerate(mails, 1):
        value = header.first(mail, b"subject") or b""
        ours.setdefault(subject.base(value).text, set()).add(number)
    with PreauthImap(mails) as imap:
        (answer,) = imap.command(b"THREAD ORDEREDSUBJECT UTF-8 ALL")
    want = groups(answer)
    got = {frozenset(numbers) for numbers in ours.values()}
    assert [[texts[n - 1] for n in sorted(group)][:6] for group in got ^ want] == []
