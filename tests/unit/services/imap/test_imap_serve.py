"""The loop over a socket: greeting, IDLE by notification, slow and lost clients, the closing log line."""

import re
import select
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence

import pytest

from pydovecot.event.event import Event
from pydovecot.event.sinks import ListSink
from pydovecot.login.handover import HandoverRequest
from pydovecot.login.mail_session import MailSession
from pydovecot.login.mail_user import MailUser
from pydovecot.services.imap.main import refusal
from pydovecot.services.imap.serve import serve
from pydovecot.settings.memory import MemoryView
from pydovecot.storage.drivers.memory.backend import forget_all
from pydovecot.storage.settings import NamespaceSettings


class Process:
    """What the loop asks of the process around it."""

    def __init__(self) -> None:
        self.stopping = False
        self.titles: list[str] = []

    def set_title(self, text: str) -> None:
        self.titles.append(text)

    def wait_readable(self, fds: Sequence[int], timeout: float | None = None) -> set[int]:
        deadline = time.monotonic() + (60 if timeout is None else timeout)
        while not self.stopping and (left := deadline - time.monotonic()) > 0:
            ready = select.select(fds, [], [], min(0.05, left))[0]
            if ready:
                return set(ready)
        return set()


class Server:
    """One session in a thread, and its client's end."""

    def __init__(self, **facts: object) -> None:
        self.sink = ListSink()
        self.process = Process()
        view = MemoryView({"mail_location": "memory:"}, NamespaceSettings(section_name="inbox", inbox=True))
        here, self.client = socket.socketpair()
        self.client.settimeout(10)
        user = MailUser("alice", None, None, (), "", "", 0, view, {}, False)
        given = {"tag": b"a1", "remote_ip": "127.0.0.1", "session_id": "sess", **facts}
        self.mail = MailSession(user, "imap", Event(self.sink), here, self.process, **given)  # type: ignore[arg-type]
        self._sock = here
        self._thread = threading.Thread(target=serve, args=(self.mail,))
        self._thread.start()

    def read_until(self, end: bytes) -> bytes:
        data = b""
        while end not in data:
            piece = self.client.recv(65536)
            assert piece, data
            data += piece
        return data

    def ask(self, text: bytes, end: bytes) -> bytes:
        self.client.sendall(text)
        return self.read_until(end)

    def join(self) -> None:
        self._thread.join(10)
        assert not self._thread.is_alive()
        self._sock.close()
        self.client.close()

    def log(self) -> list[str]:
        return [text for _level, text, *_ in self.sink.lines]


Start = Callable[..., Server]


@pytest.fixture
def start() -> Iterator[Start]:
    forget_all()
    servers: list[Server] = []

    def one(**facts: object) -> Server:
        servers.append(Server(**facts))
        return servers[-1]

    yield one
    for server in servers:
        server.client.close()
        server.join()


def test_login_is_answered_and_the_session_is_logged(start: Start) -> None:
    server = start()
    assert server.read_until(b"Logged in\r\n").startswith(b"a1 OK [CAPABILITY IMAP4rev1 ")
    server.ask(b"b APPEND INBOX {5+}\r\nhello\r\n", b"b OK")
    server.ask(
        b"c SELECT INBOX\r\nd FETCH 1 BODY[]\r\ne STORE 1 +FLAGS (\\Deleted)\r\nf EXPUNGE\r\n", b"f OK"
    )
    server.ask(b"g LOGOUT\r\n", b"g OK Logout completed")
    server.join()
    (line,) = server.log()
    assert re.fullmatch(
        r"Disconnected: Logged out in=\d+ out=\d+ deleted=1 expunged=1 trashed=0 "
        r"hdr_count=0 hdr_bytes=0 body_count=1 body_bytes=5",
        line,
    )


def test_an_old_client_gets_its_capabilities_untagged(start: Start) -> None:
    server = start(send_capability=False, input=b"b NOOP\r\n")
    answer = server.read_until(b"b OK NOOP")
    assert re.match(rb"\* CAPABILITY IMAP4rev1 [^\r]*\r\na1 OK Logged in\r\nb OK NOOP", answer)
    server.client.close()
    server.join()
    assert server.log()[0].startswith("Disconnected: Connection closed (NOOP finished 0.")


def test_without_a_tag_the_session_is_preauthenticated(start: Start) -> None:
    server = start(tag=b"")
    assert server.read_until(b"\r\n").startswith(b"* PREAUTH [CAPABILITY IMAP4rev1 ")
    server.client.close()
    server.join()


def test_idle_tells_of_another_session_at_once(start: Start) -> None:
    one, two = start(), start()
    one.read_until(b"Logged in\r\n")
    two.read_until(b"Logged in\r\n")
    one.ask(b"b SELECT INBOX\r\n", b"b OK")
    one.ask(b"c IDLE\r\n", b"+ idling\r\n")
    two.client.sendall(b"x APPEND INBOX {5+}\r\nhello\r\n")
    before = time.monotonic()
    assert one.read_until(b"RECENT\r\n") == b"* 1 EXISTS\r\n* 1 RECENT\r\n"
    assert time.monotonic() - before < 25  # polling would be as slow as 30 s
    assert "alice 127.0.0.1 IDLE" in one.process.titles
    one.ask(b"DONE\r\n", b"c OK Idle completed")
    for server in (one, two):
        server.client.close()
        server.join()
    assert one.process.titles[-1] == "alice 127.0.0.1"


def test_a_server_that_stops_says_so(start: Start) -> None:
    server = start()
    server.read_until(b"Logged in\r\n")
    server.process.stopping = True
    assert server.read_until(b"\r\n") == b"* BYE Server shutting down.\r\n"
    server.join()
    assert server.log()[0].startswith("Disconnected: Server shutting down. in=0 out=")


def test_a_slow_reader_gets_everything(start: Start) -> None:
    server = start()
    server.read_until(b"Logged in\r\n")
    body = b"~" * 3_000_000
    server.ask(b"b APPEND INBOX {%d+}\r\n%b\r\n" % (len(body), body), b"b OK")
    server.client.sendall(b"c SELECT INBOX\r\nd FETCH 1 BODY.PEEK[]\r\n")
    time.sleep(0.2)
    answer = server.read_until(b"d OK Fetch completed")
    assert answer.count(b"~") == len(body)
    server.client.close()
    server.join()


def test_refusals() -> None:
    request = HandoverRequest(1, 2, 3, 4, b"", 5, "", "", 0, 0, False, False, "", command_tag=b"t7")
    assert refusal(request, "auth", "No.") == b"t7 NO [UNAVAILABLE] No.\r\n"
    assert refusal(request, "user", "No.") == b"t7 OK Logged in, but initialization failed.\r\n* BYE No.\r\n"
