"""The loop over a real socket: clocks, a slow reader, a server that stops."""

import select
import socket
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import pytest

from pydovecot.event.event import Event
from pydovecot.event.sinks import ListSink
from pydovecot.services.pop3 import serve as serve_module
from pydovecot.services.pop3.serve import serve
from pydovecot.settings.memory import MemoryView
from pydovecot.settings.view import SettingsView
from pydovecot.storage.drivers.memory.backend import forget_all
from pydovecot.storage.drivers.registry import open_store
from pydovecot.storage.settings import NamespaceSettings
from pydovecot.storage.user import StorageUser
from tests.support.memory import flag_set

VIEW = MemoryView({"mail_location": "memory:"}, NamespaceSettings(section_name="inbox", inbox=True))
BIG = b"Subject: big\r\n\r\n" + b"0123456789abcdef\r\n" * 300_000


@dataclass
class FakeSession:
    """What serve asks of a MailSession."""

    sock: socket.socket
    input: bytes = b""
    username: str = "served"
    home: str = "/nonexistent"
    remote_ip: str = "192.0.2.1"
    settings: SettingsView = VIEW
    variables: Mapping[str, str] = field(default_factory=dict)
    stopping: bool = False
    started: bool = False
    titles: list[str] = field(default_factory=list)
    sink: ListSink = field(default_factory=ListSink)

    @property
    def event(self) -> Event:
        return Event(self.sink)

    def set_title(self, text: str) -> None:
        self.titles.append(text)

    def wait_readable(self, fds: Sequence[int], timeout: float | None = None) -> set[int]:
        if self.stopping:
            return set()
        return set(select.select(fds, [], [], timeout)[0])

    @property
    def log(self) -> list[str]:
        return [line[1] for line in self.sink.lines]


@pytest.fixture
def client() -> Iterator[tuple[socket.socket, FakeSession, threading.Thread]]:
    """A client's socket, and the session that is served at its other end."""
    forget_all()
    store = open_store(StorageUser("served", "/nonexistent", "pop3"), VIEW)
    save = store.save("INBOX")
    for body in (b"Subject: small\r\n\r\nx\r\n", BIG):
        save.begin(flag_set(()), None)
        save.write(body)
        save.finish()
    save.commit()
    store.close()
    ours, theirs = socket.socketpair()
    ours.settimeout(10)
    session = FakeSession(theirs)
    thread = threading.Thread(target=serve, args=(session,))
    yield ours, session, thread
    ours.close()
    thread.join(10)
    theirs.close()
    assert not thread.is_alive()
    forget_all()


def read_all(sock: socket.socket) -> bytes:
    data = b""
    while more := sock.recv(1 << 16):
        data += more
    return data


def test_input_that_came_with_the_login_is_answered(
    client: tuple[socket.socket, FakeSession, threading.Thread],
) -> None:
    sock, session, thread = client
    session.input = b"STAT\r\nQU"
    thread.start()
    sock.sendall(b"IT\r\n")
    thread.join(10)
    session.sock.close()
    assert read_all(sock).startswith(b"+OK Logged in.\r\n+OK 2 ")
    assert session.titles == ["served 192.0.2.1"]
    assert session.log[-1].startswith("Disconnected: Logged out top=0/0, ")


def test_a_slow_reader_gets_all(client: tuple[socket.socket, FakeSession, threading.Thread]) -> None:
    sock, session, thread = client
    thread.start()
    sock.sendall(b"RETR 2\r\nQUIT\r\n")
    data = b""
    while b"Logging out" not in data[-100:]:
        data += sock.recv(30_000)
    head, _, rest = data.partition(b" octets\r\n")
    assert head.startswith(b"+OK Logged in.\r\n+OK ")
    assert rest == BIG + b".\r\n+OK Logging out.\r\n"
    thread.join(10)
    assert "retr=1/" in session.log[-1]


def test_idle_clients_are_sent_away(
    client: tuple[socket.socket, FakeSession, threading.Thread], monkeypatch: pytest.MonkeyPatch
) -> None:
    sock, session, thread = client
    monkeypatch.setattr(serve_module, "IDLE_SECS", 0.1)
    thread.start()
    thread.join(10)
    session.sock.close()
    assert read_all(sock) == b"+OK Logged in.\r\n-ERR Disconnected for inactivity.\r\n"
    assert session.log == [
        f"Disconnected: Disconnected for inactivity top=0/0, retr=0/0, del=0/2, size={21 + len(BIG)}"
    ]


def test_a_client_that_reads_nothing_is_sent_away(
    client: tuple[socket.socket, FakeSession, threading.Thread], monkeypatch: pytest.MonkeyPatch
) -> None:
    sock, session, thread = client
    monkeypatch.setattr(serve_module, "STOP_CHECK_SECS", 0.02)
    monkeypatch.setattr(serve_module, "IDLE_SECS", 0.2)
    thread.start()
    sock.sendall(b"RETR 2\r\n")
    thread.join(10)
    assert session.log[-1].startswith("Disconnected: Disconnected for inactivity in reading our output ")


def test_flags_are_written_when_the_client_pauses(
    client: tuple[socket.socket, FakeSession, threading.Thread], monkeypatch: pytest.MonkeyPatch
) -> None:
    sock, _session, thread = client
    monkeypatch.setattr(serve_module, "COMMIT_SECS", 0.05)
    thread.start()
    sock.sendall(b"RETR 1\r\n")
    while not sock.recv(4096).endswith(b".\r\n"):
        pass
    store = open_store(StorageUser("served", "/nonexistent", "pop3"), VIEW)
    for _ in range(100):
        if store.status("INBOX").unseen == 1:
            break
        threading.Event().wait(0.02)
    assert store.status("INBOX").unseen == 1
    store.close()


def test_a_server_that_stops_says_so(client: tuple[socket.socket, FakeSession, threading.Thread]) -> None:
    sock, session, thread = client
    session.stopping = True
    thread.start()
    thread.join(10)
    session.sock.close()
    assert read_all(sock) == b"+OK Logged in.\r\n-ERR [SYS/TEMP] Server shutting down.\r\n"
    assert session.log[-1].startswith("Disconnected: Server shutting down. ")


def test_a_client_that_goes_away(client: tuple[socket.socket, FakeSession, threading.Thread]) -> None:
    sock, session, thread = client
    thread.start()
    sock.recv(4096)
    sock.close()
    thread.join(10)
    assert session.log[-1].startswith("Disconnected: Connection closed top=0/0")
