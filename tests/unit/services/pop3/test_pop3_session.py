"""What a POP3 session writes, counts and logs."""

import hashlib
from collections.abc import Iterator

import pytest

from pydovecot.event.event import Event
from pydovecot.event.sinks import ListSink
from pydovecot.model.errors import Code, InternalError, UserError
from pydovecot.model.seqset import SeqSet
from pydovecot.services.pop3.connection import Pop3Connection
from pydovecot.services.pop3.session import Session
from pydovecot.services.pop3.settings import Pop3Settings
from pydovecot.services.pop3.uidl import change_text, compile_format
from pydovecot.settings.memory import MemoryView
from pydovecot.storage.api import Column, Store
from pydovecot.storage.drivers.memory.backend import forget_all
from pydovecot.storage.drivers.registry import open_store
from pydovecot.storage.settings import NamespaceSettings
from pydovecot.storage.user import StorageUser
from tests.support.memory import flag_set

VIEW = MemoryView({"mail_location": "memory:"}, NamespaceSettings(section_name="inbox", inbox=True))


@pytest.fixture
def store() -> Iterator[Store]:
    forget_all()
    store = open_store(StorageUser("unit", "/nonexistent", "pop3"), VIEW)
    save = store.save("INBOX")
    for number in range(3):
        save.begin(flag_set(()), None)
        save.write(b"Subject: %d\r\n\r\nbody\r\n" % number)
        save.finish()
    save.commit()
    yield store
    store.close()
    forget_all()


class Talk:
    """One connection, and what it logged."""

    def __init__(self, store: Store, **settings: object) -> None:
        self.sink = ListSink()
        event = Event(self.sink)
        options = Pop3Settings(**settings)
        self.connection = Pop3Connection(
            lambda: Session(store, options, event), options, event, lambda: "Internal error"
        )
        self.greeting = b"".join(self.connection.start())

    def say(self, line: bytes) -> bytes:
        return b"".join(self.connection.feed(line + b"\r\n"))

    @property
    def log(self) -> list[str]:
        return [line[1] for line in self.sink.lines]


def flags(store: Store) -> list[bytes]:
    view = store.open("INBOX", readonly=True, keep_recent=True)
    try:
        everything = SeqSet.of(range(1, len(view.uids) + 1))
        return [bytes(value) for (value,) in view.rows(everything, [Column.FLAGS])]  # type: ignore[call-overload]
    finally:
        view.close()


def test_retr_marks_seen_when_the_client_pauses(store: Store) -> None:
    talk = Talk(store)
    talk.say(b"RETR 2")
    assert talk.connection.unsaved
    assert flags(store)[1] == b""
    talk.connection.pause()
    assert flags(store)[1] == b"\\Seen"
    assert not talk.connection.unsaved


def test_seen_is_kept_and_deletions_are_not_when_the_client_goes_away(store: Store) -> None:
    talk = Talk(store)
    talk.say(b"RETR 1")
    talk.say(b"DELE 3")
    talk.connection.close("Connection closed")
    assert flags(store) == [b"\\Seen", b"", b""]
    assert talk.log == ["Disconnected: Connection closed top=0/0, retr=1/35, del=0/3, size=60"]


def test_no_flag_updates(store: Store) -> None:
    talk = Talk(store, pop3_no_flag_updates=True)
    talk.say(b"RETR 1")
    talk.say(b"QUIT")
    assert flags(store)[0] == b"\\Recent"


def test_rset_forgets_what_was_retrieved(store: Store) -> None:
    talk = Talk(store)
    talk.say(b"RETR 1")
    talk.say(b"RSET")
    talk.say(b"QUIT")
    assert flags(store)[0] == b""


def test_logout_statistics(store: Store) -> None:
    text = "top=%t/%p retr=%r/%b del=%d/%m size=%s db=%{deleted_bytes} in=%i out=%o uc=%u"
    talk = Talk(store, pop3_logout_format=text)
    out = len(talk.greeting) + len(talk.say(b"TOP 1 0")) + len(talk.say(b"DELE 2")) + len(talk.say(b"QUIT"))
    assert talk.log == [
        f"Disconnected: Logged out top=1/19 retr=0/0 del=1/3 size=60 db=20 in=23 out={out} uc="
    ]


def test_change_text() -> None:
    # Two lists with the same texts in any order have the same hash.
    texts = ["000000016b054902", "000000026b054902", "000000036b054902"]
    assert change_text(texts, [1, 3], 1) == "0/00000000 -> 2/2ef62886"
    assert change_text(texts, [3, 1], 1).endswith("2/2ef62886")
    assert change_text(texts, [], 0).startswith("3/")


def test_saved_uidls_win(store: Store) -> None:
    talk = Talk(store, pop3_save_uidl=True)
    first = talk.say(b"UIDL")
    talk.say(b"QUIT")
    assert Talk(store, pop3_uidl_format="other-%u").say(b"UIDL") == first


def test_uidls_are_not_saved_unless_asked_for(store: Store) -> None:
    talk = Talk(store, pop3_save_uidl=True)
    talk.say(b"QUIT")
    assert Talk(store, pop3_uidl_format="other-%u").say(b"UIDL 1") == b"+OK 1 other-1\r\n"


@pytest.mark.parametrize(
    ("template", "row", "expected"),
    [
        ("%08Xu%08Xv", (1,), "000000016b05283e"),
        ("%v.%u", (7,), "1795500094.7"),
        ("%f", ("a.b,S=1",), "a.b,S=1"),
        ("%g-%u", ("abcd", 9), "abcd-9"),
        ("%Mf", ("name",), hashlib.md5(b"name").hexdigest()),
        ("100%%u%u", (5,), "100%u5"),
        ("%{uidvalidity}x%{uid}", (5, "f", "g", "d"), "1795500094x5"),
        ("%m", ("d41d",), "d41d"),
        ("%Um-%u", ("d41d", 9), "D41D-9"),
        ("%{md5}", (5, "f", "g", "d"), "d"),
    ],
)
def test_uidl_formats(template: str, row: tuple[object, ...], expected: str) -> None:
    columns, make = compile_format(template, 0x6B05283E)
    assert len(columns) == len(row)
    assert make(row) == expected


def test_header_md5_cannot_be_made() -> None:
    _, make = compile_format("%u-%m", 1)
    with pytest.raises(InternalError, match="Header MD5 not found"):
        make((5, ""))


def test_a_locked_mailbox_refuses_the_login(store: Store) -> None:
    sink = ListSink()
    event = Event(sink)

    def locked() -> Session:
        raise UserError(Code.INUSE, "Mailbox is locked by another POP3 session.")

    connection = Pop3Connection(locked, Pop3Settings(), event, lambda: "Internal error")
    assert b"".join(connection.start()) == b"-ERR [IN-USE] Mailbox is locked by another POP3 session.\r\n"
    assert connection.closed
    assert [line[1] for line in sink.lines] == [
        "Disconnected: Couldn't lock POP3 session top=0/0, retr=0/0, del=0/0, size=0"
    ]


def test_our_own_fault_is_logged_once_and_hidden(store: Store) -> None:
    talk = Talk(store, pop3_uidl_format="%m")
    assert talk.say(b"UIDL") == b"-ERR [SYS/TEMP] Internal error\r\n"
    assert talk.connection.closed
    errors = [line[1] for line in talk.sink.lines if line[0] >= 3]
    assert len(errors) == 1 and "Header MD5 not found" in errors[0]
