"""Carries bytes between a TLS client and the process that serves it, for the rest of the connection's life.

No task, no timer and no buffer per idle session: only two callbacks in the loop. Reading stops on one side
while the other cannot take what was read, so at most one buffer's worth waits in each direction.

The loop gets descriptors, not sockets: its selector makes the costly repr of each key it does not find.
"""

import asyncio
import socket
from collections.abc import Callable
from typing import Final

from pydovecot.net.tls import MAX_RECORD_BYTES, Need, TlsClosed, TlsStream

CHUNK_BYTES: Final = 65536  # four TLS records; the most that waits in one direction
LINGER_SECS: Final = 30.0  # for the last answer to a slow client whose worker has ended

_scratch = memoryview(bytearray(CHUNK_BYTES))  # what a worker sent, on its way into OpenSSL


class TlsProxy:
    """`client` (through `stream`) and `inner`, both non-blocking, become ours; `on_end`: both are closed.

    The end of the client's data is passed on; when the worker has gone, the client is closed.
    """

    __slots__ = (
        "_client",
        "_client_done",
        "_down",
        "_inner",
        "_loop",
        "_on_end",
        "_stream",
        "_up",
        "_worker_done",
    )

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        stream: TlsStream,
        client: socket.socket,
        inner: socket.socket,
        on_end: Callable[[], None],
    ) -> None:
        self._loop, self._stream, self._client, self._inner = loop, stream, client, inner
        self._on_end = on_end
        self._up: bytes = b""  # from the client, the worker could not take it yet
        self._down: bytes = b""  # from the worker, the client could not take it yet
        self._client_done = self._worker_done = False
        loop.add_reader(client.fileno(), self._from_client)
        loop.add_reader(inner.fileno(), self._from_worker)
        if stream.pending:
            loop.call_soon(self._from_client)

    def close(self) -> None:
        """Close both sides now."""
        if self._client.fileno() < 0:
            return  # closed before
        for sock in (self._client, self._inner):
            self._loop.remove_reader(sock.fileno())
            self._loop.remove_writer(sock.fileno())
        self._stream.shutdown()
        self._client.close()
        self._inner.close()
        self._up = self._down = b""
        self._on_end()

    # --- client -> worker ------------------------------------------------------------------------------

    def _from_client(self) -> None:
        if self._up or self._client_done or self._client.fileno() < 0:
            return
        parts, size = [], 0
        try:
            while size < CHUNK_BYTES:
                got = self._stream.read(MAX_RECORD_BYTES)
                if isinstance(got, Need):
                    if got is Need.WRITE:
                        self._loop.add_writer(self._client.fileno(), self._to_client)
                    break
                parts.append(got)
                size += len(got)
        except TlsClosed:
            self._client_done = True
            self._loop.remove_reader(self._client.fileno())
        self._up = parts[0] if len(parts) == 1 else b"".join(parts)
        self._to_worker()

    def _to_worker(self) -> None:
        if self._up:
            try:
                sent = self._inner.send(self._up)
            except (BlockingIOError, InterruptedError):
                sent = 0
            except OSError:
                self._worker_gone()
                return
            self._up = self._up[sent:]
        if self._up:
            self._loop.remove_reader(self._client.fileno())
            self._loop.add_writer(self._inner.fileno(), self._worker_writable)
        elif self._client_done:
            try:
                self._inner.shutdown(socket.SHUT_WR)
            except OSError:
                self._worker_gone()
        elif self._stream.pending:
            self._loop.call_soon(self._from_client)

    def _worker_writable(self) -> None:
        self._loop.remove_writer(self._inner.fileno())
        self._to_worker()
        if not self._up and not self._client_done and self._client.fileno() >= 0:
            self._loop.add_reader(self._client.fileno(), self._from_client)
            self._from_client()

    # --- worker -> client ------------------------------------------------------------------------------

    def _from_worker(self) -> None:
        if self._down:
            return
        try:
            size = self._inner.recv_into(_scratch)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            size = 0
        if size == 0:
            self._worker_gone()
            return
        sent = self._write(_scratch[:size])
        if sent is not None and sent < size:
            self._down = bytes(_scratch[sent:size])
            self._loop.remove_reader(self._inner.fileno())
            self._loop.add_writer(self._client.fileno(), self._to_client)

    def _write(self, data: memoryview) -> int | None:
        """How much the client took; None when it has gone."""
        sent = 0
        try:
            while sent < len(data):
                done = self._stream.write(data[sent:])
                if isinstance(done, Need):
                    break
                sent += done
        except TlsClosed:
            self.close()
            return None
        return sent

    def _to_client(self) -> None:
        if not self._down:
            self._loop.remove_writer(self._client.fileno())
            self._from_client()  # a read that had to write first
            return
        sent = self._write(memoryview(self._down))
        if sent is None:
            return
        self._down = self._down[sent:]
        if self._down:
            return
        self._loop.remove_writer(self._client.fileno())
        if self._worker_done:
            self.close()
        else:
            self._loop.add_reader(self._inner.fileno(), self._from_worker)

    def _worker_gone(self) -> None:
        """The worker has closed or died: what it sent goes out, then the client is closed."""
        self._worker_done = True
        self._loop.remove_reader(self._inner.fileno())
        if self._down:
            self._loop.call_later(LINGER_SECS, self.close)
        else:
            self.close()
