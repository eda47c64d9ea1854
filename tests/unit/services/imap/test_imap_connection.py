"""The pump: what no transcript can show: clocks, disconnects, failures, memory."""

import re
import time
from collections.abc import Iterator
from dataclasses import replace

import pytest

from pydovecot.event.event import Event
from pydovecot.event.sinks import ListSink
from pydovecot.model.errors import InternalError
from pydovecot.model.numbers import Seq
from pydovecot.model.section import Section
from pydovecot.services.imap import fetch_render
from pydovecot.services.imap.build import make_session
from pydovecot.services.imap.connection import ImapConnection
from pydovecot.services.imap.session import World
from pydovecot.services.imap.settings import ImapSettings
from pydovecot.settings.memory import MemoryView
from pydovecot.storage.api import MailboxGoneError, Message
from pydovecot.storage.drivers.memory.backend import forget_all
from pydovecot.storage.drivers.registry import open_store
from pydovecot.storage.settings import NamespaceSettings
from pydovecot.storage.user import StorageUser


class Clock:
    """A monotonic clock that tests move."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Client:
    """One connection in memory, with its log."""

    def __init__(self, **texts: str) -> None:
        self.sink = ListSink()
        self.clock = Clock()
        view = MemoryView(
            {"mail_location": "memory:", **texts}, NamespaceSettings(section_name="i", inbox=True)
        )
        self.store = open_store(StorageUser("alice"), view)
        self.session = make_session(self.store, view, Event(self.sink), "alice")
        self.session.world = replace(World(), monotonic=self.clock)
        self.pump = ImapConnection(self.session)
        assert list(self.pump.start()) == []

    def say(self, text: bytes) -> bytes:
        return b"".join(self.pump.feed(text))


@pytest.fixture
def client() -> Iterator[Client]:
    forget_all()
    one = Client()
    yield one
    one.pump.close()


def test_tagged_lines_tell_the_time(client: Client) -> None:
    assert client.say(b"a NOOP\r\n") == b"a OK NOOP completed (0.001 + 0.000 secs).\r\n"


def test_waiting_for_the_client_is_told_apart(client: Client) -> None:
    assert client.say(b"a APPEND INBOX {5}\r\n") == b"+ OK\r\n"
    client.clock.now += 2.5
    assert b" (0.001 + 2.500 secs).\r\n" in client.say(b"hello\r\n")


def test_a_client_that_leaves_in_append_leaves_nothing(client: Client) -> None:
    client.say(b"a APPEND INBOX {10}\r\nhel")
    client.pump.disconnected()
    client.pump.close()
    assert client.pump.reason.startswith("Connection closed (APPEND running for ")
    assert Client().say(b"b STATUS INBOX (MESSAGES)\r\n").startswith(b"* STATUS INBOX (MESSAGES 0)\r\n")


def test_append_holds_no_message_in_memory(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[int] = []

    class Save:
        def begin(self, *_args: object, **_more: object) -> None: ...
        def write(self, chunk: bytes) -> None:
            written.append(len(chunk))

        def finish(self) -> None: ...
        def rollback(self) -> None: ...

    monkeypatch.setattr(client.store, "save", lambda _name: Save())
    client.say(b"a APPEND INBOX {1000000+}\r\n")
    for _ in range(10):
        client.say(b"x" * 60000)
        assert client.pump._parser.buffered == 0
    assert written == [60000] * 10


def test_unfinished_multiappend_saves_nothing(client: Client) -> None:
    assert client.say(b"a APPEND INBOX {5+}\r\nhello (\\Foo) {5+}\r\nworld\r\n").startswith(b"a BAD ")
    assert b"MESSAGES 0" in client.say(b"b STATUS INBOX (MESSAGES)\r\n")


def test_failures_of_ours_are_logged_once_and_hidden(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_name: str) -> None:
        raise InternalError("open(/secret) failed: Permission denied")

    monkeypatch.setattr(client.store, "create", broken)
    answer = client.say(b"a CREATE x\r\n")
    assert answer.startswith(
        b"a NO [SERVERBUG] Internal error occurred. Refer to server log for more information. ["
    )
    assert b"secret" not in answer
    assert [text for _level, text, *_ in client.sink.lines] == ["open(/secret) failed: Permission denied"]
    assert client.say(b"b NOOP\r\n").startswith(b"b OK")


def test_bugs_end_the_command_not_the_session(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client.store, "create", lambda _name: 1 // 0)
    assert client.say(b"a CREATE x\r\n").startswith(b"a NO [SERVERBUG] ")
    assert len(client.sink.lines) == 1 and "ZeroDivisionError" in client.sink.lines[0][1]
    assert client.say(b"b NOOP\r\n").startswith(b"b OK")


def test_a_silent_client_is_sent_away(client: Client) -> None:
    client.say(b"a NOOP\r\n")
    assert client.pump.deadline() == client.clock.now + 1800
    client.clock.now += 1799
    assert list(client.pump.tick()) == []
    client.clock.now += 1
    assert list(client.pump.tick()) == [b"* BYE Disconnected for inactivity.\r\n"]
    assert client.pump.closed
    assert client.pump.reason == "Disconnected for inactivity"


def test_idle_says_still_here_and_has_no_timeout(client: Client) -> None:
    client.say(b"a SELECT INBOX\r\n")
    assert client.say(b"b IDLE\r\n") == b"+ idling\r\n"
    assert client.pump.idling
    for _ in range(20):
        assert client.pump.deadline(watched=True) == client.clock.now + 120
        client.clock.now += 120
        assert b"".join(client.pump.tick()) == b"* OK Still here\r\n"
    assert client.say(b"DONE\r\n").startswith(b"b OK Idle completed")
    assert not client.pump.idling


def test_idle_without_notification_looks_now_and_then(client: Client) -> None:
    client.say(b"a SELECT INBOX\r\nb IDLE\r\n")
    assert client.pump.deadline() == client.clock.now + 30
    other = Client()
    other.say(b"x APPEND INBOX {5+}\r\nhello\r\n")
    client.clock.now += 30
    assert b"* 1 EXISTS\r\n" in b"".join(client.pump.tick())


def test_idle_on_nfs_looks_now_and_then_as_well(client: Client) -> None:
    """What other hosts do wakes nobody here."""
    for value, seconds in (("no", 120), ("yes", 30)):
        one = Client(mail_nfs_storage=value)
        one.say(b"a SELECT INBOX\r\nb IDLE\r\n")
        assert one.pump.deadline(watched=True) == one.clock.now + seconds


def test_idle_is_woken_by_the_store(client: Client) -> None:
    client.say(b"a SELECT INBOX\r\nb IDLE\r\n")
    assert client.session.view is not None
    descriptor = client.session.view.watch()
    assert descriptor is not None
    assert not client.session.view.drain_watch()
    Client().say(b"x APPEND INBOX {5+}\r\nhello\r\n")
    assert client.session.view.drain_watch()
    assert b"".join(client.pump.wakeup()) == b"* 1 EXISTS\r\n* 1 RECENT\r\n"


def test_commands_may_come_many_at_once(client: Client) -> None:
    answer = client.say(
        b"a SELECT INBOX\r\nb APPEND INBOX {5+}\r\nhello\r\nc FETCH 1 FLAGS\r\nd LOGOUT\r\ne NOOP\r\n"
    )
    tags = [line.split(b" ")[0] for line in answer.split(b"\r\n") if b" OK " in line and line[:1] != b"*"]
    assert tags == [b"a", b"b", b"c", b"d"]
    assert client.pump.closed and client.pump.reason == "Logged out"


def test_a_slow_reader_stops_the_command(client: Client) -> None:
    client.say(b"a SELECT INBOX\r\n")
    for _ in range(5):
        client.say(b"b APPEND INBOX {100000+}\r\n" + b"x" * 100000 + b"\r\n")
    answer = client.pump.feed(b"c FETCH 1:* BODY.PEEK[]\r\n")
    first = next(answer)
    assert first.startswith(b"* 1 FETCH (BODY[] {")
    assert client.pump.running == "FETCH"
    rest = b"".join(answer)
    assert rest.endswith(b"c OK Fetch completed (0.001 + 0.000 secs).\r\n")
    assert client.session.stats.fetch_body_count == 5


@pytest.mark.parametrize("line", [b"a LOGIN {100000}\r\n", b"a SELECT {99999999999999999999+}\r\nx"])
def test_what_cannot_be_followed_ends_with_bye(client: Client, line: bytes) -> None:
    answer = client.say(b"ok NOOP\r\na SELECT {100000}\r\n") if b"LOGIN" in line else client.say(line)
    assert answer.endswith(b"* BYE Literal size too large\r\n")
    assert client.pump.closed
    assert client.pump.reason == "Literal size too large"


def test_history_for_the_log(client: Client) -> None:
    client.pump.disconnected()
    assert client.pump.reason == "Connection closed (No commands sent)"
    client.pump.closed = False
    client.say(b"a NOOP\r\n")
    client.clock.now += 1.5
    client.pump.disconnected("Connection reset by peer")
    assert client.pump.reason == "Connection closed: Connection reset by peer (NOOP finished 1.500 secs ago)"


def test_deleting_the_selected_mailbox_ends_the_session(client: Client) -> None:
    client.say(b"a CREATE x\r\nb SELECT x\r\n")
    answer = client.say(b"c DELETE x\r\n")
    assert answer.startswith(b"c OK Delete completed")
    assert answer.endswith(b"* BYE Selected mailbox was deleted, have to disconnect.\r\n")
    assert client.pump.closed


def test_id_is_logged_as_configured() -> None:
    one = Client(imap_id_log="name version", imap_id_send="name * vendor us")
    assert one.say(b'a ID ("name" "x" "os" "y" "version" NIL)\r\n').startswith(
        b'* ID ("name" "Dovecot" "vendor" "us")\r\n'
    )
    assert [text for _level, text, *_ in one.sink.lines] == ["ID sent: name=x, version=NIL"]


def test_capabilities_are_configurable() -> None:
    assert Client(imap_capability="IMAP4rev1 IDLE").session.capabilities == b"IMAP4rev1 IDLE"
    assert Client(imap_capability="+XFOO").session.capabilities.count(b" XFOO LITERAL+ ") == 1
    words = Client(imap_literal_minus="yes").session.capabilities.split()
    assert b"LITERAL-" in words and b"LITERAL+" not in words


def test_default_settings_are_dovecots() -> None:
    settings = ImapSettings()
    assert settings.imap_max_line_length == 65536
    assert settings.imap_idle_notify_interval == 120
    assert settings.mailbox_idle_check_interval == 30


def test_a_deep_search_is_refused_not_followed(client: Client) -> None:
    client.say(b"a SELECT INBOX\r\n")
    started = time.process_time()
    assert client.say(b"b SEARCH " + b"NOT " * 10000 + b"ALL\r\n").startswith(
        b"b BAD Error in IMAP command SEARCH: Search is nested too deep"
    )
    assert client.say(b"c SEARCH " + b"(" * 49 + b"ALL" + b")" * 49 + b"\r\n").startswith(b"* SEARCH")
    assert client.say(b"d SEARCH " + b"OR ALL " * 100 + b"ALL\r\n").startswith(b"* SEARCH")
    assert time.process_time() - started < 5


def test_delay_newmail_waits_for_noop() -> None:
    forget_all()
    one, two = Client(imap_client_workarounds="delay-newmail"), Client()
    one.say(b"a SELECT INBOX\r\n")
    two.say(b"x APPEND INBOX {5+}\r\nhello\r\n")
    assert b"EXISTS" not in one.say(b"b STATUS INBOX (MESSAGES)\r\nc UID FETCH 1:* FLAGS\r\n")
    assert one.say(b"d NOOP\r\n").startswith(b"* 1 EXISTS\r\n* 1 RECENT\r\nd OK")
    assert one.say(b"e NOOP\r\n").startswith(b"e OK")
    for client in (one, two):
        client.pump.close()


def test_separators_at_the_end_of_subscriptions() -> None:
    forget_all()
    plain, lenient = Client(), Client(imap_client_workarounds="tb-extra-mailbox-sep tb-lsub-flags")
    plain.say(b"a CREATE x\r\n")
    assert plain.say(b"b SUBSCRIBE x.\r\n").startswith(b"b NO")
    assert lenient.say(b"b SUBSCRIBE x.\r\n").startswith(b"b OK")
    plain.say(b"c DELETE x\r\n")
    assert plain.say(b'd LSUB "" *\r\n').startswith(b'* LSUB () "." x\r\n')
    assert lenient.say(b'd LSUB "" *\r\n').startswith(b'* LSUB (\\Noselect) "." x\r\n')
    for client in (plain, lenient):
        client.pump.close()


def test_a_mailbox_that_vanished_ends_the_session(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    client.say(b"a SELECT INBOX\r\n")

    def gone(**_options: object) -> None:
        raise MailboxGoneError("INBOX")

    monkeypatch.setattr(client.session.view, "sync", gone)
    assert client.say(b"b NOOP\r\nc NOOP\r\n") == (
        b"* BYE IMAP session state is inconsistent, please relogin.\r\n"
    )
    assert client.pump.closed


class Breaking:
    """A view's messages: the second section of each cannot be read."""

    def __init__(self, client: Client, monkeypatch: pytest.MonkeyPatch, good: int) -> None:
        client.say(b"a SELECT INBOX\r\nb APPEND INBOX {100000+}\r\n" + b"x" * 100000 + b" {5+}\r\nhello\r\n")
        view = client.session.view
        assert view is not None
        self._open, self._good, self._left = view.message, good, 0
        self._message: Message | None = None
        monkeypatch.setattr(view, "message", self.message)

    def message(self, seq: Seq) -> "Breaking":
        self._message, self._left = self._open(seq), self._good if seq == 1 else 99
        return self

    def stretch(self, _section: Section) -> None:
        """None is large."""

    def section(self, section: Section) -> bytes | None:
        self._left -= 1
        if self._left < 0:
            raise InternalError("read() failed: Input/output error")
        assert self._message is not None
        return self._message.section(section)

    def close(self) -> None: ...


ERROR = "read() failed: Input/output error"


def test_a_message_that_cannot_be_read_ends_the_session(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    Breaking(client, monkeypatch, 2)
    answer = client.say(b"c FETCH 1 (BODY.PEEK[] BODY.PEEK[] BODY.PEEK[])\r\nd NOOP\r\n")
    assert answer.startswith(b"* BYE FETCH failed: Internal error occurred. Refer to server log")
    assert answer.count(b"\r\n") == 1
    assert client.pump.closed and client.pump.reason == f"FETCH failed: {ERROR}"
    assert [text for _level, text, *_ in client.sink.lines] == [ERROR]


@pytest.mark.parametrize(
    ("policy", "last"),
    [("disconnect-after", b"* BYE FETCH failed: Internal"), ("no-after", b"c NO [SERVERBUG]")],
)
def test_the_others_may_come_first(policy: str, last: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    forget_all()
    client = Client(imap_fetch_failure=policy)
    Breaking(client, monkeypatch, 0)
    answer = client.say(b"c FETCH 1:2 (UID BODY.PEEK[])\r\n")
    assert answer.startswith(b"* 2 FETCH (UID 2 BODY[] {5}\r\nhello)\r\n" + last)
    assert client.pump.closed is (policy != "no-after")
    client.pump.close()


def test_a_failure_within_a_large_response_says_nothing_more(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    Breaking(client, monkeypatch, 2)
    monkeypatch.setattr(fetch_render, "HOLD_BELOW", 150_000)
    answer = client.say(b"d FETCH 1 (BODY.PEEK[] BODY.PEEK[] BODY.PEEK[])\r\n")
    assert answer.endswith(b"x" * 100000)
    assert client.pump.closed and client.pump.reason == f"FETCH failed: {ERROR}"
    assert [text for _level, text, *_ in client.sink.lines] == [ERROR]


def test_idle_that_must_poll_is_said_once(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    client.say(b"a SELECT INBOX\r\n")
    monkeypatch.setattr(client.session.view, "watch", lambda: None)
    client.say(b"b IDLE\r\nDONE\r\nc IDLE\r\nDONE\r\n")
    assert [text.split(":")[0] for _level, text, *_ in client.sink.lines] == [
        "Inotify cannot be used, so changes are looked for every 30 secs only"
    ]


def test_a_refused_multiappend_is_dropped_whole(client: Client) -> None:
    body = b"{100000+}\r\n" + b"x" * 100000
    answer = client.say(b"a APPEND nope " + body + b" " + body + b"\r\nb NOOP\r\n")
    assert re.fullmatch(rb"a NO \[TRYCREATE\] [^\r]*\r\nb OK NOOP [^\r]*\r\n", answer)


def test_a_literal_beyond_all_sizes_ends_the_session_in_append_too(client: Client) -> None:
    answer = client.say(b"a APPEND INBOX {5+}\r\nhello {99999999999999999999+}\r\nx")
    assert answer == b"* BYE Literal size too large\r\n"
    assert client.pump.closed
