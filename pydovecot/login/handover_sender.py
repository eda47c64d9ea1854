"""The login process's side of a handover: one short connection to a mail worker for each client."""

import asyncio
import socket
from collections.abc import Callable
from typing import Final

from pydovecot.base import fdpass
from pydovecot.ipc.auth_client import AuthClient
from pydovecot.login.handover import (
    MAX_REPLY_BYTES,
    BadHandover,
    HandoverReply,
    HandoverRequest,
    decode_reply,
)
from pydovecot.login.host import Given
from pydovecot.login.peer import Peer

CONNECT_RETRY_SECS: Final = 0.05  # all workers busy and the queue full: the master starts more
CONNECT_TRIES: Final = 200  # ten seconds
MAX_WORKERS_TRIED: Final = 3  # a worker may end without an answer: it cannot become this user

OnReply = Callable[[HandoverReply | None], None]


def make_request(
    tag: int, auth: AuthClient, who: Peer, given: Given, inode: int, local_name: str
) -> HandoverRequest:
    """What a mail worker is told of a client; `inode` is of the descriptor that comes along."""
    return HandoverRequest(
        tag,
        auth.server_pid,
        given.auth_id,
        auth.client_pid,
        auth.cookie,
        inode,
        who.local_ip,
        who.remote_ip,
        who.local_port,
        who.remote_port,
        given.secured,
        given.tls,
        given.session,
        local_name,
        given.command_tag,
        given.send_capability,
        given.input,
    )


class _Dialog:
    """Request out, answer in; once more with another worker when one ends without an answer."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        path: str,
        request: HandoverRequest,
        passed: socket.socket,
        on_reply: OnReply,
    ) -> None:
        self._loop, self._path, self._passed, self._on_reply = loop, path, passed, on_reply
        self._message = request.encode()
        self._tag = request.tag
        self._sock: socket.socket | None = None
        self._retry: asyncio.TimerHandle | None = None
        self._tries = self._workers = 0
        self._reply = b""

    def connect(self) -> None:
        self._retry = None
        self._tries += 1
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        sock.setblocking(False)
        try:
            sock.connect(self._path)
            sent = fdpass.send_fds(sock, self._message, [self._passed.fileno()])
        except BlockingIOError:
            sock.close()
            self._again()
            return
        except OSError:
            sock.close()
            self._end(None)
            return
        self._sock = sock
        if sent < len(self._message):  # cannot be: a fresh socket takes far more
            self._end(None)
            return
        self._workers += 1
        self._loop.add_reader(sock.fileno(), self._readable)

    def _again(self) -> None:
        if self._tries < CONNECT_TRIES:
            self._retry = self._loop.call_later(CONNECT_RETRY_SECS, self.connect)
        else:
            self._end(None)

    def _readable(self) -> None:
        if self._sock is None:
            return
        try:
            data = self._sock.recv(MAX_REPLY_BYTES)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            data = b""
        if not data:
            self._drop()
            if self._workers < MAX_WORKERS_TRIED and not self._reply:
                self.connect()
            else:
                self._end(None)
            return
        self._reply += data
        if b"\n" not in self._reply and len(self._reply) <= MAX_REPLY_BYTES:
            return
        try:
            reply = decode_reply(self._reply.partition(b"\n")[0])
        except BadHandover:
            self._end(None)
            return
        self._end(reply if reply.tag == self._tag else None)

    def _drop(self) -> None:
        if self._sock is not None:
            self._loop.remove_reader(self._sock.fileno())
            self._sock.close()
            self._sock = None

    def _end(self, reply: HandoverReply | None) -> None:
        self._drop()
        self._on_reply(reply)

    def abort(self) -> None:
        """No answer is wanted any more."""
        if self._retry is not None:
            self._retry.cancel()
            self._retry = None
        self._drop()


def send_handover(
    loop: asyncio.AbstractEventLoop,
    path: str,
    request: HandoverRequest,
    passed: socket.socket,
    on_reply: OnReply,
) -> Callable[[], None]:
    """Give `passed` to a worker that listens at `path`; returns what calls it off.

    `on_reply` gets the answer, or None when no worker could be reached. It comes in a later turn of the loop.
    """
    dialog = _Dialog(loop, path, request, passed, on_reply)
    loop.call_soon(dialog.connect)
    return dialog.abort
