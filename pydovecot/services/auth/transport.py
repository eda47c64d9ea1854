"""Joins a session (bytes in, bytes out) with a socket: one light asyncio.Protocol for each connection."""

import asyncio
import socket
import struct
from collections.abc import Callable
from typing import Final
from typing import Protocol as TypingProtocol

from pydovecot.event.event import Event


class Session(TypingProtocol):
    """ClientSession or MasterSession."""

    def hello(self) -> bytes: ...
    def feed(self, data: bytes) -> None: ...
    def gone(self) -> None: ...


_CREDENTIALS: Final = struct.Struct("iII")  # struct ucred

Make = Callable[[Callable[[bytes], None], Callable[[], None]], Session]


class Connection(asyncio.Protocol):
    """A peer that does not read is not read from either: its answers must not fill our memory."""

    def __init__(self, make: Make, event: Event, done: Callable[[], None]) -> None:
        self._make, self._event, self._done = make, event, done
        self._transport: asyncio.Transport | None = None
        self._session: Session | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._session = self._make(transport.write, transport.close)
        transport.write(self._session.hello())

    def data_received(self, data: bytes) -> None:
        assert self._session is not None and self._transport is not None
        try:
            self._session.feed(data)
        except Exception as exc:  # noqa: BLE001 - the edge of one connection: the others go on
            self._event.exception("connection failed", exc)
            self._transport.abort()

    def pause_writing(self) -> None:
        if self._transport is not None:
            self._transport.pause_reading()

    def resume_writing(self) -> None:
        if self._transport is not None:
            self._transport.resume_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._session is not None:
            self._session.gone()
        self._done()

    def close(self) -> None:
        """Close after what is written."""
        if self._transport is not None:
            self._transport.close()


def is_dead(sock: socket.socket) -> bool:
    """Whether the peer has closed, without taking anything from the socket."""
    try:
        return sock.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT) == b""
    except BlockingIOError:
        return False
    except OSError:
        return True


def peer_credentials(sock: socket.socket) -> tuple[int, int, int]:
    """pid, uid and gid of the peer; pid 0 where the system does not say."""
    try:
        raw = sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    except OSError:
        return 0, 0, 0
    pid, uid, gid = _CREDENTIALS.unpack(raw)
    return pid, uid, gid
