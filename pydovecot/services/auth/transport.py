"""Joins a session (bytes in, bytes out) with a socket: the loop's readers and writers, no transport, no task.

A login process connects for one login, the mail process as well: what a connection costs is what a login
costs. A write is nearly always taken whole at once.
"""

import asyncio
import socket
from collections.abc import Callable
from typing import Final, Protocol

from pydovecot.event.event import Event

READ_BYTES: Final = 65536
MAX_UNREAD: Final = 1 << 20  # answers that the peer does not take; then it is not read from either


class Session(Protocol):
    """ClientSession or MasterSession."""

    def hello(self) -> bytes: ...
    def feed(self, data: bytes) -> None: ...
    def gone(self) -> None: ...


Make = Callable[[Callable[[bytes], None], Callable[[], None]], Session]


class Connection:
    """Owns the socket. `done` is called once, after it is closed."""

    def __init__(
        self,
        sock: socket.socket,
        make: Make,
        event: Event,
        done: Callable[["Connection"], None],
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        self._sock, self._event, self._done, self._loop = sock, event, done, loop
        self._fd = sock.fileno()
        self._unsent = b""
        self._closing = self._closed = self._reading = False
        self._session = make(self._write, self.close)
        self._write(self._session.hello())
        self._read_on()

    def close(self) -> None:
        """Close as soon as everything is written."""
        self._closing = True
        self._read_off()
        if not self._unsent:
            self._end()

    def _readable(self) -> None:
        try:
            data = self._sock.recv(READ_BYTES)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            data = b""
        if not data:
            self._end()
            return
        try:
            self._session.feed(data)
        except Exception as exc:  # noqa: BLE001 - the edge of one connection: the others go on
            self._event.exception("connection failed", exc)
            self._end()

    def _write(self, data: bytes) -> None:
        if self._closed:
            return
        if self._unsent:
            self._unsent += data
        else:
            try:
                sent = self._sock.send(data)
            except (BlockingIOError, InterruptedError):
                sent = 0
            except OSError:
                # Not from inside the session: it may be in the middle of something.
                self._loop.call_soon(self._end)
                return
            if sent == len(data):
                return
            self._unsent = data[sent:]
            self._loop.add_writer(self._fd, self._writable)
        if len(self._unsent) > MAX_UNREAD:
            self._read_off()

    def _writable(self) -> None:
        try:
            sent = self._sock.send(self._unsent)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            self._end()
            return
        self._unsent = self._unsent[sent:]
        if self._unsent:
            return
        self._loop.remove_writer(self._fd)
        if self._closing:
            self._end()
        else:
            self._read_on()

    def _read_on(self) -> None:
        if not self._reading and not self._closing and not self._closed:
            self._reading = True
            self._loop.add_reader(self._fd, self._readable)

    def _read_off(self) -> None:
        if self._reading:
            self._reading = False
            self._loop.remove_reader(self._fd)

    def _end(self) -> None:
        if self._closed:
            return
        self._closed = True
        self._read_off()
        if self._unsent:
            self._loop.remove_writer(self._fd)
        self._sock.close()
        self._session.gone()
        self._done(self)


def is_dead(sock: socket.socket) -> bool:
    """Whether the peer has closed, without taking anything from the socket."""
    try:
        return sock.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT) == b""
    except BlockingIOError:
        return False
    except OSError:
        return True
