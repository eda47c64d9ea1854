"""Sessions of the imap service in threads, over the Maildir of one user: their looks can be counted.

    with Sessions(tmp_path) as sessions:
        client = sessions.open()
        client.ask(b"a SELECT INBOX\r\n", b"a OK")
"""

import select
import socket
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType

from pydovecot.event.event import Event
from pydovecot.event.sinks import ListSink
from pydovecot.login.mail_session import MailSession
from pydovecot.login.mail_user import MailUser
from pydovecot.services.imap.serve import serve
from pydovecot.settings.memory import MemoryView
from pydovecot.storage.indexed.view import IndexedView
from pydovecot.storage.settings import NamespaceSettings

ANSWER_SECS = 60


class Process:
    """What a session asks of the process around it."""

    def __init__(self) -> None:
        self.stopping = False

    def set_title(self, text: str) -> None:
        pass

    def wait_readable(self, fds: Sequence[int], timeout: float | None = None) -> set[int]:
        deadline = time.monotonic() + (60 if timeout is None else timeout)
        while not self.stopping and (left := deadline - time.monotonic()) > 0:
            if ready := select.select(fds, [], [], min(0.5, left))[0]:
                return set(ready)
        return set()


class Client:
    """One client's end, and its session."""

    def __init__(self, settings: dict[str, str], home: Path, user: str) -> None:
        self.sink = ListSink()
        self.process = Process()
        view = MemoryView(settings, NamespaceSettings(section_name="inbox", inbox=True))
        self._theirs, self.sock = socket.socketpair()
        self.sock.settimeout(ANSWER_SECS)
        mail_user = MailUser(user, None, None, (), str(home), "", 0, view, {}, False)
        mail = MailSession(mail_user, "imap", Event(self.sink), self._theirs, self.process, tag=b"login")  # type: ignore[arg-type]
        self._thread = threading.Thread(target=self._run, args=(mail,))
        self._thread.start()
        self.read_until(b"Logged in\r\n")

    def _run(self, mail: MailSession) -> None:
        try:
            serve(mail)
        finally:
            self._theirs.close()

    def read_until(self, end: bytes) -> bytes:
        data = b""
        while end not in data:
            piece = self.sock.recv(65536)
            assert piece, data
            data += piece
        return data

    def ask(self, text: bytes, end: bytes) -> bytes:
        self.sock.sendall(text)
        return self.read_until(end)

    def quiet(self, seconds: float) -> bytes:
        """All that comes until nothing has come for a while."""
        data = b""
        while select.select([self.sock], [], [], seconds)[0]:
            data += self.sock.recv(65536)
        return data

    @property
    def thread(self) -> int:
        assert self._thread.ident is not None
        return self._thread.ident

    def close(self) -> None:
        self.process.stopping = True
        self.sock.close()
        self._thread.join(ANSWER_SECS)
        assert not self._thread.is_alive()


class Sessions:
    """Sessions of one user. `looks(client)` counts the syncs of its view so far."""

    def __init__(self, home: Path, **settings: str) -> None:
        self.home = home
        self._settings = {"mail_location": f"maildir:{home}/Maildir", **settings}
        self._clients: list[Client] = []
        self._looks: dict[int, int] = {}
        self._sync: Callable[..., object] = IndexedView.sync

    def __enter__(self) -> "Sessions":
        original, looks = IndexedView.sync, self._looks

        def counted(view: IndexedView, *, expunges: bool = True) -> object:
            thread = threading.get_ident()
            looks[thread] = looks.get(thread, 0) + 1
            return original(view, expunges=expunges)

        IndexedView.sync = counted  # type: ignore[method-assign, assignment]
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        for client in self._clients:
            client.close()
        IndexedView.sync = self._sync  # type: ignore[method-assign, assignment]

    def open(self) -> Client:
        self._clients.append(Client(self._settings, self.home, "alice"))
        return self._clients[-1]

    def idle(self, mailbox: bytes = b"INBOX", verb: bytes = b"SELECT") -> Client:
        """A session in IDLE that has nothing more to say."""
        client = self.open()
        client.ask(b"s %b %b\r\n" % (verb, mailbox), b"\r\ns OK")
        client.ask(b"i IDLE\r\n", b"+ idling\r\n")
        client.quiet(0.2)
        return client

    def looks(self, client: Client) -> int:
        return self._looks.get(client.thread, 0)
