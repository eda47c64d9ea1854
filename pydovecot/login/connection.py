"""One client's connection in a login process: its socket, TLS, time limit, and the way to the mail worker."""

import asyncio
import os
import socket
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Final

from pydovecot.login.client import LoginClient
from pydovecot.login.handover import HandoverReply
from pydovecot.login.handover_sender import make_request, send_handover
from pydovecot.login.host import NO_TLS, AuthRequest, Given, TlsState
from pydovecot.net.tls import Need, TlsClosed, TlsStream
from pydovecot.net.tls_proxy import TlsProxy
from pydovecot.proto.auth.client import Mechanism, Reply
from pydovecot.runtime.context import Accepted

if TYPE_CHECKING:
    from pydovecot.login.process import LoginProcess

READ_BYTES: Final = 4096  # a command; more stays in the kernel, and goes to the mail worker
MAX_OUTPUT_BYTES: Final = 65536  # a client that reads nothing of this much is gone
CLOSE_SECS: Final = 5.0  # for the last words to a client that is slow to read them

_now = time.time


class Connection:
    """Implements `login.host.Host` for one client."""

    __slots__ = (
        "_accepted", "_after_flush", "_closing", "_dialog", "_inner", "_loop", "_out", "_process",
        "_proxy", "_reading", "_released", "_sock", "_stream", "_timer", "_tls_error", "client",
    )  # fmt: skip

    client: LoginClient

    def __init__(self, process: "LoginProcess", accepted: Accepted) -> None:
        self._process, self._accepted = process, accepted
        self._loop = process.loop
        self._sock = accepted.sock
        self._stream: TlsStream | None = None
        self._proxy: TlsProxy | None = None
        self._inner: socket.socket | None = None  # our end of a TLS client's way to its worker
        self._dialog: Callable[[], None] | None = None  # ends the request to a mail worker
        self._out = bytearray()
        self._tls_error = ""
        self._reading = self._closing = self._released = False
        self._after_flush: Callable[[], None] | None = None  # what waits until the output is out
        self._timer: asyncio.TimerHandle | None = None

    def start(self, client: LoginClient) -> None:
        """Begin to talk."""
        self.client = client
        self._timer = self._loop.call_later(self._process.login_timeout, self._timed_out)
        if self._accepted.ssl and not self._begin_tls():
            return
        self._refresh_reading()
        self._guard(self._greet)

    # --- Host ------------------------------------------------------------------------------------------

    @property
    def auth_ready(self) -> bool:
        return self._process.auth.ready

    @property
    def mechanisms(self) -> Mapping[str, Mechanism]:
        return self._process.auth.mechanisms

    @property
    def auth_identity(self) -> tuple[int, int]:
        return self._process.auth.server_pid, self._process.auth.connect_uid

    @property
    def tls_available(self) -> bool:
        return self._process.contexts.may_have(self.client.ssl_settings)

    @property
    def tls_state(self) -> TlsState:
        stream = self._stream
        if stream is None:
            return NO_TLS
        if not stream.handshaked:
            return TlsState(error=self._tls_error, server_name=stream.server_name)
        cipher, bits = stream.cipher
        settings = self.client.ssl_settings
        state, name = "none", ""
        if settings.ssl_verify_client_cert:
            state, name = stream.certificate(settings.ssl_cert_username_field)
        if not self.client.login_settings.auth_ssl_username_from_cert:
            name = ""
        return TlsState(True, self._tls_error, stream.protocol, cipher, bits, stream.server_name, state, name)

    def now(self) -> float:
        return _now()

    def send(self, data: bytes) -> None:
        if self._closing or self._sock.fileno() < 0:
            return
        if not self._out:
            data = self._send_now(data)
        if data:
            self._out += data
            if len(self._out) > MAX_OUTPUT_BYTES:
                self._abort("Output buffer full")
            elif not self._handshaking:
                self._loop.add_writer(self._sock.fileno(), self._writable)

    def start_tls(self) -> None:
        self._stop_reading()
        self._when_flushed(self._starttls)  # the answer to STARTTLS first

    def close(self) -> None:
        self._closing = True
        self._stop_reading()
        if self._out and self._sock.fileno() >= 0 and not self._handshaking:
            self._loop.call_later(CLOSE_SECS, self._close_now)
        else:
            self._close_now()

    def authenticate(
        self,
        mechanism: str,
        fields: Mapping[str, str | None],
        initial: bytes | None,
        on_reply: Callable[[Reply], None],
    ) -> AuthRequest:
        def take(answer: Reply) -> None:
            on_reply(answer)
            self._refresh_reading()

        def reply(answer: Reply) -> None:
            self._guard(lambda: take(answer))

        return self._process.auth.authenticate(mechanism, fields, initial, reply)

    def count_sessions(self, user: str, remote_ip: str, callback: Callable[[int], None]) -> None:
        self._process.count_sessions(user, remote_ip, callback)

    def hand_over(self, given: Given, callback: Callable[[HandoverReply | None], None]) -> None:
        self._when_flushed(lambda: self._hand_over(given, callback))

    def _when_flushed(self, then: Callable[[], None]) -> None:
        """Do it now, or once the client has taken what was sent to it."""
        if self._out:
            self._after_flush = then
        else:
            then()

    def _hand_over(self, given: Given, callback: Callable[[HandoverReply | None], None]) -> None:
        process = self._process
        passed = self._sock
        theirs: socket.socket | None = None
        if self._stream is not None:
            self._inner, theirs = socket.socketpair()
            self._inner.setblocking(False)
            passed = theirs
        inode = os.fstat(passed.fileno()).st_ino
        name = self._stream.server_name if self._stream is not None else ""
        name = name or self.client.peer.hostname
        request = make_request(process.next_tag(), process.auth, self.client.peer, given, inode, name)

        def answered(reply: HandoverReply | None) -> None:
            self._dialog = None
            if theirs is not None:
                theirs.close()
            self._guard(lambda: callback(reply))

        self._dialog = send_handover(self._loop, process.mail_socket, request, passed, answered)

    def released(self) -> None:
        """The core is done. A plaintext client that is logged in belongs to its worker alone now."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._released:
            return
        self._released = True
        if self._closing:
            return
        self._stop_reading()
        stream, inner = self._stream, self._inner
        if stream is None or inner is None:
            self._close_now()
            return
        self._inner = None
        self._process.logged_in(self)
        self._proxy = TlsProxy(self._loop, stream, self._sock, inner, self._gone)

    # --- for the process -------------------------------------------------------------------------------

    @property
    def is_proxying(self) -> bool:
        return self._proxy is not None

    def auth_came(self) -> None:
        """The auth process can be asked (again)."""
        if self._proxy is None and not self.client.closed:
            self._guard(self._greet)

    def shut(self) -> None:
        """End a session that is carried for a worker."""
        if self._proxy is not None:
            self._proxy.close()

    # --- edges -----------------------------------------------------------------------------------------

    def _guard(self, call: Callable[[], None]) -> None:
        """The edge of one client: whatever fails here ends this client, and nobody else notices."""
        try:
            call()
        except Exception as exc:  # noqa: BLE001 - see above
            self._process.context.event.exception("client failed", exc)
            self.client.closed = True
            self._closing = True
            self._close_now()
            self.released()

    def _greet(self) -> None:
        if self.auth_ready and not self._handshaking:
            self.client.auth_ready()
            self._refresh_reading()

    # --- socket ----------------------------------------------------------------------------------------

    @property
    def _handshaking(self) -> bool:
        return self._stream is not None and not self._stream.handshaked

    def _refresh_reading(self) -> None:
        """Listen to the client while its core has use for what it says."""
        wanted = not self._closing and not self._released and self.client.wants_input
        if wanted and not self._reading:
            self._reading = True
            self._loop.add_reader(self._sock.fileno(), self._readable)
            if self._stream is not None and self._stream.pending:
                self._loop.call_soon(self._readable)
        elif not wanted:
            self._stop_reading()

    def _stop_reading(self) -> None:
        if self._reading:
            self._reading = False
            self._loop.remove_reader(self._sock.fileno())

    def _readable(self) -> None:
        if self._reading:
            self._guard(self._take_input)

    def _take_input(self) -> None:
        if self._handshaking:
            self._handshake()
            return
        try:
            data = self._read()
        except TlsClosed as exc:
            if not exc.clean:
                self._tls_error = str(exc) or "Connection closed"
            self.client.lost(f"Connection closed: {exc}" if str(exc) else "Connection closed")
            return
        except OSError as exc:
            self.client.lost(f"Connection closed: read(size={READ_BYTES}) failed: {exc.strerror}")
            return
        if data is None:
            return
        if not data:
            self.client.lost()
            return
        self.client.feed(data)
        self._refresh_reading()
        if self._reading and self._stream is not None and self._stream.pending:
            self._loop.call_soon(self._readable)

    def _read(self) -> bytes | None:
        if self._stream is None:
            try:
                return self._sock.recv(READ_BYTES)
            except (BlockingIOError, InterruptedError):
                return None
        got = self._stream.read(READ_BYTES)
        return None if isinstance(got, Need) else got

    def _send_now(self, data: bytes | bytearray) -> bytes:
        """Send what the socket takes; the rest comes back."""
        try:
            if self._stream is None:
                sent = self._sock.send(data)
            elif not self._stream.handshaked:
                sent = 0
            else:
                done = self._stream.write(bytes(data))
                sent = 0 if isinstance(done, Need) else done
        except (BlockingIOError, InterruptedError):
            sent = 0
        except (OSError, TlsClosed):
            return b""  # the client has gone: reading tells
        return bytes(data[sent:])

    def _writable(self) -> None:
        self._out = bytearray(self._send_now(self._out))
        if self._out:
            return
        self._loop.remove_writer(self._sock.fileno())
        if self._closing:
            self._close_now()
        elif self._after_flush is not None:
            then, self._after_flush = self._after_flush, None
            then()

    # --- TLS -------------------------------------------------------------------------------------------

    def _begin_tls(self) -> bool:
        context = self._process.contexts.get(self.client.ssl_settings)
        if context is None:
            self.client.end("Disconnected: TLS initialization failed.")
            return False
        self._stream = TlsStream(context, self._sock)
        self._process.streams[self._stream] = self
        self._process.refresh_title()
        return True

    def _starttls(self) -> None:
        if self._begin_tls():
            self.client.starttls_done()
            self._refresh_reading()

    def _handshake(self) -> None:
        stream = self._stream
        if stream is None:
            return
        try:
            need = stream.handshake()
        except TlsClosed as exc:
            self._tls_error = str(exc) or "Connection closed"
            self.client.lost(f"Connection closed: {exc}" if str(exc) else "Connection closed")
            return
        if need is Need.WRITE:
            self._loop.add_writer(self._sock.fileno(), self._handshake_writable)
        if need is not None:
            return
        if stream.server_name:
            self.client.configure(self._process.view_for(self.client.peer, stream.server_name))
        if self.auth_ready:
            self.client.auth_ready()
        if self._out:
            self._loop.add_writer(self._sock.fileno(), self._writable)
        self._refresh_reading()
        if self._reading and stream.pending:
            self._loop.call_soon(self._readable)

    def _handshake_writable(self) -> None:
        self._loop.remove_writer(self._sock.fileno())
        if self._handshaking and not self._closing:
            self._guard(self._handshake)

    # --- ends ------------------------------------------------------------------------------------------

    def _timed_out(self) -> None:
        self._timer = None
        self._guard(self.client.timed_out)

    def _abort(self, why: str) -> None:
        self._out.clear()
        self.client.end(f"Disconnected: {why}")

    def _close_now(self) -> None:
        """Close the socket (our copy of it, when a worker has it)."""
        if self._sock.fileno() < 0:
            return
        self._loop.remove_reader(self._sock.fileno())
        self._loop.remove_writer(self._sock.fileno())
        if self._dialog is not None:
            self._dialog()
            self._dialog = None
        if self._inner is not None:
            self._inner.close()
            self._inner = None
        if self._stream is not None and self._stream.handshaked:
            self._stream.shutdown()
        self._sock.close()
        self._gone()

    def _gone(self) -> None:
        if self._stream is not None:
            self._process.streams.pop(self._stream, None)
            self._stream.release()
        self._process.gone(self, self._accepted)
