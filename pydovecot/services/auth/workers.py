"""The pool of auth-worker processes, as auth sees it: connections to the auth-worker socket.

The master forks a worker for each connection. A connection does one step at a time; when all are busy and
auth_worker_max_count is reached, steps wait in a queue that is bounded in length and time, and in which the
addresses of clients take turns.
"""

import asyncio
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from pydovecot.authdb import remote
from pydovecot.authdb.steps import Blocking
from pydovecot.event.event import Event
from pydovecot.proto.auth import worker as protocol
from pydovecot.proto.auth.lines import BadLine, LineBuffer
from pydovecot.services.auth import penalty
from pydovecot.services.auth.fair_queue import FairQueue

LOOKUP_SECS: Final = 60  # Dovecot: AUTH_WORKER_LOOKUP_TIMEOUT_SECS
IDLE_SECS: Final = 300  # Dovecot: AUTH_WORKER_MAX_IDLE_SECS
RETRY_SECS: Final = 0.2  # the socket's backlog is full: the master is about to fork
MAX_QUEUE: Final = 5000
MAX_PARTS: Final = 1_000_000  # users in a listing

Callback = Callable[[Any], None]


@dataclass(slots=True)
class _Job:
    step: Blocking
    callback: Callback
    since: float
    tried: bool = False
    parts: list[str] = field(default_factory=list)

    @property
    def asker(self) -> str:
        """Whose turn it takes: that of an address, or of a user where there is none."""
        request = self.step.request
        return penalty.ident(request) or f"user {request.user}"


class _Connection(asyncio.Protocol):
    """One worker. `job` is what it is doing."""

    def __init__(self, pool: "WorkerPool") -> None:
        self._pool = pool
        self._lines = LineBuffer(protocol.MAX_LINE_BYTES)
        self._transport: asyncio.Transport | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._last_id = 0
        self.job: _Job | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        transport.write(protocol.encode_hello(self._pool.settings_hash))
        self._pool.ready(self)

    def start(self, job: _Job) -> None:
        """Do this next."""
        assert self._transport is not None
        self.job = job
        self._last_id += 1
        self._transport.write(protocol.encode_request(remote.request_of(job.step, self._last_id)))
        self._set_timer(LOOKUP_SECS, self._too_slow)

    def rest(self) -> None:
        """Nothing to do for now."""
        self._set_timer(IDLE_SECS, self.close)

    def close(self) -> None:
        """Disconnect now; `lost` follows."""
        if self._timer is not None:
            self._timer.cancel()
        if self._transport is not None:
            self._transport.abort()

    def data_received(self, data: bytes) -> None:
        try:
            for line in self._lines.feed(data):
                self._answer(protocol.decode_answer(line))
        except BadLine as exc:
            self._pool.event.error(f"auth-worker: {exc}")
            self.close()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
        job, self.job = self.job, None
        self._pool.lost(self, job)

    def _answer(self, message: protocol.Message) -> None:
        job = self.job
        if job is None or message.id != self._last_id:
            raise BadLine("answer that nobody asked for")
        if message.word == protocol.PART:
            if len(job.parts) >= MAX_PARTS:
                raise BadLine("listing too long")
            job.parts.append(message.text)
            return
        self.job = None
        try:
            value = remote.take(job.step, message, job.parts)
        except ValueError as exc:
            raise BadLine(f"broken answer: {exc}") from exc
        self._pool.ready(self)
        job.callback(value)

    def _too_slow(self) -> None:
        self._pool.event.error(f"auth-worker: Lookup timed out after {LOOKUP_SECS} secs")
        self.close()

    def _set_timer(self, seconds: float, callback: Callable[[], None]) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_later(seconds, callback)


class WorkerPool:
    """Implements server.Workers. Connects when there is something to do."""

    def __init__(self, path: str, settings_hash: str, limit: int, event: Event) -> None:
        self.settings_hash, self.event = settings_hash, event
        self._path, self._limit = path, max(limit, 1)
        self._queue: FairQueue[_Job] = FairQueue()
        self._idle: list[_Connection] = []
        self._all: set[_Connection] = set()
        self._connecting = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._closed = self._complained = False

    def __len__(self) -> int:
        """Steps that wait or are being done."""
        return len(self._queue) + len(self._all) - len(self._idle)

    def submit(self, step: Blocking, callback: Callback) -> None:
        """Do a step; `callback` gets its value, or the value of a failure."""
        if self._closed:
            callback(remote.failed(step))
            return
        job = _Job(step, callback, time.monotonic())
        if self._idle:
            self._idle.pop().start(job)
            return
        self._queue.append(job.asker, job)
        if len(self._queue) > MAX_QUEUE:
            victim = self._queue.drop()
            who = victim.asker
            self.event.error(f"auth-worker: {MAX_QUEUE} requests are waiting, one of {who} fails")
            victim.callback(remote.failed(victim.step))
        self._grow()

    def close(self) -> None:
        """Disconnect from all workers; what waits fails."""
        self._closed = True
        for task in self._tasks:
            task.cancel()
        for connection in list(self._all):
            connection.close()
        self._fail_queue()

    # -- called by connections

    def ready(self, connection: _Connection) -> None:
        """A worker has time."""
        if self._closed:
            connection.close()
            return
        self._all.add(connection)
        job = self._next_job()
        if job is not None:
            connection.start(job)
        else:
            connection.rest()
            self._idle.append(connection)

    def lost(self, connection: _Connection, job: _Job | None) -> None:
        """A worker is gone, with its job if it had one."""
        self._all.discard(connection)
        if connection in self._idle:
            self._idle.remove(connection)
        if job is not None and not job.tried and not self._closed:
            # It may have died of something else: a killed worker costs nobody a login. One that dies of this
            # job takes one more with it.
            job.tried, job.parts = True, []
            self._queue.put_back(job.asker, job)
        elif job is not None:
            self.event.error("auth-worker: Worker process died unexpectedly")
            job.callback(remote.failed(job.step))
        if self._queue:
            self._grow()

    # -- internals

    def _next_job(self) -> _Job | None:
        while self._queue:
            job = self._queue.pop()
            if time.monotonic() - job.since < LOOKUP_SECS:
                return job
            self.event.error("auth-worker: Request waited too long for a free worker")
            job.callback(remote.failed(job.step))
        return None

    def _grow(self) -> None:
        waiting = len(self._queue) - self._connecting
        room = self._limit - len(self._all) - self._connecting
        for _ in range(min(waiting, room)):
            self._connecting += 1
            task = asyncio.get_running_loop().create_task(self._connect())
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _connect(self) -> None:
        loop = asyncio.get_running_loop()
        deadline = time.monotonic() + LOOKUP_SECS
        try:
            while not self._closed:
                sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
                sock.setblocking(False)
                try:
                    sock.connect(self._path)
                except BlockingIOError:
                    sock.close()
                    if time.monotonic() > deadline:
                        raise
                    await asyncio.sleep(RETRY_SECS)
                    continue
                except OSError:
                    sock.close()
                    raise
                self._complained = False
                await loop.create_connection(lambda: _Connection(self), sock=sock)
                return
        except OSError as exc:
            self._refused(exc)
        finally:
            self._connecting -= 1

    def _refused(self, exc: OSError) -> None:
        if not self._complained:
            self.event.error(f"auth-worker: connect({self._path}) failed: {exc.strerror or exc}")
            self._complained = True
        if not self._all:
            self._fail_queue()

    def _fail_queue(self) -> None:
        queue, self._queue = self._queue, FairQueue()
        while queue:
            job = queue.pop()
            job.callback(remote.failed(job.step))
