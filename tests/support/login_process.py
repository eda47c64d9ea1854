"""A LoginProcess on real sockets, in a thread of the test, with a small auth server and mail worker.

The auth server speaks the auth-client protocol (any user, password "wonder"); the worker takes the handover
with the real code and then answers each line with `echo: line`.
"""

import asyncio
import base64
import os
import shutil
import socket
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pydovecot.event.event import Event
from pydovecot.event.sinks import ListSink
from pydovecot.login.handover import HandoverReply, HandoverRequest
from pydovecot.login.mail_session import receive
from pydovecot.login.process import LoginProcess, LoginProtocol, prepare_tls
from pydovecot.runtime.context import Accepted
from pydovecot.settings.view import SettingsView

COOKIE = bytes(range(16))
MAIL_PID = 4711


class FakeContext:
    """What a login process needs of runtime.context.Context."""

    def __init__(self, run: Path, protocol: str, view: SettingsView, event: Event) -> None:
        self.service, self.protocol, self.settings, self.event = f"{protocol}-login", protocol, view, event
        self.views: dict[str, SettingsView] = {}  # by local_name
        self.state: Any = None
        self.shared: Any = None
        self.stopping = self.closing = False
        self.shutdown_clients = True
        self.titles: list[str] = []
        self.finished: list[Accepted] = []
        self._run = run

    def settings_for(self, *, local_ip: str = "", remote_ip: str = "", local_name: str = "") -> SettingsView:
        return self.views.get(local_name, self.settings)

    def run_path(self, *parts: str) -> str:
        return str(self._run.joinpath(*parts))

    def finish(self) -> None:
        self.closing = True

    def set_title(self, text: str) -> None:
        self.titles.append(text)

    def done(self, accepted: Accepted) -> None:
        self.finished.append(accepted)


class FakeAuth(asyncio.Protocol):
    """One connection to the auth server."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._buffer = b""
        transport.write(
            b"VERSION\t1\t2\nMECH\tPLAIN\tplaintext\nMECH\tLOGIN\tplaintext\n"
            b"MECH\tAPOP\tprivate\tdictionary\tactive\n"
            b"SPID\t77\nCUID\t1\nCOOKIE\t" + COOKIE.hex().encode() + b"\nDONE\n"
        )

    def data_received(self, data: bytes) -> None:
        *lines, self._buffer = (self._buffer + data).split(b"\n")
        for line in lines:
            fields = line.split(b"\t")
            if fields[0] == b"AUTH":
                response = next(f[5:] for f in fields if f.startswith(b"resp="))
                _, user, password = base64.b64decode(response).split(b"\0")
                verdict = b"OK" if password == b"wonder" else b"FAIL"
                self._transport.write(verdict + b"\t" + fields[1] + b"\tuser=" + user + b"\n")


class LoginServer:
    """Start with a view of settings; `connect` gives clients."""

    def __init__(
        self,
        protocol: LoginProtocol,
        view: SettingsView,
        *,
        serve: Callable[[socket.socket, HandoverRequest], None] | None = None,
    ) -> None:
        self.run_dir = Path(tempfile.mkdtemp(prefix="pdlogin"))
        (self.run_dir / "login").mkdir()
        self.sink = ListSink()
        self.event = Event(self.sink)
        self.context: Any = FakeContext(self.run_dir, protocol.name, view, self.event)
        self.requests: list[HandoverRequest] = []
        self.silent_workers = 0  # so many handovers end without an answer
        self._serve = serve or echo
        self._protocol = protocol
        self._loop = asyncio.new_event_loop()
        self._listeners: list[tuple[socket.socket, bool]] = []
        self._worker = socket.socket(socket.AF_UNIX)
        self._worker.bind(str(self.run_dir / "login" / protocol.name))
        self._worker.listen(200)
        self._started = threading.Event()
        self._threads = [
            threading.Thread(target=self._run, daemon=True),
            threading.Thread(target=self._work, daemon=True),
        ]
        self.process: LoginProcess

    def __enter__(self) -> "LoginServer":
        for thread in self._threads:
            thread.start()
        assert self._started.wait(10)
        return self

    def __exit__(self, *_exc: object) -> None:
        self.call(self._stop)
        self._worker.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(10)
        self._worker.close()
        self._loop.close()
        shutil.rmtree(self.run_dir)

    def call(self, function: Callable[[], Any]) -> Any:
        """Run in the loop's thread; its result."""
        done: list[Any] = []
        ready = threading.Event()

        def run() -> None:
            done.append(function())
            ready.set()

        self._loop.call_soon_threadsafe(run)
        assert ready.wait(10)
        return done[0]

    def connect(self, *, tls: bool = False, source: str = "127.0.0.1") -> socket.socket:
        """A client's socket; `tls`: of the port that speaks TLS from the start."""
        port = self._listeners[tls][0].getsockname()[1]
        sock = socket.create_connection(("127.0.0.1", port), timeout=60, source_address=(source, 0))
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return sock

    def log(self) -> str:
        """All lines so far."""
        return "\n".join(text for _level, text, *_ in self.sink.lines)

    # --- threads ---------------------------------------------------------------------------------------

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_until_complete(self._start())
        self._started.set()
        self._loop.run_forever()

    async def _start(self) -> None:
        self._auth = await self._loop.create_unix_server(FakeAuth, str(self.run_dir / "login" / "login"))
        prepare_tls(self.context)
        self.process = LoginProcess(self.context, self._protocol)
        self.context.state = self.process
        self.process.before_jail()
        self.process.after_jail()
        for tls in (False, True):
            listener = socket.create_server(("127.0.0.1", 0))
            listener.setblocking(False)
            self._listeners.append((listener, tls))
            self._loop.add_reader(listener, self._accept, listener, tls)
        while not self.process.auth.ready:
            await asyncio.sleep(0.01)

    def _accept(self, listener: socket.socket, tls: bool) -> None:
        sock, peer = listener.accept()
        sock.setblocking(False)
        here = sock.getsockname()
        self.process.connected(Accepted(sock, self._protocol.name, tls, here[0], here[1], peer[0], peer[1]))

    def _stop(self) -> None:
        self.context.stopping = True
        self.process.stop()
        self.process.auth.close()
        self._auth.close()
        for listener, _ in self._listeners:
            self._loop.remove_reader(listener)
            listener.close()
        self._loop.call_later(0.05, self._loop.stop)

    def _work(self) -> None:
        while True:
            try:
                peer, _ = self._worker.accept()
            except OSError:
                return
            threading.Thread(target=self._work_on, args=(peer,), daemon=True).start()

    def _work_on(self, peer: socket.socket) -> None:
        with peer:
            peer.settimeout(60)
            received = receive(peer, self.event)
            if received is None:
                return
            request, client = received
            self.requests.append(request)
            if self.silent_workers:
                self.silent_workers -= 1
                client.close()
                return
            peer.sendall(HandoverReply(request.tag, True, MAIL_PID).encode())
        with client:
            client.setblocking(True)
            self._serve(client, request)


def echo(client: socket.socket, request: HandoverRequest) -> None:
    """Greets with the tag, then gives each line back."""
    client.sendall(request.command_tag + b" OK Logged in\r\n")
    buffer = request.input
    while True:
        while b"\n" in buffer:
            line, _, buffer = buffer.partition(b"\n")
            client.sendall(b"echo: " + line + b"\n")
            if line.startswith(b"bye"):
                return
        data = client.recv(65536)
        if not data:
            return
        buffer += data


def read_line(sock: Any) -> bytes:
    """One line from a socket or a TLS connection; what came before the end of the data."""
    data = b""
    while not data.endswith(b"\n"):
        more = sock.recv(1)
        if not more:
            return data
        data += more
    return data


def open_fds() -> int:
    """How many descriptors this process has."""
    return len(os.listdir("/proc/self/fd"))
