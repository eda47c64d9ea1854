"""asyncio client of the auth-client protocol, for login processes.

    client = AuthClient(context.run_path("login", "login"), pid=os.getpid(), event=context.event)
    client.start()                        # connects; again after a loss, until close()
    handle = client.authenticate("PLAIN", {"service": "imap", "rip": "1.2.3.4"}, initial, on_reply)
    handle.proceed(b"answer to a challenge"); handle.cancel()

`on_reply(Reply)` is called for each CONT and once for OK or FAIL. When the connection is lost every open
request gets a FAIL with code "temp_fail".
"""

import asyncio
import contextlib
from collections.abc import Callable, Mapping
from typing import Final

from pydovecot.event.event import Event
from pydovecot.proto.auth.client import (
    ClientCore,
    Mechanism,
    Reply,
    Status,
    encode_auth,
    encode_cancel,
    encode_cont,
    encode_hello,
)
from pydovecot.proto.auth.lines import BadLine

RECONNECT_SECS: Final = 1.0  # Dovecot: AUTH_CLIENT_RECONNECT_DELAY
MAX_OPEN_REQUESTS: Final = 100_000  # far above any client_limit; ids wrap at 2^31

OnReply = Callable[[Reply], None]


class Request:
    """One authentication in flight."""

    __slots__ = ("_client", "_on_reply", "id")

    def __init__(self, client: "AuthClient", request_id: int, on_reply: OnReply) -> None:
        self._client, self.id, self._on_reply = client, request_id, on_reply

    def proceed(self, data: bytes) -> None:
        """Answer the last challenge."""
        self._client._send(self.id, encode_cont(self.id, data))

    def cancel(self) -> None:
        """No reply will come any more; after OK: no mail worker will ask for this login."""
        self._client._open.pop(self.id, None)
        self._client._write(encode_cancel(self.id))


class AuthClient(asyncio.Protocol):
    """One connection to the auth process, shared by all clients of a login process."""

    def __init__(
        self,
        path: str,
        *,
        pid: int,
        event: Event,
        on_state: Callable[[bool], None] | None = None,
    ) -> None:
        self._path, self._pid, self._event, self._on_state = path, pid, event, on_state
        self._open: dict[int, Request] = {}
        self._last_id = 0
        self._core = ClientCore()
        self._transport: asyncio.Transport | None = None
        self._task: asyncio.Task[None] | None = None
        self._closed = False
        self.client_pid = pid

    @property
    def ready(self) -> bool:
        """True when connected and the handshake is done."""
        return self._transport is not None and self._core.ready

    @property
    def mechanisms(self) -> Mapping[str, Mechanism]:
        """The mechanisms of the last handshake, in the server's order (empty before the first)."""
        return self._core.handshake.mechanisms

    @property
    def server_pid(self) -> int:
        """Pid of the auth process (SPID): the `auth_pid` of a handover."""
        return self._core.handshake.server_pid

    @property
    def connect_uid(self) -> int:
        """CUID: with `server_pid` it makes the challenge of an APOP greeting."""
        return self._core.handshake.connect_uid

    @property
    def cookie(self) -> bytes:
        """The 16 bytes that prove to the auth process that a mail worker's REQUEST comes by way of us."""
        return self._core.handshake.cookie

    def start(self) -> None:
        """Begin to connect; needs a running loop. `on_state(True)` follows when the handshake is done."""
        if self._task is None and not self._closed:
            self._task = asyncio.get_running_loop().create_task(self._connect())

    def close(self) -> None:
        """Close for good; open requests get no reply."""
        self._closed = True
        self._open.clear()
        if self._task is not None:
            self._task.cancel()
        if self._transport is not None:
            self._transport.close()

    def authenticate(
        self,
        mechanism: str,
        fields: Mapping[str, str | None],
        initial: bytes | None,
        on_reply: OnReply,
    ) -> Request:
        """Start a request. `fields` in the order to send; `initial` None means no initial response.

        When there is no connection the request fails in the loop's next turn (code "temp_fail").
        """
        loop = asyncio.get_running_loop()
        request = Request(self, self._next_id(), on_reply)
        if not self.ready or len(self._open) >= MAX_OPEN_REQUESTS:
            loop.call_soon(on_reply, _lost(request.id))
            return request
        self._open[request.id] = request
        self._write(encode_auth(request.id, mechanism, fields, initial))
        return request

    # -- asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        transport.write(encode_hello(self._pid))

    def data_received(self, data: bytes) -> None:
        was_ready = self._core.ready
        try:
            replies = self._core.feed(data)
        except BadLine as exc:
            self._event.error(f"auth: {self._path}: {exc}")
            if self._transport is not None:
                self._transport.abort()
            return
        if self._core.ready and not was_ready and self._on_state is not None:
            self._on_state(True)
        for reply in replies:
            self._dispatch(reply)

    def connection_lost(self, exc: Exception | None) -> None:
        was_ready, self._transport = self.ready, None
        self._fail_all()
        if self._closed:
            return
        if was_ready and self._on_state is not None:
            self._on_state(False)
        self._task = asyncio.get_running_loop().create_task(self._connect(RECONNECT_SECS))

    # -- internals

    async def _connect(self, delay: float = 0.0) -> None:
        loop = asyncio.get_running_loop()
        told = False
        while not self._closed:
            await asyncio.sleep(delay)
            old, self._core = self._core, ClientCore()
            # What clients are offered stays known while the auth process is replaced.
            self._core.handshake.mechanisms = dict(old.handshake.mechanisms)
            try:
                await loop.create_unix_connection(lambda: self, self._path)
                break
            except OSError as exc:
                if not told:
                    self._event.error(f"auth: connect({self._path}) failed: {exc.strerror or exc}")
                    told = True
                delay = RECONNECT_SECS

    def _dispatch(self, reply: Reply) -> None:
        if reply.status is Status.CONT:
            request = self._open.get(reply.id)
        else:
            request = self._open.pop(reply.id, None)
        if request is not None:
            request._on_reply(reply)

    def _fail_all(self) -> None:
        requests, self._open = list(self._open.values()), {}
        for request in requests:
            request._on_reply(_lost(request.id))

    def _send(self, request_id: int, line: bytes) -> None:
        if request_id in self._open:
            self._write(line)

    def _write(self, line: bytes) -> None:
        if self._transport is not None:
            with contextlib.suppress(RuntimeError):  # the transport is closing: connection_lost follows
                self._transport.write(line)

    def _next_id(self) -> int:
        self._last_id = self._last_id % 0x7FFFFFFF + 1
        while self._last_id in self._open:
            self._last_id = self._last_id % 0x7FFFFFFF + 1
        return self._last_id


def _lost(request_id: int) -> Reply:
    return Reply(request_id, Status.FAIL, fields={"code": "temp_fail", "temp": ""})
