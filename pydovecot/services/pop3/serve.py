"""Moves bytes between a client's socket and its Pop3Connection, with the clocks of a session."""

import contextlib
import os
import select
import socket
import time
from collections.abc import Iterable
from typing import Final

from pydovecot.login.mail_session import MailSession
from pydovecot.login.mail_user import INTERNAL_ERROR
from pydovecot.login.rawlog import open_rawlog
from pydovecot.services.pop3 import lock
from pydovecot.services.pop3.connection import Pop3Connection
from pydovecot.services.pop3.lock import SessionLock, lock_of
from pydovecot.services.pop3.session import Session
from pydovecot.services.pop3.settings import Pop3Settings
from pydovecot.storage.drivers.registry import open_store
from pydovecot.storage.user import StorageUser

IDLE_SECS: Final = 600.0  # RFC 1939 3: at least ten minutes
COMMIT_SECS: Final = 10.0  # flags are written after so long a pause; Dovecot: CLIENT_COMMIT_TIMEOUT_MSECS
STOP_CHECK_SECS: Final = 1.0  # how soon a write that waits for the client sees that the server stops
READ_BYTES: Final = 1 << 14
SEND_BYTES: Final = 1 << 16  # small answers of pipelined commands go out together


def _internal_error() -> str:
    """What a client is told of a fault of ours; the time finds the log line."""
    return f"{INTERNAL_ERROR} [{time.strftime('%Y-%m-%d %H:%M:%S')}]"


def serve(session: MailSession) -> None:
    """Serve one client until it is gone."""
    settings = session.settings.get(Pop3Settings)
    event = session.event
    user = StorageUser(
        session.username, session.home, "pop3", dict(session.variables), event.error, event.info
    )
    store = open_store(user, session.settings)
    session.set_title(f"{session.username} {session.remote_ip}".rstrip())
    held = lock_of(user, session.settings, session.event) if settings.pop3_lock_session else None

    def open_session() -> Session:
        if held is not None:
            held.acquire()
        return Session(store, settings, session.event)

    connection = Pop3Connection(
        open_session,
        settings,
        session.event,
        _internal_error,
        answer_login=session.sock is not None,
        variables=session.variables,
    )
    try:
        _Stream(session, connection, held).run()
    finally:
        connection.close("Connection closed")
        if held is not None:
            held.release()
        store.close()


class LockLost(Exception):
    """Another session may have the mailbox by now."""


class _Stream:
    """The loop of one client. Input is read only when all answers are out: a slow reader slows itself."""

    def __init__(self, session: MailSession, connection: Pop3Connection, held: SessionLock | None) -> None:
        self._session, self._connection, self._lock = session, connection, held
        self._rawlog = open_rawlog(session)
        sock = session.sock
        self._in_fd, self._out_fd = (0, 1) if sock is None else (sock.fileno(), sock.fileno())
        if sock is not None:
            # Without blocking: a write is one call, and a client that does not read is waited for by _drain.
            sock.setblocking(False)
            if sock.family != socket.AF_UNIX:
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def run(self) -> None:
        """Answer the login, then commands until the end."""
        connection = self._connection
        try:
            self._session.started = True
            self._send(connection.start())
            if self._session.input and not connection.closed:
                self._rawlog.came(self._session.input)
                self._send(connection.feed(self._session.input))
            while not connection.closed:
                self._turn()
        except LockLost:
            line = "[SYS/TEMP] Couldn't update POP3 session lock."
            self._last_word(connection.goodbye(line, "Couldn't lock POP3 session"))
        except TimeoutError:
            connection.close("Disconnected for inactivity in reading our output")
        except ConnectionError as exc:
            connection.close(f"Connection closed: {exc.strerror}" if exc.strerror else "Connection closed")
        finally:
            self._rawlog.close()

    def _turn(self) -> None:
        """Wait for the client, the clock or the master, and do what is due."""
        session, connection = self._session, self._connection
        quiet_since = time.monotonic()
        while not session.wait_readable((self._in_fd,), self._patience(quiet_since)):
            if session.stopping:
                line = "[SYS/TEMP] Server shutting down."
                self._last_word(connection.goodbye(line, "Server shutting down."))
                return
            self._keep_lock()
            quiet = time.monotonic() - quiet_since
            if connection.unsaved and quiet >= COMMIT_SECS:
                connection.pause()
            if quiet >= IDLE_SECS:
                line = "Disconnected for inactivity."
                self._last_word(connection.goodbye(line, "Disconnected for inactivity"))
                return
        try:
            data = os.read(self._in_fd, READ_BYTES)
        except BlockingIOError:
            return
        if not data:
            connection.close("Connection closed")
            return
        self._keep_lock()
        self._rawlog.came(data)
        self._send(connection.feed(data))

    def _patience(self, quiet_since: float) -> float:
        """How long to wait for the client before there is something else to do."""
        if self._connection.unsaved:
            return COMMIT_SECS
        left = max(0.0, quiet_since + IDLE_SECS - time.monotonic())
        return left if self._lock is None else min(left, lock.TOUCH_SECS)

    def _keep_lock(self) -> None:
        """Others take a lock that nobody touches. Raises LockLost."""
        if self._lock is not None:
            try:
                self._lock.touch()
            except OSError as exc:
                raise LockLost(exc.strerror) from exc

    def _send(self, chunks: Iterable[bytes]) -> None:
        """Write answers; small ones together."""
        waiting: list[bytes] = []
        size = 0
        for chunk in chunks:
            waiting.append(chunk)
            size += len(chunk)
            if size >= SEND_BYTES:
                self._write(b"".join(waiting) if len(waiting) > 1 else chunk)
                waiting.clear()
                size = 0
        if waiting:
            self._write(b"".join(waiting))

    def _write(self, data: bytes) -> None:
        """All of `data`. TimeoutError when the client does not take it."""
        self._rawlog.went(data)
        try:
            done = os.write(self._out_fd, data)
        except BlockingIOError:
            done = 0
        if done < len(data):
            self._drain(memoryview(data)[done:])

    def _drain(self, rest: memoryview) -> None:
        """The socket is full: wait for the client, but not when the server stops."""
        poll = select.poll()
        poll.register(self._out_fd, select.POLLOUT)
        deadline = time.monotonic() + IDLE_SECS
        while rest:
            if not poll.poll(int(STOP_CHECK_SECS * 1000)):
                if self._session.stopping or time.monotonic() > deadline:
                    raise TimeoutError
                continue
            try:
                rest = rest[os.write(self._out_fd, rest) :]
            except BlockingIOError:
                continue
            deadline = time.monotonic() + IDLE_SECS
            with contextlib.suppress(LockLost):  # not in the middle of an answer: the next command tells
                self._keep_lock()

    def _last_word(self, line: bytes) -> None:
        """To a client that may be gone, and is not waited for."""
        self._rawlog.went(line)
        with contextlib.suppress(OSError):
            os.write(self._out_fd, line)
