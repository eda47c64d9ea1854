"""Any splitting of what a POP3 client sends gives the same answers; noise is answered, never an exception."""

import itertools
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pydovecot.event.event import Event
from pydovecot.event.sinks import ListSink
from pydovecot.proto.pop3.encode import head_and_lines, header_end, stuffed
from pydovecot.proto.pop3.parser import MAX_LINE_BYTES, Command, CommandReader, Wanted
from pydovecot.services.pop3.connection import Pop3Connection
from pydovecot.services.pop3.session import Session
from pydovecot.services.pop3.settings import Pop3Settings
from pydovecot.settings.memory import MemoryView
from pydovecot.storage.drivers.memory.backend import forget_all
from pydovecot.storage.drivers.registry import open_store
from pydovecot.storage.settings import NamespaceSettings
from pydovecot.storage.user import StorageUser
from tests.support.mailgen import generate
from tests.support.memory import flag_set

VIEW = MemoryView({"mail_location": "memory:"}, NamespaceSettings(section_name="inbox", inbox=True))
USER = StorageUser("property", "/nonexistent", "pop3")

WORDS = st.sampled_from(
    [b"STAT", b"LIST", b"LIST 1", b"LIST 9", b"UIDL", b"UIDL 2", b"RETR 1", b"RETR 3", b"TOP 2 1", b"DELE 1",
     b"DELE 2", b"RSET", b"NOOP", b"CAPA", b"QUIT", b"LAST", b"", b"\0", b"retr 2 ", b"TOP 1", b"\xff\xfe x"]
)  # fmt: skip
ENDS = st.sampled_from([b"\r\n", b"\n", b"\r\r\n"])
SCRIPTS = st.lists(st.tuples(WORDS, ENDS), max_size=30).map(lambda lines: b"".join(a + b for a, b in lines))


@pytest.fixture(autouse=True)
def _mail() -> Iterator[None]:
    forget_all()
    store = open_store(USER, VIEW)
    save = store.save("INBOX")
    for body in generate(7, 3):
        save.begin(flag_set(()), None)
        save.write(body)
        save.finish()
    save.commit()
    store.close()
    yield
    forget_all()


def answers(pieces: list[bytes]) -> bytes:
    """What the server says to these pieces; nothing is written back (no QUIT gets to UPDATE twice)."""
    sink = ListSink()
    event = Event(sink)
    store = open_store(USER, VIEW)
    options = Pop3Settings(pop3_no_flag_updates=True)
    connection = Pop3Connection(lambda: _Untouched(store, options, event), options, event, lambda: "internal")
    output = list(connection.start())
    for piece in pieces:
        if not connection.closed:
            output.extend(connection.feed(piece))
    connection.close("Connection closed")
    store.close()
    assert not [line for line in sink.lines if line[0] >= 3]
    return b"".join(output)


class _Untouched(Session):
    """A session whose QUIT leaves the mailbox as it is, so that every run sees the same."""

    def update(self) -> None:
        self.committed_deletions = True


def cut(data: bytes, points: list[int]) -> list[bytes]:
    edges = [0, *sorted(point % (len(data) + 1) for point in points), len(data)]
    return [data[a:b] for a, b in itertools.pairwise(edges)]


@settings(max_examples=60, deadline=None)
@given(SCRIPTS, st.lists(st.integers(0, 5000), max_size=8))
def test_any_splitting_gives_the_same_answers(script: bytes, points: list[int]) -> None:
    expected = answers([script])
    assert answers(cut(script, points)) == expected
    assert answers([script[i : i + 1] for i in range(len(script))]) == expected


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=5000), st.lists(st.integers(0, 5000), max_size=5))
def test_noise_is_answered(noise: bytes, points: list[int]) -> None:
    expected = answers([noise])
    assert expected.startswith(b"+OK Logged in.\r\n")
    assert answers(cut(noise, points)) == expected


@given(st.integers(0, 3 * MAX_LINE_BYTES), st.integers(1, 700))
def test_memory_of_the_reader_is_bounded(size: int, piece: int) -> None:
    reader = CommandReader()
    fed = 0
    while fed < size:
        reader.feed(b"x" * piece)
        fed += piece
        event = reader.next_event()
        assert event is (Wanted.LINE_TOO_LONG if fed >= MAX_LINE_BYTES else Wanted.NEED_DATA)
        if event is Wanted.LINE_TOO_LONG:
            return
    reader.feed(b"\r\n")
    assert isinstance(reader.next_event(), Command) or fed + 2 > MAX_LINE_BYTES


def unstuff(sent: bytes) -> bytes:
    """What a client makes of RETR's lines. RFC 1939 3."""
    return b"".join(line[1:] if line.startswith(b".") else line for line in sent.splitlines(keepends=True))


TEXTS = st.lists(
    st.sampled_from([b".", b"..", b"a", b"\r\n", b"", b".x", b"To: y", b"\r\n.\r\n"]), max_size=20
).map(b"".join)


@given(TEXTS)
def test_stuffing_is_undone_by_the_client(message: bytes) -> None:
    sent = stuffed(message)
    assert b"\r\n.\r\n" not in b"\r\n" + sent
    whole = message if message.endswith(b"\n") else message + b"\r\n"
    assert unstuff(sent) == whole


@given(TEXTS, st.integers(0, 25))
def test_top_is_the_header_and_that_many_lines(message: bytes, lines: int) -> None:
    end = header_end(message)
    got = head_and_lines(message, lines)
    if end is None:
        assert got == message
    else:
        body = message[end:].split(b"\n")
        wanted = b"\n".join(body[:lines]) + (b"\n" if lines and len(body) > lines else b"")
        assert got == message[:end] + wanted
