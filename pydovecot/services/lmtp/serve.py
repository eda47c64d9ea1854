"""Moves bytes between an MTA's socket, with TLS or without, and its LmtpConnection."""

import base64
import contextlib
import os
import select
import socket
import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from OpenSSL import SSL

from pydovecot.base.networks import in_networks
from pydovecot.ipc.anvil import AnvilQuestions
from pydovecot.ipc.auth_master import AuthMaster
from pydovecot.login import mail_user
from pydovecot.login.rawlog import RawLog
from pydovecot.login.settings import LoginSettings, MailUserSettings, SslSettings
from pydovecot.login.tls_contexts import TlsContexts
from pydovecot.net.tls import Need, TlsClosed, TlsStream
from pydovecot.runtime.context import Accepted, Context
from pydovecot.services.lmtp import replies
from pydovecot.services.lmtp.connection import LmtpConnection
from pydovecot.services.lmtp.crowd import Crowd
from pydovecot.services.lmtp.delivery import SERVICE, LocalDelivery, hostname_of, largest_message
from pydovecot.services.lmtp.settings import LmtpSettings
from pydovecot.services.lmtp.transaction import Client
from pydovecot.settings.expand import expand

IDLE_SECS: Final = 300.0  # RFC 5321 4.5.3.2.7
READ_BYTES: Final = 1 << 16
STOP_CHECK_SECS: Final = 1.0
SESSION_BYTES: Final = 16


@dataclass(frozen=True, slots=True)
class State:
    """Kept from one client to the next."""

    auth: AuthMaster
    anvil: AnvilQuestions


def session_id() -> str:
    """As Dovecot's: 128 bits in base64 without padding."""
    return base64.b64encode(os.urandom(SESSION_BYTES)).rstrip(b"=").decode()


def on_connection(context: Context, accepted: Accepted) -> None:
    """Serve one client until it is gone."""
    with accepted.sock as sock:
        view = context.settings_for(local_ip=accepted.local_ip, remote_ip=accepted.remote_ip)
        client = _client(context, accepted, view.get(LoginSettings))
        pid = os.getpid()
        context.set_log_prefix(f"lmtp({pid}): ")
        shown = accepted.remote_ip or "local"
        context.event.info(f"Connect from {shown}")
        if not isinstance(context.state, State):
            context.state = State(
                AuthMaster(os.path.join(context.base_dir, view.get(MailUserSettings).auth_socket_path)),
                AnvilQuestions(context.run_path("anvil"), context.event),
            )

        def set_log_prefix(prefix: str) -> None:
            # Between two deliveries there is nothing to tell; the next one comes soon.
            context.set_log_prefix(prefix or f"lmtp({pid}): ", announce=bool(prefix))

        hostname = hostname_of(view)
        settings = view.get(LmtpSettings)
        crowd = Crowd(settings.lmtp_user_concurrency_limit, context.state.anvil.lookup, context.anvil_fd())
        backend = LocalDelivery(view, context.event, context.state.auth, hostname, set_log_prefix, crowd)
        contexts: TlsContexts = context.shared
        tls = contexts.get(view.get(SslSettings))
        connection = LmtpConnection(
            client, backend, settings, context.event,
            hostname=hostname, welcome=view.get(LoginSettings).login_greeting, tls_offered=tls is not None,
            max_size=largest_message(view, context.event),
        )  # fmt: skip
        sock.setblocking(False)
        variables = mail_user.variables("", SERVICE, {"session": client.session, "rip": client.remote_ip})
        rawlog = RawLog(expand(settings.lmtp_rawlog_dir, variables), context.event)
        stream = _Stream(context, connection, sock, rawlog)
        if accepted.ssl and tls is not None:
            stream.start_tls(TlsStream(tls, sock))
        try:
            stream.run(tls)
        finally:
            connection.close("Connection closed")
            state = connection.last_state
            unfinished = " (unfinished DATA command)" if state == "DATA" else ""
            why = f"{connection.close_reason}{unfinished} (state={state})"
            context.event.info(f"Disconnect from {shown}: {why}")
            stream.end()
            rawlog.close()
            backend.close()


def _client(context: Context, accepted: Accepted, settings: LoginSettings) -> Client:
    trusted = False
    if accepted.remote_ip:
        trusted, broken = in_networks(accepted.remote_ip, settings.login_trusted_networks)
        if broken:
            context.event.error(f"login_trusted_networks: Invalid network '{broken}'")
    return Client(
        session_id(), "", accepted.local_ip, accepted.local_port, accepted.remote_ip, accepted.remote_port,
        trusted=trusted,
    )  # fmt: skip


class _Stream:
    """The loop of one client. Input is read only when all replies are out."""

    def __init__(
        self, context: Context, connection: LmtpConnection, sock: socket.socket, rawlog: RawLog
    ) -> None:
        self._context, self._connection, self._sock, self._rawlog = context, connection, sock, rawlog
        self._tls: TlsStream | None = None

    def start_tls(self, stream: TlsStream) -> None:
        """Make the handshake. The connection is closed when it fails."""
        self._tls = stream
        try:
            while (need := stream.handshake()) is not None:
                if not self._wait(need, time.monotonic() + IDLE_SECS):
                    raise TlsClosed("TLS handshake timed out")
        except TlsClosed as exc:
            self._connection.close(f"TLS handshaking: {exc}" if str(exc) else "Connection closed")
            return
        name, bits = stream.cipher
        self._connection.tls_started(f"{stream.protocol} with cipher {name} ({bits}/{bits} bits)")

    def run(self, tls: SSL.Context | None) -> None:
        """Greet, then commands until the end."""
        connection = self._connection
        try:
            if not connection.closed:
                self._send([connection.greeting()])
            while not connection.closed:
                data = self._read()
                if data:
                    self._send(connection.feed(data))
                if connection.wants_tls and tls is not None:
                    self.start_tls(TlsStream(tls, self._sock))
        except TimeoutError:
            connection.close("Disconnected for inactivity in reading our output")
        except TlsClosed as exc:
            connection.close(str(exc) or "Connection closed")
        except ConnectionError as exc:
            connection.close(f"Connection closed: {exc.strerror}" if exc.strerror else "Connection closed")

    def end(self) -> None:
        """A last word of TLS."""
        if self._tls is not None:
            self._tls.shutdown()
            self._tls.release()

    def _read(self) -> bytes:
        """What the client sent; b"" when there is something else to do."""
        connection = self._connection
        deadline = time.monotonic() + IDLE_SECS
        while not connection.closed:
            if self._context.stopping or (self._context.closing and connection.idle):
                self._last_word(connection.goodbye("4.3.2", "Shutting down"))
                return b""
            try:
                data = self._tls.read(READ_BYTES) if self._tls is not None else self._sock.recv(READ_BYTES)
            except BlockingIOError:
                data = Need.READ
            if isinstance(data, bytes):
                if not data:
                    connection.close("Connection closed")
                self._rawlog.came(data)
                return data
            if not self._wait(data, deadline) and time.monotonic() >= deadline:
                self._last_word(connection.goodbye("4.4.2", "Disconnected for inactivity"))
        return b""

    def _wait(self, need: Need, deadline: float) -> bool:
        """Until the socket is ready: True. False: time is up, or the master has called."""
        left = max(0.0, deadline - time.monotonic())
        if need is Need.READ:
            return bool(self._context.wait_readable((self._sock.fileno(),), left))
        return bool(select.select((), (self._sock,), (), min(left, STOP_CHECK_SECS))[1])

    def _send(self, chunks: Iterable[bytes]) -> None:
        """All of them, in few pieces."""
        waiting: list[bytes] = []
        for chunk in chunks:
            if chunk == replies.FLUSH and waiting:
                self._write(b"".join(waiting))
                waiting = []
            else:
                waiting.append(chunk)
        self._write(b"".join(waiting))

    def _write(self, data: bytes) -> None:
        """All of `data`. TimeoutError when the client does not take it."""
        self._rawlog.went(data)
        rest = memoryview(data)
        deadline = time.monotonic() + IDLE_SECS
        while rest:
            try:
                sent = self._tls.write(rest) if self._tls is not None else self._sock.send(rest)
            except BlockingIOError:
                sent = Need.WRITE
            if isinstance(sent, int):
                rest = rest[sent:]
            elif not self._wait(sent, deadline) and (self._context.stopping or time.monotonic() >= deadline):
                raise TimeoutError

    def _last_word(self, line: bytes) -> None:
        self._rawlog.went(line)
        with contextlib.suppress(OSError, TlsClosed):
            if self._tls is not None:
                self._tls.write(line)
            else:
                self._sock.send(line)
