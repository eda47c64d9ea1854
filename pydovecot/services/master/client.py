"""The UNIX socket base_dir/master: `doveadm process status` and `doveadm service` use it (features F-16)."""

import signal
import socket
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Final

from pydovecot.base import tabescape
from pydovecot.event.wire import clean
from pydovecot.services.master.world import World

if TYPE_CHECKING:
    from pydovecot.services.master.generation import Generation
    from pydovecot.services.master.service import Service

GREETING: Final = b"VERSION\tmaster-server\t1\t0\n"
MAX_LINE: Final = 8192
MAX_CLIENTS: Final = 32


class Clients:
    """The listener and all connections of the master socket."""

    def __init__(self, world: World, current: "Callable[[], Generation]", fd: int) -> None:
        self._world = world
        self._current = current
        self._socket = socket.socket(fileno=fd)
        self._open: dict[int, _Client] = {}
        world.loop.add_reader(fd, self._accept)

    def close(self) -> None:
        """No more clients."""
        for client in list(self._open.values()):
            self.drop(client)
        self._world.loop.remove_reader(self._socket.fileno())
        self._socket.close()

    def drop(self, client: "_Client") -> None:
        """Close one connection."""
        fd = client.sock.fileno()
        self._world.loop.remove_reader(fd)
        self._open.pop(fd, None)
        client.sock.close()

    def error(self, text: str) -> None:
        """Say what a client did wrong."""
        self._world.event.error(f"master-client: {text}")

    def _accept(self) -> None:
        try:
            sock = self._socket.accept()[0]
        except OSError:
            return
        if len(self._open) >= MAX_CLIENTS:
            sock.close()
            return
        sock.setblocking(False)
        client = _Client(self, sock)
        self._open[sock.fileno()] = client
        self._world.loop.add_reader(sock.fileno(), client.readable)
        client.send(GREETING)

    def answer(self, line: bytes) -> bytes | None:
        """Do a command; None when there is no such command."""
        verb, *names = tabescape.split_text(line)
        generation = self._current()
        wanted = [s for s in generation.services if not names or s.name in names]
        if verb == "PROCESS-STATUS":
            return _table(row for service in wanted for row in _processes(service))
        if verb == "SERVICE-STATUS":
            return _table(_service_row(service) for service in wanted)
        if verb == "STOP" and names:
            for service in wanted:
                service.stopped = True
                service.listen_stop()
                service.signal(signal.SIGTERM)
            return b"+\n" if len(wanted) == len(names) else b"-\n"
        return None


class _Client:
    """One connection: a handshake, then commands."""

    def __init__(self, owner: Clients, sock: socket.socket) -> None:
        self._owner = owner
        self.sock = sock
        self._buffer = b""
        self._greeted = False

    def send(self, data: bytes) -> None:
        """Send a whole answer; a client that does not read it is dropped."""
        try:
            sent = self.sock.send(data)
        except OSError:
            sent = -1
        if sent != len(data):
            self._owner.drop(self)

    def readable(self) -> None:
        """Take input."""
        try:
            data = self.sock.recv(MAX_LINE)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._owner.drop(self)
            return
        *lines, self._buffer = (self._buffer + data).split(b"\n")
        if len(self._buffer) > MAX_LINE:
            self._owner.error("BUG: client sent too much data")
            self._owner.drop(self)
            return
        for line in lines:
            if self.sock.fileno() < 0 or not self._line(line):
                return

    def _line(self, line: bytes) -> bool:
        if not self._greeted:
            self._greeted = line.startswith(b"VERSION\tmaster-client\t1\t")
            if not self._greeted:
                shown = clean(line[:80].decode("utf-8", "replace"))
                self._owner.error(f"Client not compatible with this server: {shown}")
                self._owner.drop(self)
            return self._greeted
        answer = self._owner.answer(line)
        if answer is None:
            verb = line.split(b"\t")[0][:80].decode("utf-8", "replace")
            self._owner.error(f"Unknown command: {clean(verb)}")
            self._owner.drop(self)
            return False
        self.send(answer)
        return True


def _table(rows: Iterator[Sequence[object]]) -> bytes:
    return b"".join(tabescape.join_text(map(str, row)) for row in rows) + b"\n"


def _processes(service: "Service") -> Iterator[Sequence[object]]:
    for child in service.children.values():
        yield (
            service.name,
            child.pid,
            child.available,
            child.total,
            int(child.idle_start),
            int(child.last_status),
            int(child.last_kill),
        )


def _service_row(service: "Service") -> Sequence[object]:
    config = service.config
    return (
        service.name,
        service.count,
        service.avail,
        config.process_limit,
        config.client_limit,
        service.throttle_left,
        service.exit_failure_last,
        service.exit_failures_in_sec,
        int(service.last_drop_warning),
        "ny"[service.listen_pending],
        "ny"[service.listening],
        "ny"[service.stopped],
        service.count_total,
    )


