"""The same FETCH and SEARCH commands to our IMAP session and to Dovecot, each on its copy of a Maildir."""

import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pydovecot.event.event import Event
from pydovecot.event.sinks import ListSink
from pydovecot.services.imap.build import make_session
from pydovecot.services.imap.connection import ImapConnection
from pydovecot.settings.memory import MemoryView
from pydovecot.storage.drivers.registry import open_store
from pydovecot.storage.settings import NamespaceSettings
from pydovecot.storage.user import StorageUser
from tests.support import mailquestions, preauth
from tests.support.preauth import PreauthImap
from tests.support.scripts import SCRIPTS
from tests.support.uglymail import UGLY

pytestmark = [
    pytest.mark.compat,
    pytest.mark.skipif(bool(preauth.missing()), reason=preauth.missing()),
]


def corpus() -> list[bytes]:
    """The messages of the folder that PYDOVECOT_CORPUS names."""
    folder = os.environ.get("PYDOVECOT_CORPUS")
    if not folder:
        pytest.skip("PYDOVECOT_CORPUS does not name a folder of messages")
    return [path.read_bytes() for path in sorted(Path(folder).glob("*.eml"))]


SOURCES: dict[str, Callable[[], list[bytes]]] = {
    "corpus": corpus,
    "ugly": lambda: list(UGLY.values()),
    "scripts": lambda: list(SCRIPTS.values()),
}


class OurImap:
    """Our session on a copy of another server's Maildir."""

    def __init__(self, maildir: Path) -> None:
        self.home = Path(tempfile.mkdtemp(prefix="ourimap-"))
        shutil.copytree(maildir / "cur", self.home / "Maildir/cur")
        for sub in ("new", "tmp"):
            (self.home / "Maildir" / sub).mkdir()
        view = MemoryView(
            {"mail_location": f"maildir:{self.home}/Maildir"},
            NamespaceSettings(section_name="inbox", inbox=True),
        )
        self.sink = ListSink()
        self._store = open_store(StorageUser("tester", str(self.home)), view)
        self._pump = ImapConnection(make_session(self._store, view, Event(self.sink), "tester"))
        list(self._pump.start())
        self.command(b"SELECT INBOX")

    def command(self, text: bytes) -> bytes:
        """All untagged responses of one command."""
        answer = b"".join(self._pump.feed(b"t " + text + b"\r\n"))
        head, _, last = answer.rpartition(b"t OK")
        assert last.startswith(b" "), answer[-200:]
        return head

    def close(self) -> None:
        """Forget everything."""
        self._pump.close()
        self._store.close()
        shutil.rmtree(self.home)


Both = tuple[list[bytes], OurImap, PreauthImap]


@pytest.fixture(scope="module", params=SOURCES)
def both(request: pytest.FixtureRequest) -> Iterator[Both]:
    """Messages, and both servers with these in INBOX."""
    mails = SOURCES[request.param]()
    with PreauthImap(mails) as dovecot:
        ours = OurImap(dovecot.root / "Maildir")
        yield mails, ours, dovecot
        ours.close()


def compare(both: Both, commands: list[bytes]) -> list[str]:
    """What differs, one line a command."""
    _, ours, dovecot = both
    wrong = []
    for text in commands:
        got, want = ours.command(text), b"".join(dovecot.command(text))
        if got != want:
            at = next((i for i, (a, b) in enumerate(zip(got, want, strict=False)) if a != b), -1)
            around = slice(max(0, at - 60), at + 60)
            wrong.append(f"{text[:60]!r} at {at}: {got[around]!r} is not {want[around]!r}")
    return wrong


def test_structure(both: Both) -> None:
    items = b"RFC822.SIZE ENVELOPE BODY BODYSTRUCTURE UID"
    commands = [b"FETCH %d (%b)" % (number, items) for number in range(1, len(both[0]) + 1)]
    assert compare(both, commands) == []


def test_macros_and_whole_messages(both: Both) -> None:
    commands = [b"FETCH %d (RFC822.HEADER RFC822.TEXT RFC822)" % n for n in range(1, len(both[0]) + 1)]
    assert compare(both, commands) == []


def test_header_fields(both: Both) -> None:
    """The usual question of clients, and fields that the index does not keep.

    Ours is asked twice, the second answer comes from the index. (Dovecot's second one lacks the empty line if
    the message ends with the header.)
    """
    _, ours, _ = both
    for fields in (
        b"DATE FROM TO CC SUBJECT MESSAGE-ID REFERENCES CONTENT-TYPE",
        b"X-MAILER RECEIVED",
        b"X-NONE",
    ):
        for word in (b"HEADER.FIELDS", b"HEADER.FIELDS.NOT"):
            question = b"FETCH 1:* (UID BODY.PEEK[%b (%b)])" % (word, fields)
            assert compare(both, [question]) == []
            assert ours.command(question) == ours.command(question)


def test_sections(both: Both) -> None:
    commands = [
        b"FETCH %d (%b)" % (n, mailquestions.sections_question(mail)) for n, mail in enumerate(both[0], 1)
    ]
    assert compare(both, commands) == []


def test_search(both: Both) -> None:
    keys = [
        b'FROM "a"', b'SUBJECT "re"', b'TEXT "the"', b'BODY "the"', b'HEADER MESSAGE-ID "@"', b"LARGER 2000",
        b'NOT TEXT "a"', b'OR BODY "hello" TO "list"', b"SENTBEFORE 1-Jan-2005", b"SENTSINCE 1-Jan-2005",
        b"SENTON 3-Mar-2020", b'CC ""', b'TEXT ""', b"UNSEEN", b"ALL", b"SEEN SMALLER 900",
    ]  # fmt: skip
    assert compare(both, [b"SEARCH " + key for key in keys]) == []
    words = [b"gr\xc3\xbc\xc3\x9fe", "привет".encode(), "日本".encode(), "한국어".encode()]
    literal = [b"SEARCH CHARSET UTF-8 TEXT {%d+}\r\n%b" % (len(word), word) for word in words]
    assert compare(both, literal) == []


def test_nothing_was_logged(both: Both) -> None:
    _, ours, _ = both
    assert [line for line in ours.sink.lines if re.search("Error|Panic", str(line))] == []
