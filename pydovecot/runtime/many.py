"""MANY_CLIENTS services: one asyncio loop, clients up to client_limit."""

import asyncio
import contextlib
import os
import signal
from typing import Any

from pydovecot.runtime import child, haproxy
from pydovecot.runtime.context import Accepted
from pydovecot.runtime.process import ACCEPT_PAUSE_SECS, Process

STATUS_DELAY_SECS = 1.0  # changes of the count that decide nothing are told together
ACCEPTS_PER_ROUND = 8


class ManyClients(Process):
    """The loop of a login process, auth, anvil, log, config."""

    loop: asyncio.AbstractEventLoop
    _clients: set[int]
    _introductions: dict[int, haproxy.Introduction]
    _listening: bool
    _late: asyncio.TimerHandle | None
    _ended: "asyncio.Future[None]"
    _caught: list[int]

    def begin(self, number: int) -> None:
        """As every process, with nobody connected."""
        self._clients, self._listening, self._late, self._caught = set(), False, None, []
        self._introductions = {}
        super().begin(number)

    def run(self) -> int:
        """Serve until service_count clients are done, idle kill, TERM or the end of the master."""
        self.loop = asyncio.new_event_loop()
        asyncio.set_event_loop(self.loop)
        self._ended = self.loop.create_future()
        self.loop.set_exception_handler(self._loop_failed)
        try:
            self.start()
            self.loop.add_reader(self._wake_read, self._woken)
            self.loop.add_reader(child.DEAD_FD, self._master_gone)
            self._listen(True)
            self.loop.run_until_complete(self._ended)
        finally:
            with contextlib.suppress(RuntimeError):
                self.loop.close()
        return 0

    @property
    def clients(self) -> int:
        """Clients being served now."""
        return len(self._clients)

    def done(self, accepted: Accepted) -> None:
        """A client has gone; take the next one."""
        if id(accepted) not in self._clients:
            return
        self._clients.discard(id(accepted))
        if self._may_accept():
            self.available += 1
            self._listen(True)
            self._tell()
        elif not self._clients:
            self._end()

    def _may_accept(self) -> bool:
        count = self.params.service_count
        return not self.closing and not self.last and (not count or self.handled < count)

    def _listen(self, on: bool) -> None:
        if on == self._listening:
            return
        self._listening = on
        for fd, (sock, listener) in self.sockets.items():
            if on:
                self.loop.add_reader(fd, self._readable, sock, listener)
            else:
                self.loop.remove_reader(fd)

    def _readable(self, sock: Any, listener: child.Listener) -> None:
        for _ in range(ACCEPTS_PER_ROUND if self.available > ACCEPTS_PER_ROUND else 1):
            if self.available <= 0:
                self._overflow()
                return
            accepted = self.accept(sock, listener)
            if accepted is None:
                return
            self._serve(accepted)
            if not self._may_accept():
                self._listen(False)
                return

    def _serve(self, accepted: Accepted) -> None:
        self.available -= 1
        self.handled += 1
        self._clients.add(id(accepted))
        accepted.sock.setblocking(False)
        if self.available <= 0 and not self._all_full():
            self._listen(False)
        self._tell()
        if accepted.haproxy:
            self._introduce(accepted)
        else:
            self._begin(accepted)

    def _introduce(self, accepted: Accepted) -> None:
        """The proxy speaks first."""

        def told(read: bool) -> None:
            self._introductions.pop(id(accepted), None)
            if read:
                self._begin(accepted)
            else:
                accepted.sock.close()
                self.done(accepted)

        if not haproxy.is_trusted(self, accepted):
            self.loop.call_soon(told, False)
            return
        waiting = haproxy.Introduction(self, self.loop, accepted, told)
        self._introductions[id(accepted)] = waiting

    def _begin(self, accepted: Accepted) -> None:
        try:
            self.spec.on_connection(self, accepted)
        except Exception as exc:  # noqa: BLE001 - the edge of one client: the others go on
            self.crashed("client failed", exc)
            accepted.sock.close()
            self.done(accepted)

    def pause_accepting(self) -> None:
        """accept() failed: the clients that we have go on, new ones wait."""
        self._listen(False)
        self.loop.call_later(ACCEPT_PAUSE_SECS, self._listen_again)

    def _listen_again(self) -> None:
        self._listen(self._may_accept() and self.available > 0)

    def _overflow(self) -> None:
        """A client waits and all login processes are full: make room, the next round accepts."""
        before = len(self._clients)
        self.spec.on_full(self)
        if len(self._clients) == before:
            self._listen(False)

    def _all_full(self) -> bool:
        """Login services: the offset of the shared file says that no process has room (features F-05)."""
        if self.params.type != "login":
            return False
        try:
            return os.lseek(child.NOTIFY_FD, 0, os.SEEK_CUR) == 1
        except OSError:
            return False

    def finish(self) -> None:
        """End when the present clients are done."""
        self._close()

    def signalled(self, number: int) -> None:
        """Only a note: the loop does the work."""
        self._caught.append(number)

    def _woken(self) -> None:
        self.drain_wakeup()
        caught, self._caught = self._caught, []
        for number in caught:
            if number == signal.SIGTERM:
                self._term()
            elif number == signal.SIGINT:
                self._int()
            elif number == signal.SIGUSR1:
                self._usr1()
            elif number == signal.SIGUSR2 and self.available <= 0:
                self.spec.on_full(self)

    def _usr1(self) -> None:
        self.spec.on_usr1(self)
        if self.params.type == "login":
            self._listen(self._may_accept() and (self.available > 0 or self._all_full()))

    def _tell(self) -> None:
        if not self.status.update(self.available) and self._late is None:
            self._late = self.loop.call_later(STATUS_DELAY_SECS, self._tell_late)

    def _tell_late(self) -> None:
        self._late = None
        self.status.flush(self.available)

    def _int(self) -> None:
        if not self._clients and not self.spec.stays_when_idle:
            self._close()

    def _term(self) -> None:
        if self.spec.outlives_master:
            return
        self.stopping = True
        self._close()

    def _master_gone(self) -> None:
        self.loop.remove_reader(child.DEAD_FD)
        if not self.spec.outlives_master:
            self._close()
            return
        # A new master must find nobody listening on its sockets.
        self._listen(False)
        self.stop_listening()
        self.closing = True

    def _close(self) -> None:
        self.closing = True
        self._listen(False)
        self.stop_listening()
        for waiting in list(self._introductions.values()):
            waiting.abort()
        try:
            self.spec.on_stop(self)
        except Exception as exc:  # noqa: BLE001 - stopping must go on
            self.crashed("on_stop failed", exc)
        if not self._clients:
            self._end()

    def _end(self) -> None:
        if not self._ended.done():
            self._ended.set_result(None)

    def _loop_failed(self, _loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        exc = context.get("exception")
        if isinstance(exc, BaseException):
            self.crashed(str(context.get("message", "loop")), exc)
        else:
            self.event.error(str(context.get("message", "loop failed")))
