"""An attacker: many IMAP connections at once from one address, each with a wrong password."""

import selectors
import socket
import threading
import time
from types import TracebackType

WAIT_SECS = 0.2


class Attack:
    """Opens `count` connections and says a wrong LOGIN on each; `with` ends it. Runs in a thread."""

    def __init__(self, port: int, users: list[str], *, count: int, source: str = "127.6.6.6") -> None:
        self._port, self._users, self._count, self._source = port, users, count, source
        self.sent = self.answered = self.let_in = 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> "Attack":
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()

    def wait_sent(self, count: int, seconds: float) -> None:
        """Wait until so many have said their LOGIN."""
        deadline = time.monotonic() + seconds
        while self.sent < count:
            assert time.monotonic() < deadline, f"{self.sent} of {count}"
            time.sleep(0.02)

    def _run(self) -> None:
        with selectors.DefaultSelector() as selector:
            opened = 0
            while not self._stop.is_set():
                for _ in range(min(50, self._count - opened)):
                    opened += 1
                    selector.register(self._connect(), selectors.EVENT_READ, b"")
                for key, _events in selector.select(WAIT_SECS):
                    sock = key.fileobj
                    assert isinstance(sock, socket.socket)
                    self._readable(selector, sock, key.data)
            for key in list(selector.get_map().values()):
                assert isinstance(key.fileobj, socket.socket)
                key.fileobj.close()

    def _connect(self) -> socket.socket:
        sock = socket.socket()
        sock.setblocking(False)
        sock.bind((self._source, 0))
        sock.connect_ex(("127.0.0.1", self._port))
        return sock

    def _readable(self, selector: selectors.BaseSelector, sock: socket.socket, before: bytes) -> None:
        try:
            data = sock.recv(4096)
        except OSError:
            data = b""
        if not data:
            selector.unregister(sock)
            sock.close()
            return
        if before:
            self.answered += b"a NO" in data
            self.let_in += b"a OK" in data
        elif data.endswith(b"\n"):  # the greeting
            user = self._users[self.sent % len(self._users)]
            sock.send(f"a LOGIN {user} wrong{self.sent}\r\n".encode())
            self.sent += 1
            selector.modify(sock, selectors.EVENT_READ, b"greeted")
