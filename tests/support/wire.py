"""Transcripts over real sockets: our process tree or a real Dovecot."""

import imaplib
import itertools
import socket
from typing import Protocol

from tests.support.serverconf import PASSWORD, ServerDir
from tests.support.transcript import Transcript

SILENCE_SECS = 60.0  # longer than any answer takes, IDLE's included
_serial = itertools.count(1)


class Server(Protocol):
    """A running server: DovecotInstance or Cluster."""

    name: str
    place: ServerDir

    @property
    def imap(self) -> int: ...
    @property
    def pop3(self) -> int: ...
    def close(self) -> None: ...


class WireConnection:
    """A plaintext connection to a TCP port, or to the UNIX socket of that path."""

    def __init__(self, where: int | str, timeout: float = SILENCE_SECS) -> None:
        if isinstance(where, str):
            self._sock = socket.socket(socket.AF_UNIX)
            self._sock.settimeout(timeout)
            self._sock.connect(where)
            return
        self._sock = socket.create_connection(("127.0.0.1", where), timeout=timeout)
        self._sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def send(self, data: bytes) -> None:
        self._sock.sendall(data)

    def receive(self) -> bytes:
        """More bytes; b"" when the server closed."""
        try:
            return self._sock.recv(1 << 16)
        except ConnectionResetError:
            return b""

    def read_until(self, ending: bytes) -> bytes:
        """Bytes up to a line that contains `ending`."""
        data = b""
        while not (data.endswith(b"\r\n") and ending in data):
            more = self.receive()
            if not more:
                raise EOFError(f"closed after {data!r}")
            data += more
        return data

    def close(self) -> None:
        self._sock.close()


class WireHarness:
    """One transcript on a running server, with a user of its own."""

    def __init__(self, server: Server, transcript: Transcript) -> None:
        self.label = server.name
        self._server = server
        self._transcript = transcript
        # The same length always: log lines and limits do not vary with the number.
        self.user = f"t{next(_serial):05d}"
        if transcript.mailboxes or transcript.messages:
            self._fill()

    def _fill(self) -> None:
        with imaplib.IMAP4("127.0.0.1", self._server.imap, timeout=60) as client:
            client.login(self.user, PASSWORD)
            for name in self._transcript.mailboxes:
                _ok(client.create(f'"{name}"'))
            for message in self._transcript.messages:
                received = f'"{message.received}"' if message.received else None
                # imaplib rewrites line ends of bytes it is given only when they are bare.
                name = f'"{message.mailbox}"'
                _ok(client.append(name, " ".join(message.flags), received, message.body))  # type: ignore[arg-type]

    def open(self, conn: int) -> WireConnection:
        """Connect; in stage "session" log in and swallow what belongs to that."""
        del conn
        if self._transcript.protocol == "lmtp":
            return self._open_lmtp()
        imap = self._transcript.protocol == "imap"
        connection = WireConnection(self._server.imap if imap else self._server.pop3)
        if self._transcript.stage == "session":
            connection.read_until(b"\n")
            if imap:
                connection.send(b"login LOGIN %s %s\r\n" % (self.user.encode(), PASSWORD.encode()))
                connection.read_until(b"login OK")
            else:
                connection.send(b"USER %s\r\n" % self.user.encode())
                connection.read_until(b"+OK")
                connection.send(b"PASS %s\r\n" % PASSWORD.encode())
                connection.read_until(b"+OK")
        return connection

    def _open_lmtp(self) -> WireConnection:
        connection = WireConnection(str(self._server.place.run / "lmtp"))
        if self._transcript.stage == "session":
            connection.read_until(b"220 ")
        return connection

    def close(self) -> None:
        """Nothing is kept; the user's directory goes with the server."""


def _ok(answer: tuple[str, object]) -> None:
    assert answer[0] == "OK", answer
