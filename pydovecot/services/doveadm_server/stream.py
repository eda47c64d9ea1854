"""One client's connection, blocking: lines and pieces in, all of the bytes out, with TLS or without."""

import os
import select
import socket
import time
from typing import Final

from OpenSSL import SSL

from pydovecot.net.tls import Need, TlsClosed, TlsStream
from pydovecot.runtime.context import Context

IDLE_SECS: Final = 600.0
LOGIN_SECS: Final = 60.0
MAX_LINE: Final = 1024 * 1024  # Dovecot: MAX_INBUF_SIZE
_READ_BYTES: Final = 1 << 16
_CHECK_SECS: Final = 1.0


class Closed(Exception):
    """The client is gone, too slow, or talks nonsense; the text is for the log, empty for a plain end."""


class Stream:
    """A client must have said who it is LOGIN_SECS after it came; `let_in` ends that."""

    def __init__(self, context: Context, sock: socket.socket) -> None:
        self._context, self._sock = context, sock
        self._tls: TlsStream | None = None
        self._buffer = bytearray()
        self._login_ends: float | None = time.monotonic() + LOGIN_SECS
        sock.setblocking(False)

    @property
    def secure(self) -> bool:
        """TLS is on."""
        return self._tls is not None

    def start_tls(self, tls: SSL.Context) -> None:
        """Make the handshake. Raises Closed."""
        self._buffer.clear()  # empty already, see _received
        stream = TlsStream(tls, self._sock)
        deadline = time.monotonic() + LOGIN_SECS
        try:
            while (need := stream.handshake()) is not None:
                self._wait(need, deadline)
        except TlsClosed as exc:
            raise Closed(f"SSL handshake failed: {exc}") from exc
        self._tls = stream

    def let_in(self) -> None:
        """From now on only silence ends the connection."""
        self._login_ends = None

    def line(self, limit: int = MAX_LINE) -> bytes:
        """The next line without its LF. Raises Closed, also at the end of the input."""
        start = 0
        while (end := self._buffer.find(b"\n", start)) < 0:
            if len(self._buffer) > limit:
                raise Closed("line too long")
            start = len(self._buffer)
            self._more()
        line = bytes(self._buffer[:end])
        del self._buffer[: end + 1]
        return line

    def take(self, size: int) -> bytes:
        """Exactly so many bytes. Raises Closed."""
        while len(self._buffer) < size:
            self._more()
        data = bytes(self._buffer[:size])
        del self._buffer[:size]
        return data

    def _more(self) -> None:
        deadline = self._login_ends or time.monotonic() + IDLE_SECS
        while True:
            try:
                data = self._tls.read(_READ_BYTES) if self._tls is not None else self._received()
            except BlockingIOError:
                data = Need.READ
            except TlsClosed as exc:
                raise Closed(str(exc)) from exc
            except OSError as exc:
                raise Closed(exc.strerror or str(exc)) from exc
            if isinstance(data, bytes):
                if not data:
                    raise Closed
                self._buffer += data
                return
            self._wait(data, deadline)

    def _received(self) -> bytes:
        """Without TLS. Until the client is let in no more than a line: its handshake may be behind it."""
        if self._login_ends is None:
            return self._sock.recv(_READ_BYTES)
        line, end, _ = self._sock.recv(_READ_BYTES, socket.MSG_PEEK).partition(b"\n")
        return self._sock.recv(len(line) + len(end))

    def _wait(self, need: Need, deadline: float) -> None:
        left = deadline - time.monotonic()
        if left <= 0:
            raise Closed("Timeout")
        if need is Need.READ:
            self._context.wait_readable((self._sock.fileno(),), left)
            if self._context.closing:
                raise Closed("Server shutting down")
        else:
            select.select((), (self._sock,), (), min(left, _CHECK_SECS))

    def write(self, data: bytes) -> None:
        """All of it. Raises Closed."""
        rest = memoryview(data)
        deadline = time.monotonic() + IDLE_SECS
        while rest:
            try:
                sent = self._tls.write(rest) if self._tls is not None else self._sock.send(rest)
            except BlockingIOError:
                sent = Need.WRITE
            except TlsClosed as exc:
                raise Closed(str(exc)) from exc
            except OSError as exc:
                raise Closed(exc.strerror or str(exc)) from exc
            if isinstance(sent, int):
                rest = rest[sent:]
            else:
                self._wait(sent, deadline)

    def end(self) -> None:
        """A last word of TLS."""
        if self._tls is not None:
            self._tls.shutdown()
            self._tls.release()


def is_private(path: str) -> bool:
    """A socket that only its owner may open has decided by that who is trusted."""
    try:
        return os.stat(path).st_mode & 0o777 == 0o600
    except OSError:
        return False
