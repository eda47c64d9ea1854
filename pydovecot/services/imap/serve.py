"""Moves bytes between a client's socket and its ImapConnection, with the clocks and the log of a session."""

import os
import select
import socket
import time
from collections.abc import Callable, Iterable
from typing import Final

from pydovecot.login.mail_session import MailSession
from pydovecot.login.rawlog import open_rawlog
from pydovecot.services.imap.build import make_session
from pydovecot.services.imap.connection import ImapConnection
from pydovecot.services.imap.session import Session
from pydovecot.settings.expand import expand
from pydovecot.storage.drivers.registry import open_store
from pydovecot.storage.user import StorageUser

OUTPUT_TIMEOUT_SECS: Final = 300.0  # a client that takes nothing so long is gone; Dovecot: CLIENT_OUTPUT_...
READ_BYTES: Final = 1 << 16
SEND_BYTES: Final = 1 << 16  # small answers of pipelined commands go out together
# Changes come in bursts, and a file moves before the index knows: waiting so long before the look makes one
# look of them, and still tells the first within 50 ms.
GATHER_SECS: Final = 0.01
# Where a look takes longer (a huge mailbox, a busy machine) looking takes at most a fifth of the time.
GATHER_SHARE: Final = 4
LONGEST_GATHER_SECS: Final = 0.5
MAX_LOOKS: Final = 3  # at one wake-up: changes during the look itself


def serve(mail: MailSession) -> None:
    """Serve one client until it is gone."""
    event = mail.event
    user = StorageUser(mail.username, mail.home, "imap", dict(mail.variables), event.error, event.info)
    store = open_store(user, mail.settings)
    session = make_session(store, mail.settings, mail.event, mail.username)
    connection = ImapConnection(session, greeting=greeting(mail, session.capabilities))
    stream = _Stream(mail, connection)
    try:
        stream.run()
    finally:
        try:
            connection.close()
        finally:
            log_end(mail, session, connection)


def greeting(mail: MailSession, capabilities: bytes) -> bytes:
    """The answer to the command that logged in, or PREAUTH on stdin. RFC 3501 7.1.4."""
    if not mail.tag:
        name = mail.username.encode("utf-8", "surrogateescape")
        return b"* PREAUTH [CAPABILITY %b] Logged in as %b\r\n" % (capabilities, name)
    if mail.send_capability:
        return b"%b OK [CAPABILITY %b] Logged in\r\n" % (mail.tag, capabilities)
    return b"* CAPABILITY %b\r\n%b OK Logged in\r\n" % (capabilities, mail.tag)


def log_end(mail: MailSession, session: Session, connection: ImapConnection) -> None:
    """The line that closes every session."""
    stats = session.stats
    numbers = {
        "i": connection.bytes_in,
        "input": connection.bytes_in,
        "o": connection.bytes_out,
        "output": connection.bytes_out,
        "deleted": stats.deleted,
        "expunged": stats.expunged,
        "autoexpunged": session.store.autoexpunged,
        "trashed": stats.trashed,
        "appended": stats.appended,
        "fetch_hdr_count": stats.fetch_hdr_count,
        "fetch_hdr_bytes": stats.fetch_hdr_bytes,
        "fetch_body_count": stats.fetch_body_count,
        "fetch_body_bytes": stats.fetch_body_bytes,
    }
    table = {**mail.variables, **{name: str(number) for name, number in numbers.items()}}
    text = expand(session.settings.imap_logout_format, table)
    mail.event.info(f"Disconnected: {connection.reason} {text}", **numbers)


class _Stream:
    """The loop of one client. Input is read only when all answers are out: a slow reader slows itself."""

    def __init__(self, mail: MailSession, connection: ImapConnection) -> None:
        self._mail, self._connection = mail, connection
        self._gather = GATHER_SECS
        self._title = ""
        sock = mail.sock
        self._rawlog = open_rawlog(mail)
        self._in_fd = sock.fileno() if sock is not None else 0
        self._send_some: Callable[[memoryview], int]
        if sock is not None:
            sock.settimeout(OUTPUT_TIMEOUT_SECS)
            if sock.family != socket.AF_UNIX:
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._send_some = sock.send
        else:
            self._send_some = lambda data: os.write(1, data)

    def run(self) -> None:
        """Answer the login, then commands until the end."""
        connection = self._connection
        self._mail.started = True  # from now on a failure cannot refuse the login any more
        try:
            self._send(connection.start())
            if self._mail.input and not connection.closed:
                self._rawlog.came(self._mail.input)
                self._send(connection.feed(self._mail.input))
            while not connection.closed:
                self._turn()
        except TimeoutError:
            connection.disconnected("Disconnected for inactivity in reading our output")
        except OSError as exc:
            connection.disconnected(exc.strerror or "")
        finally:
            self._rawlog.close()

    def _turn(self) -> None:
        """Wait for the client, the mailbox, the clock or the master, and do what is due."""
        connection = self._connection
        self._show_title()
        watch = self._watch()
        fds = [self._in_fd] if watch is None else [self._in_fd, watch]
        ready = self._wait(fds, max(0.0, connection.deadline(watch is not None) - time.monotonic()))
        if self._stopping():
            self._write(connection.bye("Server shutting down.", "Server shutting down."))
            return
        if watch is not None and watch in ready:
            self._wakeup()
        if self._in_fd in ready:
            data = os.read(self._in_fd, READ_BYTES)
            if data:
                self._rawlog.came(data)
                self._send(connection.feed(data))
            else:
                connection.disconnected()
        elif not ready:
            self._send(connection.tick())

    def _watch(self) -> int | None:
        """The descriptor that tells of changes, while IDLE wants them."""
        view = self._connection.session.view
        return view.watch() if self._connection.idling and view is not None else None

    def _wakeup(self) -> None:
        """The mailbox has changed: one look for all that happens within a moment."""
        time.sleep(self._gather)
        connection = self._connection
        started = time.monotonic()
        for _ in range(MAX_LOOKS):
            view = connection.session.view
            if connection.closed or view is None or not view.drain_watch():
                break
            self._send(connection.wakeup())
        took = time.monotonic() - started
        self._gather = min(max(GATHER_SECS, took * GATHER_SHARE), LONGEST_GATHER_SECS)

    def _wait(self, fds: list[int], timeout: float) -> set[int]:
        context = self._mail.context
        if context is None:
            return set(select.select(fds, [], [], timeout)[0])
        return context.wait_readable(fds, timeout)

    def _stopping(self) -> bool:
        context = self._mail.context
        return context is not None and context.stopping

    def _show_title(self) -> None:
        """`user ip COMMAND`: the command while it waits, as IDLE does for hours."""
        running = self._connection.running
        title = " ".join(word for word in (self._mail.username, self._mail.remote_ip, running) if word)
        if title != self._title:
            self._title = title
            self._mail.set_title(title)

    def _send(self, chunks: Iterable[bytes]) -> None:
        """Write answers: small ones together, large ones without another copy."""
        waiting: list[bytes] = []
        size = 0
        for chunk in chunks:
            if len(chunk) >= SEND_BYTES:
                self._flush(waiting)
                self._write(chunk)
                size = 0
                continue
            waiting.append(chunk)
            size += len(chunk)
            if size >= SEND_BYTES:
                self._flush(waiting)
                size = 0
        self._flush(waiting)

    def _flush(self, waiting: list[bytes]) -> None:
        if waiting:
            self._write(waiting[0] if len(waiting) == 1 else b"".join(waiting))
            waiting.clear()

    def _write(self, data: bytes) -> None:
        """All of it; the timeout is for each piece the client takes, so a slow line is no dead one."""
        self._rawlog.went(data)
        rest = memoryview(data)
        while rest:
            rest = rest[self._send_some(rest) :]
