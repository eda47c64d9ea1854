"""Two QRESYNC sessions in one mailbox, random commands in turn: both servers tell both sessions the same.

Before a command that reads or changes flags its session asks for news (NOOP, compared as well): how far a
session looks ahead of what it was told is the one thing in which the servers differ (docs/differences.md).
The rest of what one hears of the other comes with NOOP, CHECK, EXPUNGE, UID SEARCH, COPY, MOVE and APPEND.
"""

import random
import re
from collections.abc import Iterator

import pytest

from tests.support.fixtures import Servers
from tests.support.serverconf import PASSWORD
from tests.support.wire import Server, WireConnection

pytestmark = [pytest.mark.compat, pytest.mark.process]

COMMANDS = 60
FLAGS = (rb"\Seen", rb"\Flagged", rb"\Deleted", rb"kw1", rb"\Deleted \Seen")
SETS = (b"1", b"2", b"1:3", b"2,4", b"1:*", b"3:*")
# What is not the same number on both.
NUMBERS = (
    (re.compile(rb" \(\d+\.\d+ [^()]*secs\)"), b""),
    (re.compile(rb"(MODSEQ \(?)\d+"), rb"\1n"),
    (re.compile(rb"((?:APPENDUID|COPYUID|UIDVALIDITY)) \d+"), rb"\1 n"),
    (re.compile(rb"\* OK \[MAILBOXID [^\r]*\r\n"), b""),
)
DONE = re.compile(rb"(?:\A|\n)t (?:OK|NO|BAD)[^\n]*\n\Z")


class Session:
    """One connection, and what a client keeps of it."""

    def __init__(self, server: Server, user: str) -> None:
        self.line = WireConnection(server.imap, timeout=60)
        self.line.read_until(b"\n")
        self.line.send(b"l LOGIN %b %b\r\n" % (user.encode(), PASSWORD.encode()))
        self.line.read_until(b"l OK")
        self.uidvalidity = self.modseq = b"1"

    def ask(self, command: bytes) -> bytes:
        """The answer without numbers that differ; `{v}` and `{m}` in the command are what was last told."""
        command = command.replace(b"{v}", self.uidvalidity).replace(b"{m}", self.modseq)
        self.line.send(b"t %b\r\n" % command)
        data = b""
        while not DONE.search(data):
            more = self.line.receive()
            assert more, data
            data += more
        for found in re.finditer(rb"HIGHESTMODSEQ (\d+)", data):
            self.modseq = found[1]
        if found := re.search(rb"UIDVALIDITY (\d+)", data):
            self.uidvalidity = found[1]
        for pattern, instead in NUMBERS:
            data = pattern.sub(instead, data)
        return data


def commands(seed: int) -> Iterator[tuple[int, bytes]]:
    """Who does what."""
    choose = random.Random(seed)
    for _ in range(COMMANDS):
        which, flags = choose.choice(SETS), choose.choice(FLAGS)
        change = choose.choice([b"+FLAGS.SILENT", b"-FLAGS", b"+FLAGS"])
        command = choose.choice(
            [
                b"NOOP", b"NOOP", b"CHECK", b"EXPUNGE", b"SEARCH ALL", b"UID SEARCH SEEN",
                b"FETCH 1:* (MODSEQ)", b"UID FETCH 1:* (FLAGS)", b"UID EXPUNGE " + which,
                *[b"UID STORE %b %b (%b)" % (which, change, flags)] * 3,
                b"APPEND INBOX (%b) {1+}\r\nx" % flags, b"UID COPY %b Box" % which,
                b"UID MOVE %b Box" % choose.choice([b"1", b"2", b"5"]), b"STATUS Box (MESSAGES)",
                b"SELECT INBOX (QRESYNC ({v} {m}))", b"UID FETCH 1:* (FLAGS) (CHANGEDSINCE {m} VANISHED)",
            ]
        )  # fmt: skip
        yield choose.randrange(2), command


def start(server: Server, user: str) -> tuple[Session, Session]:
    first, second = Session(server, user), Session(server, user)
    first.ask(b"CREATE Box")
    for _ in range(5):
        first.ask(b"APPEND INBOX {1+}\r\nx")
    for session in (first, second):
        session.ask(b"ENABLE QRESYNC")
        session.ask(b"SELECT INBOX")
        session.ask(b"STORE 1 +FLAGS (kw1)")
        session.ask(b"NOOP")
    return first, second


@pytest.mark.parametrize("seed", range(1, 13))
def test_both_sessions_hear_the_same(seed: int, servers: Servers) -> None:
    user = f"two{seed:03d}"
    pairs = [start(servers.get(program, ""), user) for program in ("ours", "dovecot")]
    said: list[tuple[int, bytes]] = []
    for who, command in commands(seed):
        looks_ahead = command.startswith((b"FETCH", b"UID FETCH", b"UID STORE", b"UID EXPUNGE", b"SEARCH"))
        for question in [b"NOOP", command] if looks_ahead else [command]:
            said.append((who, question))
            ours, theirs = [pair[who].ask(question) for pair in pairs]
            assert ours == theirs, (seed, said[-8:], ours, theirs)
    for pair in pairs:
        for session in pair:
            session.line.close()
