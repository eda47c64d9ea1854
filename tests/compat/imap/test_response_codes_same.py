"""Response codes that need a Maildir in trouble: locked, or not to be written to. Ours and Dovecot's.

Codes that commands alone can bring about are in tests/transcripts/imap/response_codes.imap.
"""

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest

from tests.support.fixtures import Servers
from tests.support.serverconf import PASSWORD
from tests.support.transcript import Transcript
from tests.support.wire import WireConnection, WireHarness

Trouble = Callable[[Path], AbstractContextManager[None]]
SETTINGS = "mail_max_lock_timeout = 1s\n"
BEAT_SECS = 0.1
MESSAGE = b"{15+}\r\nSubject: x\r\n\r\nx"
PROGRAMS = [
    pytest.param("ours", marks=pytest.mark.process),
    pytest.param("dovecot", marks=pytest.mark.compat),
]


@contextmanager
def no_trouble(_maildir: Path) -> Iterator[None]:
    yield


@contextmanager
def locked(maildir: Path) -> Iterator[None]:
    """Another program has dovecot-uidlist.lock of INBOX and is alive."""
    lock = maildir / "dovecot-uidlist.lock"
    lock.write_text("1:elsewhere")
    owner = maildir.stat()
    os.chown(lock, owner.st_uid, owner.st_gid)
    done = threading.Event()

    def beat() -> None:
        while not done.wait(BEAT_SECS):
            os.utime(lock)

    thread = threading.Thread(target=beat)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
        lock.unlink()


def closed(*places: str) -> Trouble:
    """Directories below the Maildir that cannot be written to."""

    @contextmanager
    def trouble(maildir: Path) -> Iterator[None]:
        for place in places:
            (maildir / place).chmod(0o500)
        try:
            yield
        finally:
            for place in places:
                (maildir / place).chmod(0o700)

    return trouble


BOX = (".Box/cur", ".Box/new", ".Box/tmp")
MANY = b" ".join(b"key%d" % number for number in range(60))
# What is in the way, the commands, the last answer of both, and of Dovecot where it is another one.
CASES = {
    "a lock that stays": (
        locked, [b"APPEND INBOX " + MESSAGE], b"NO [SERVERBUG] Timeout while waiting for lock", None,
    ),
    "a mailbox to read only": (closed(*BOX), [b"SELECT Box"], b"OK [READ-ONLY] Select completed", None),
    "reading there marks nothing": (
        closed(*BOX), [b"SELECT Box", b"FETCH 1 BODY[TEXT]", b"NOOP"], b"OK NOOP completed", None,
    ),
    "expunging there": (closed(*BOX), [b"SELECT Box", b"EXPUNGE"], b"OK Expunge completed", None),
    "moving there": (
        closed(*BOX), [b"SELECT Box", b"MOVE 1 INBOX"],
        b"NO [CANNOT] Mailbox is read-only", b"OK Move completed",
    ),
    "subscriptions that stay": (
        closed("."), [b"SUBSCRIBE Box"], b"NO [NOPERM] No permission to modify subscriptions", None,
    ),
    "nothing to unsubscribe": (closed("."), [b"UNSUBSCRIBE Box"], b"OK Unsubscribe completed", None),
    "no place for a mailbox": (
        closed("."), [b"CREATE New"], b"NO [NOPERM] Permission denied", b"NO [SERVERBUG] Internal error",
    ),
    "no place for a message": (
        closed(*BOX), [b"APPEND Box " + MESSAGE],
        b"NO [NOPERM] Permission denied", b"NO [SERVERBUG] Internal error",
    ),
    "more keywords than fit": (
        no_trouble, [b"SELECT Box", b"STORE 1 FLAGS (%b)" % MANY],
        b"NO [LIMIT] Too many keywords", b"OK Store completed",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("program", PROGRAMS)
def test_the_code_tells_what_is_wrong(program: str, case: str, servers: Servers) -> None:
    trouble, commands, expected, of_dovecot = CASES[case]
    if program == "dovecot" and of_dovecot is not None:
        expected = of_dovecot
    server = servers.get(program, SETTINGS)
    harness = WireHarness(server, Transcript(Path(case), "imap", mailboxes=["Box"]))
    before = login(server.imap, harness.user)
    say(before, b"APPEND INBOX " + MESSAGE)
    say(before, b"APPEND Box " + MESSAGE)
    say(before, b"SELECT Box")
    say(before, b"CLOSE")
    before.close()
    connection = login(server.imap, harness.user)
    with trouble(server.place.maildir(harness.user)):
        answers = [say(connection, command) for command in commands]
    connection.close()
    assert answers[-1].startswith(b"t " + expected), answers


def login(port: int, user: str) -> WireConnection:
    connection = WireConnection(port, timeout=60)
    connection.read_until(b"\n")
    connection.send(b"l LOGIN %b %b\r\n" % (user.encode(), PASSWORD.encode()))
    connection.read_until(b"l OK")
    return connection


def say(connection: WireConnection, command: bytes) -> bytes:
    """The tagged line."""
    connection.send(b"t %b\r\n" % command)
    data = connection.read_until(b"t ")
    while not data.rpartition(b"\r\n")[0].rpartition(b"\r\n")[2].startswith(b"t "):
        data += connection.read_until(b"t ")
    return data.rpartition(b"\r\n")[0].rpartition(b"\r\n")[2]
