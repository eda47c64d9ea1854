"""FETCH of real messages: every item and section, byte for byte as Dovecot answers."""

import os
import re
import shutil
from collections.abc import Iterator
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
from tests.support.fixtures import StartDovecot
from tests.support.serverconf import PASSWORD
from tests.support.wire import WireConnection

pytestmark = pytest.mark.compat

CORPUS = os.environ.get("PYDOVECOT_CORPUS", "")
LITERAL = re.compile(rb"\{(\d+)\}\r\n\Z")
QUESTIONS = (
    b"(UID RFC822.SIZE INTERNALDATE ENVELOPE BODY BODYSTRUCTURE)",
    b"(BODY.PEEK[HEADER] BODY.PEEK[TEXT] RFC822.HEADER)",
    b"(BODY.PEEK[1] BODY.PEEK[1.MIME] BODY.PEEK[2] BODY.PEEK[1.1] BODY.PEEK[2.HEADER] BODY.PEEK[2.1])",
    b"BODY.PEEK[HEADER.FIELDS (From To Subject Date Message-ID Received X-Nothing)]",
    b"BODY.PEEK[HEADER.FIELDS (from SUBJECT)]",
    b"BODY.PEEK[HEADER.FIELDS.NOT (Received)]<10.200>",
    b"BODY.PEEK[]<100.500>",
    b"BODY.PEEK[]",
)
SEARCHES = (
    b"FROM a", b"SUBJECT re", b"BODY the", b"TEXT unsubscribe", b"SENTSINCE 1-Jan-2010", b"LARGER 10000",
    b"HEADER Received from", b"TO @ NOT SUBJECT a", b"OR SUBJECT e BODY z",
)  # fmt: skip


class Server:
    """One session that answers whole commands."""

    def ask(self, command: bytes) -> list[bytes]:
        """The untagged responses, literals in them, and the status."""
        raise NotImplementedError


class Ours(Server):
    def __init__(self, maildir: Path) -> None:
        self.sink = ListSink()
        view = MemoryView(
            {"mail_location": f"maildir:{maildir}"},
            NamespaceSettings(section_name="inbox", inbox=True, separator="."),
        )
        store = open_store(StorageUser("u", str(maildir.parent)), view)
        self.pump = ImapConnection(make_session(store, view, Event(self.sink), "u"))
        for _ in self.pump.start():
            pass

    def ask(self, command: bytes) -> list[bytes]:
        return responses(b"".join(self.pump.feed(b"x " + command + b"\r\n")))


class Theirs(Server):
    def __init__(self, port: int, user: str) -> None:
        self.wire = WireConnection(port, 120)
        self.wire.read_until(b"ready.")
        self.wire.send(b"l LOGIN %b %b\r\n" % (user.encode(), PASSWORD.encode()))
        self.wire.read_until(b"l OK")

    def ask(self, command: bytes) -> list[bytes]:
        self.wire.send(b"x " + command + b"\r\n")
        data = b""
        while not re.search(rb"(?:\A|\n)x (OK|NO|BAD) [^\n]*\n\Z", data):
            more = self.wire.receive()
            assert more
            data += more
        return responses(data)


def responses(data: bytes) -> list[bytes]:
    """Split what the server said into responses; the tagged one without its timing."""
    out: list[bytes] = []
    pos, start = 0, 0
    while pos < len(data):
        end = data.index(b"\n", pos) + 1
        literal = LITERAL.search(data, pos, end)
        pos = end
        if literal is not None:
            pos += int(literal[1])
            continue
        out.append(data[start:pos])
        start = pos
    out[-1] = re.sub(rb" \([^()]* secs\)", b"", out[-1])
    return out


def _where(mine: bytes, other: bytes) -> str:
    """The first difference, with what stands around it."""
    at = next((i for i, (a, b) in enumerate(zip(mine, other, strict=False)) if a != b), 0)
    around = slice(max(0, at - 40), at + 60)
    return f"{other[:12]!r} {mine[around]!r} {other[around]!r}"


@pytest.fixture(scope="module")
def maildir(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    if not CORPUS or not Path(CORPUS).is_dir():
        pytest.skip("PYDOVECOT_CORPUS names no folder with messages")
    root = tmp_path_factory.mktemp("corpus") / "Maildir"
    for part in ("cur", "new", "tmp"):
        (root / part).mkdir(parents=True)
    for number, path in enumerate(sorted(Path(CORPUS).glob("*.eml")), 1700000000):
        target = root / "cur" / f"{number}.M1P1.host:2,S"
        target.write_bytes(path.read_bytes().replace(b"\r\n", b"\n"))
        os.utime(target, (number, number))
    yield root


def test_every_message_is_fetched_as_dovecot_does(maildir: Path, start_dovecot: StartDovecot) -> None:
    dovecot = start_dovecot("")
    home = dovecot.place.maildir("corpus")
    shutil.copytree(maildir, home)
    dovecot.place.give_to_mail_user(dovecot.place.home("corpus"))
    ours, theirs = Ours(maildir), Theirs(dovecot.imap, "corpus")
    count = len(list((maildir / "cur").iterdir()))
    for server in (ours, theirs):
        assert b"* %d EXISTS\r\n" % count in server.ask(b"SELECT INBOX")
    different: list[str] = []
    for question in QUESTIONS:
        for low in range(1, count + 1, 200):
            command = b"FETCH %d:%d %b" % (low, min(count, low + 199), question)
            for mine, other in zip(ours.ask(command), theirs.ask(command), strict=True):
                if mine != other:
                    different.append(f"{question!r}: {_where(mine, other)}")
    for key in SEARCHES:
        mine_found, other_found = ours.ask(b"SEARCH " + key), theirs.ask(b"SEARCH " + key)
        if mine_found != other_found:
            a, b = set(mine_found[0].split()), set(other_found[0].split())
            different.append(f"SEARCH {key!r}: ours alone {sorted(a - b)}, theirs alone {sorted(b - a)}")
    ours.pump.close()
    theirs.wire.close()
    assert not different, "\n".join([f"{len(different)} differences", *different[:20]])
    assert not ours.sink.lines
