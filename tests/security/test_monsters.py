"""Messages that are too much of something: every command ends, in bounded memory, with linear work.

The work is counted in calls, at one size and at four times that. What goes on inside of a call is bounded by
the processor time that the whole of it may take: far more than it needs, far less than anything quadratic.
"""

import os
import resource
import sys
import tempfile
import traceback
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path

import pytest

from pydovecot.event.event import Event
from pydovecot.event.sinks import ListSink
from pydovecot.services.imap.build import make_session
from pydovecot.services.imap.connection import ImapConnection
from pydovecot.services.pop3.connection import Pop3Connection
from pydovecot.services.pop3.session import Session as Pop3Session
from pydovecot.services.pop3.settings import Pop3Settings
from pydovecot.settings.memory import MemoryView
from pydovecot.storage.api import Store
from pydovecot.storage.drivers.registry import open_store
from pydovecot.storage.indexed import rows
from pydovecot.storage.settings import NamespaceSettings
from pydovecot.storage.user import StorageUser
from tests.support.monsters import MONSTERS
from tests.support.scripts import SCRIPTS
from tests.support.uglymail import UGLY

FETCHES = (
    b"FETCH 1 (UID FLAGS INTERNALDATE RFC822.SIZE ENVELOPE BODY BODYSTRUCTURE)",
    b"FETCH 1 BODY.PEEK[HEADER.FIELDS (TO SUBJECT X-FIELD REFERENCES)]",
    b"FETCH 1 BODY.PEEK[HEADER.FIELDS.NOT (TO)]",
    b"FETCH 1 (BODY.PEEK[1.MIME] BODY.PEEK[1.1.1.1] BODY.PEEK[1] BODY.PEEK[TEXT])",
    b"FETCH 1 (BODY.PEEK[]<1000.10> BODY.PEEK[]<1000000.10> BODY.PEEK[]<99999999.10>)",
    b"FETCH 1 BODY.PEEK[]",
    b"FETCH 1 PREVIEW",
)
SEARCHES = (
    b'SEARCH TEXT "nowhere"', b'SEARCH BODY "hello"', b'SEARCH TO "nowhere"', b'SEARCH SUBJECT "nowhere"',
    b'SEARCH CHARSET UTF-8 TEXT "n\xc3\xb6"', b'SEARCH HEADER X-FIELD "no"', b'SEARCH HEADER REFERENCES "no"',
    b"SORT (SUBJECT FROM TO CC DATE SIZE) UTF-8 ALL", b"SORT (DISPLAYFROM DISPLAYTO) UTF-8 ALL",
    b"THREAD REFERENCES UTF-8 ALL", b"THREAD REFS UTF-8 ALL", b"THREAD ORDEREDSUBJECT UTF-8 ALL",
)  # fmt: skip
DECODED = (b"FETCH 1 BINARY.PEEK[]", b"FETCH 1 BINARY.SIZE[1]")  # may be refused: what cannot be decoded
POP3 = (b"STAT", b"LIST", b"UIDL", b"TOP 1 10", b"RETR 1")

COUNTED = 1500  # the smaller size of those whose work is counted
COUNTED_MORE = 4
MAX_GROWTH = 6  # anything quadratic would grow by 16
MONSTROUS = 25_000
LARGE = 100_000_000  # octets
MEMORY = 256 << 20  # what default_vsz_limit lets a process add to its image
PROCESSOR_SECONDS = 120


class Servers:
    """IMAP and POP3 sessions on a Maildir of one message."""

    def __init__(self, root: Path, pieces: Iterator[bytes]) -> None:
        for sub in ("cur", "new", "tmp"):
            (root / "Maildir" / sub).mkdir(parents=True)
        with (root / "Maildir/cur/1600000000.M1.host:2,").open("wb") as file:
            file.writelines(pieces)
        self._view = MemoryView(
            {"mail_location": f"maildir:{root}/Maildir"}, NamespaceSettings(section_name="inbox", inbox=True)
        )
        self._root = root
        self._event = Event(ListSink())
        self._store = self._open()
        self._imap = ImapConnection(make_session(self._store, self._view, self._event, "u"))
        list(self._imap.start())
        self.imap(b"SELECT INBOX")

    def _open(self) -> Store:
        return open_store(StorageUser("u", str(self._root)), self._view)

    def imap(self, command: bytes) -> bytes:
        """The end of the answer; what is before it is counted and forgotten, as a client's socket does."""
        last = b""
        for chunk in self._imap.feed(b"q7 " + command + b"\r\n"):
            last = chunk[-200:]
        return last[last.rindex(b"q7 ") :]

    def logout(self) -> None:
        """The IMAP session ends, and gives back its memory."""
        self._imap.close()
        self._store.close()

    def pop3(self, commands: tuple[bytes, ...]) -> list[bytes]:
        """The start of each answer."""
        store = self._open()
        settings = self._view.get(Pop3Settings)
        pump = Pop3Connection(
            lambda: Pop3Session(store, settings, self._event), settings, self._event, lambda: "Internal error"
        )
        list(pump.start())
        answers = [self._first(pump.feed(command + b"\r\n")) for command in commands]
        pump.close("done")
        store.close()
        return answers

    @staticmethod
    def _first(chunks: Iterable[bytes]) -> bytes:
        rest = iter(chunks)
        first = next(rest, b"")[:200]
        for _ in rest:
            pass
        return first


def ask_a_little(servers: Servers) -> None:
    """One command of each kind."""
    for command in (FETCHES[0], FETCHES[-1], *SEARCHES[:4], *SEARCHES[-5:]):
        servers.imap(command)


def ask_everything(servers: Servers) -> list[str]:
    """All commands; those that were not answered."""
    failed = [command for command in (*FETCHES, *SEARCHES) if not servers.imap(command).startswith(b"q7 OK")]
    failed += [command for command in DECODED if b"SERVERBUG" in servers.imap(command)]
    servers.logout()
    answers = zip(POP3, servers.pop3(POP3), strict=True)
    failed += [command for command, answer in answers if not answer.startswith(b"+OK")]
    return [command.decode("latin-1") for command in failed]


def in_child(work: Callable[[], list[str]]) -> str:
    """What `work` complains of, or how it died, in a process with limits."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.close(reading)
            size = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
            resource.setrlimit(resource.RLIMIT_AS, (size + MEMORY, size + MEMORY))
            resource.setrlimit(resource.RLIMIT_CPU, (PROCESSOR_SECONDS, PROCESSOR_SECONDS))
            os.write(writing, "\n".join(work()).encode())
        except BaseException:  # noqa: BLE001 - told to the parent
            os.write(writing, traceback.format_exc().encode()[-4000:])
        finally:
            os._exit(0)
    os.close(writing)
    with open(reading, "rb") as stream:
        said = stream.read().decode()
    _, status = os.waitpid(pid, 0)
    return said or ("" if status == 0 else f"ended with {status}")


def calls_of(work: Callable[[], object]) -> int:
    """How many functions are called, of ours and of C."""
    count = 0

    def note(_frame: object, event: str, _arg: object) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    sys.setprofile(note)
    try:
        work()
    finally:
        sys.setprofile(None)
    return count


@pytest.fixture
def root() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="monster-") as path:
        yield Path(path)


@pytest.mark.parametrize("name", MONSTERS)
def test_work_grows_as_the_message(name: str, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    counts = []
    monkeypatch.setattr(rows, "MAX_FIELDS", 100)  # for both sizes the same: the index keeps no such headers
    for size in (COUNTED, COUNTED * COUNTED_MORE):
        ask_a_little(Servers(root / f"{size}-first", iter([MONSTERS[name](size)])))  # what is done once only
        servers = Servers(root / str(size), iter([MONSTERS[name](size)]))
        counts.append(calls_of(partial(ask_a_little, servers)))
    assert counts[1] <= MAX_GROWTH * counts[0]


@pytest.mark.parametrize("name", MONSTERS)
def test_every_command_ends_in_bounded_memory(name: str, root: Path) -> None:
    assert in_child(lambda: ask_everything(Servers(root, iter([MONSTERS[name](MONSTROUS)])))) == ""


# Sizes that must be answered, whatever is less in the other tests.
LARGEST = {
    "recipients": 100_000, "long_subject": 1_000_000, "nested_multiparts": 10_000, "nested_messages": 10_000,
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("name", LARGEST)
def test_the_largest_messages_are_answered(name: str, root: Path) -> None:
    assert in_child(lambda: ask_everything(Servers(root, iter([MONSTERS[name](LARGEST[name])])))) == ""


def concatenated() -> Iterator[bytes]:
    """Real mail if there is any, else our own, one after the other until it is enough."""
    folder = os.environ.get("PYDOVECOT_CORPUS")
    mails = [path.read_bytes() for path in sorted(Path(folder).glob("*.eml"))] if folder else []
    mails = mails or [*UGLY.values(), *SCRIPTS.values()]
    size = 0
    while size < LARGE:
        for mail in mails:
            yield mail
            size += len(mail)


def repeated(name: str) -> Iterator[bytes]:
    """One of the monsters, as large."""
    start = MONSTERS[name](61 * 2000)
    head, _, body = start.partition(b"\n\n")
    yield head + b"\n\n"
    for _ in range(LARGE // len(body)):
        yield body


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["concatenated", "base64_text", "quoted_text"])
def test_a_message_of_100_megabytes(kind: str, root: Path) -> None:
    pieces = concatenated() if kind == "concatenated" else repeated(kind)
    assert in_child(lambda: ask_everything(Servers(root, pieces))) == ""
