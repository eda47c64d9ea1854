"""Random SEARCH programs, with every form of RETURN and `$` between them: the same bytes as Dovecot.

Left out is what docs/differences.md names: NOT before a list (NEW is one), before sizes and MODSEQ, sets
whose ranges overlap, keywords nobody has.
"""

import random
import re

import pytest

from tests.support import preauth
from tests.support.duel import Duel
from tests.support.mailgen import generate

pytestmark = [
    pytest.mark.compat,
    pytest.mark.skipif(bool(preauth.missing()), reason=preauth.missing()),
]

MESSAGES = 30
PROGRAMS = 600
FLAGS = (b"SEEN", b"FLAGGED", b"ANSWERED", b"DRAFT", b"DELETED")
WORDS = (b"the", b"lantern", b"e", b"quarry", b"@", b"re", b"zzzz", b'""', b"Lantern", b'"a b"')
FIELDS = (b"SUBJECT", b"FROM", b"TO", b"CC", b"BCC", b"BODY", b"TEXT")
HEADERS = (b"Subject", b"message-id", b"X-None", b"RECEIVED")
DATES = (b"1-Jan-2020", b"14-Sep-2020", b"13-Sep-2020", b"31-Apr-2021", b"1-Feb-2021", b"24-Nov-2099")
TAG = re.compile(rb'(?<=\(TAG )"t\d+"')
PARTS = (b"PARTIAL 2:4", b"PARTIAL 9:5", b"PARTIAL 60:70")
PLAIN = (b"X-MAILBOX INBOX", b"X-MAILBOX Other", b"X-REAL-UID 3:9", b"FUZZY SEEN")
STATES = (b"RECENT", b"OLD", b"NEW", b"ALL", b"KEYWORD work", b"UNKEYWORD work")
START = (b"STORE 1,4,9 +FLAGS (work)", b"STORE 2:6 -FLAGS (\\Seen)", b"SEARCH RETURN (SAVE) 3:12")
LOST_IN_NOT = (b"NEW", b"LARGER", b"SMALLER", b"FUZZY")
RETURNS = (b"MIN", b"MAX", b"COUNT", b"ALL", b"SAVE", b"CONTEXT", *PARTS)


class Questions:
    """Random commands."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)

    def number(self) -> bytes:
        return b"%d" % self.random.randint(1, MESSAGES + 3)

    def numbers(self) -> bytes:
        """A set in order: Dovecot gets lost in those that overlap."""
        ends = sorted(self.random.sample(range(1, MESSAGES + 4), self.random.choice([1, 2, 3, 4])))
        parts = [b"%d" % ends.pop()] if len(ends) % 2 else []
        while ends:
            high = ends.pop()
            parts.append(b"%d:%d" % (ends.pop(), high))
        parts.reverse()
        if self.random.random() < 0.2:
            parts[-1] = b"%b:*" % parts[-1].partition(b":")[0]
        return b",".join(parts)

    def flag(self) -> bytes:
        one = self.random.choice(FLAGS)
        return self.random.choice([one, b"UN" + one, *STATES])

    def date(self) -> bytes:
        how = self.random.choice([b"BEFORE", b"ON", b"SINCE", b"SENTBEFORE", b"SENTON", b"SENTSINCE"])
        return b"%b %b" % (how, self.random.choice(DATES))

    def text(self) -> bytes:
        word = self.random.choice(WORDS)
        if self.random.random() < 0.3:
            return b"HEADER %b %b" % (self.random.choice(HEADERS), word)
        return b"%b %b" % (self.random.choice(FIELDS), word)

    def simple(self) -> bytes:
        size = b"%d" % self.random.choice([0, 300, 700, 1500, 5000, 1 << 40])
        return self.random.choice(
            [
                self.numbers, self.flag, self.flag, self.date, self.text, self.text,
                lambda: b"UID " + self.numbers(),
                lambda: b"$",
                lambda: self.random.choice([b"LARGER ", b"SMALLER "]) + size,
                lambda: self.random.choice([b"OLDER ", b"YOUNGER "]) + b"100000000",
                lambda: self.random.choice(PLAIN),
            ]
        )()  # fmt: skip

    def key(self, depth: int) -> bytes:
        kind = self.random.random()
        if depth == 0 or kind < 0.5:
            return self.simple()
        if kind < 0.7:
            inner = self.simple()
            return inner if inner.startswith(LOST_IN_NOT) else b"NOT " + inner
        if kind < 0.9:
            return b"OR %b %b" % (self.key(depth - 1), self.key(depth - 1))
        return b"(%b)" % self.keys(depth - 1)

    def keys(self, depth: int) -> bytes:
        return b" ".join(self.key(depth) for _ in range(self.random.randint(1, 3)))

    def returns(self) -> bytes:
        if self.random.random() < 0.3:
            return b""
        chosen = self.random.sample(RETURNS, self.random.randint(0, 4))
        return b"RETURN (%b) " % b" ".join(chosen)

    def search(self) -> bytes:
        uid = self.random.choice([b"", b"UID "])
        return b"%bSEARCH %b%b" % (uid, self.returns(), self.keys(2))

    def other(self) -> bytes:
        flag = self.random.choice([rb"\Seen", rb"\Flagged", rb"\Draft", b"work"])
        sign = self.random.choice([b"+", b"-"])
        return self.random.choice(
            [
                b"FETCH $ (UID)", b"UID FETCH $ (FLAGS)",
                b"STORE $ %bFLAGS.SILENT (%b)" % (sign, flag),
                b"UID STORE %b %bFLAGS (%b)" % (self.number(), sign, flag),
                b"SEARCH RETURN (SAVE) CHARSET x-unknown SUBJECT a",
                b"SEARCH RETURN (SAVE NONE) ALL",
            ]
        )  # fmt: skip


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_programs(seed: int) -> None:
    with Duel(list(generate(seed, MESSAGES))) as duel:
        questions = Questions(seed)
        for command in START:
            duel.ours.ask(command)
            duel.dovecot.ask(command)
        for _ in range(PROGRAMS):
            command = questions.search() if questions.random.random() < 0.8 else questions.other()
            theirs = [TAG.sub(b'"t"', line) for line in duel.dovecot.ask(command)]
            assert duel.ours.ask(command) == theirs, command
