"""Conversations with auth sockets: in memory, with our process tree, with an installed Dovecot.

A script (tests/transcripts/auth/*.auth) is played line by line; \\t, \\0 and \\xNN are escapes everywhere:

    # comment
    @conf basic               settings in basic.conf, users in basic.passwd ({dir} is its folder)
    @open c auth-client       connect; the server's greeting must be read
    @hello c auth-client 4242 connect, read the greeting (its cookie is %{c.cookie}), say VERSION and CPID
    @wait 4                   time passes (memory: the clock is moved)
    c> AUTH\\t1\\tPLAIN\\tservice=imap\\tresp={b64:\\0alice\\0wonder}
    c< OK\\t1\\tuser=alice     this line comes next; %{*} is any text, %{name:regex} and %{name} capture
    c=                        nothing comes
    c!                        the server closes
    log passwd-file(bob,10.0.0.1): Password mismatch
    @only ours memory         the rest is for these harnesses only; "@only" alone: for all again
"""

import base64
import contextlib
import os
import re
import socket
import tempfile
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from pydovecot.authdb.database import Database
from pydovecot.event.event import Event, Level
from pydovecot.services.auth.client_session import ClientSession
from pydovecot.services.auth.main import socket_kind
from pydovecot.services.auth.master_session import MasterSession, Peer
from pydovecot.services.auth.mechanisms import choose
from pydovecot.services.auth.penalty import Penalties, PenaltyStore
from pydovecot.services.auth.server import AuthServer, Workers, World
from pydovecot.settings import parser, wire
from pydovecot.settings.view import SettingsView

FOLDER = Path(__file__).resolve().parents[1] / "transcripts" / "auth"
LINE_SECS = 60.0
SILENCE_SECS = 0.25


def view_of(text: str) -> SettingsView:
    """Settings of a configuration as the auth process gets them."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "dovecot.conf"
        path.write_text(text)
        return wire.ServiceSettings(wire.render(parser.parse(str(path), expand=True), "auth", "")).view


# -- in memory


@dataclass(order=True)
class Timer:
    """A call that is due at a time."""

    due: float
    number: int
    call: Callable[[], object] = field(compare=False)

    def cancel(self) -> None:
        self.call = lambda: None


class FakeTimers:
    """A clock that stands still until it is moved."""

    def __init__(self, now: float = 1_700_000_000.0) -> None:
        self.now, self._timers, self._count = now, list[Timer](), 0

    def call_later(self, delay: float, callback: Callable[..., object], *args: object) -> Timer:
        self._count += 1
        timer = Timer(self.now + delay, self._count, lambda: callback(*args))
        self._timers.append(timer)
        return timer

    def advance(self, seconds: float) -> None:
        """Move the clock; what is due on the way is called."""
        end = self.now + seconds
        while due := [timer for timer in self._timers if timer.due <= end]:
            first = min(due)
            self._timers.remove(first)
            self.now = max(self.now, first.due)
            first.call()
        self.now = end


class MemoryConnection:
    """One session; what it writes is kept."""

    def __init__(self, cut: int) -> None:
        self.cut, self.out, self.closed = cut, b"", False
        self.session: ClientSession | MasterSession

    def write(self, data: bytes) -> None:
        self.out += data

    def close(self) -> None:
        if not self.closed:
            self.closed = True
            self.session.gone()

    def send(self, data: bytes) -> None:
        size = self.cut or len(data)
        for start in range(0, len(data), size):
            if self.closed:
                return
            self.session.feed(data[start : start + size])


class MemoryAuth:
    """The auth service without processes and sockets. `cut`: bytes of input that come at once, 0: all."""

    name = "memory"

    def __init__(
        self,
        conf: str,
        *,
        cut: int = 0,
        store: PenaltyStore | None = None,
        workers: Workers | None = None,
        with_workers: bool = False,
    ) -> None:
        self.lines: list[str] = []
        self.timers = FakeTimers()
        self.cut = cut
        words = {Level.INFO: "Info", Level.ERROR: "Error", Level.WARNING: "Warning", Level.DEBUG: "Debug"}
        self.event = Event(
            lambda level, text, _fields: self.lines.append(f"auth: {words.get(level, level.name)}: {text}"),
            debug=True,
        )
        view = view_of(conf)
        self.database = Database(view, self.event, workers=with_workers, now=lambda: self.timers.now)
        world = World("host", 4711, lambda: self.timers.now, os.urandom, int(self.timers.now))
        self.server = AuthServer(
            self.database, choose(self.database, self.event), self.event, self.timers, world,
            workers=workers, penalties=Penalties(store, world.now),
        )  # fmt: skip

    def log_text(self) -> str:
        return "\n".join(self.lines)

    def connect(self, name: str, peer: Peer | None = None) -> MemoryConnection:
        """Open a socket by its name."""
        connection = MemoryConnection(self.cut)
        kind = socket_kind(name)
        if kind in ("master", "userdb"):
            connection.session = MasterSession(
                self.server, connection.write, connection.close,
                userdb_only=kind == "userdb", path=f"/run/{name}", peer=peer or Peer(),
            )  # fmt: skip
        else:
            connection.session = ClientSession(
                self.server, connection.write, connection.close, login=kind == "login"
            )
        connection.write(connection.session.hello())
        return connection

    def line(self, connection: "Connection", seconds: float) -> bytes | None:
        """The next line within that time; None: none; b"": closed."""
        assert isinstance(connection, MemoryConnection)
        waited = 0.0
        while b"\n" not in connection.out:
            if connection.closed:
                return b""
            if waited >= seconds:
                return None
            self.timers.advance(0.1)
            waited += 0.1
        line, _, connection.out = connection.out.partition(b"\n")
        return line + b"\n"

    def wait(self, seconds: float) -> None:
        self.timers.advance(seconds)


# -- over sockets


class SocketConnection:
    """A UNIX socket of a running server."""

    def __init__(self, path: str) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        try:
            self.sock.connect(path)
        except OSError:
            self.sock.close()
            raise
        self.rest = b""

    def close(self) -> None:
        self.sock.close()

    def send(self, data: bytes) -> None:
        with contextlib.suppress(OSError):
            self.sock.sendall(data)


class SocketAuth:
    """A running server: ours or Dovecot's."""

    def __init__(self, name: str, run: Path, log_text: Callable[[], str]) -> None:
        self.name, self._run, self.log_text = name, run, log_text

    def connect(self, name: str) -> SocketConnection:
        return SocketConnection(str(self._run / name))

    def line(self, connection: "Connection", seconds: float) -> bytes | None:
        assert isinstance(connection, SocketConnection)
        deadline = time.monotonic() + seconds
        while b"\n" not in connection.rest:
            left = deadline - time.monotonic()
            if left <= 0:
                return None
            connection.sock.settimeout(left)
            try:
                data = connection.sock.recv(65536)
            except TimeoutError:
                return None
            except OSError:
                return b""  # reset: closed with input unread
            if not data:
                return b""
            connection.rest += data
        line, _, connection.rest = connection.rest.partition(b"\n")
        return line + b"\n"

    def wait(self, seconds: float) -> None:
        time.sleep(seconds)


Connection = MemoryConnection | SocketConnection


class Harness(Protocol):
    """What a script is played on."""

    name: str

    def log_text(self) -> str: ...
    def connect(self, name: str) -> Connection: ...
    def line(self, connection: Connection, seconds: float) -> bytes | None: ...
    def wait(self, seconds: float) -> None: ...


# -- scripts


def conf_name(script: Path) -> str:
    """The @conf of a script."""
    found = re.search(r"^@conf (\S+)", script.read_text(), re.MULTILINE)
    assert found, f"{script} names no @conf"
    return found[1]


def conf_of(name: str, folder: Path) -> str:
    """The settings of a @conf; its users file is written to `folder`."""
    for users in FOLDER.glob(f"{name}.passwd*"):
        target = folder / users.name
        target.write_text(users.read_text())
        target.chmod(0o644)
    return (FOLDER / f"{name}.conf").read_text().replace("{dir}", str(folder))


class Player:
    """Plays one script on one harness; AssertionError names the line."""

    def __init__(self, script: Path, harness: Harness) -> None:
        self._script, self._harness = script, harness
        self._connections: dict[str, Connection] = {}
        self._captured: dict[str, str] = {"pid": str(os.getpid())}
        self._active = True
        self._all: list[Connection] = []

    def play(self) -> None:
        """Play all of it."""
        try:
            self._lines()
        finally:
            for connection in self._all:
                connection.close()

    def _lines(self) -> None:
        for number, line in enumerate(self._script.read_text().splitlines(), 1):
            if not line or line.startswith("#"):
                continue
            if line.startswith("@only"):
                names = line.split()[1:]
                self._active = not names or self._harness.name in names
            elif self._active:
                try:
                    self._step(line)
                except AssertionError as exc:
                    raise AssertionError(f"{self._script.name}:{number}: {line}\n{exc}") from exc

    def _step(self, line: str) -> None:
        word, _, rest = line.partition(" ")
        if word == "@open":
            name, where = rest.split()
            self._connect(name, where)
        elif word == "@hello":
            self._hello(*rest.split())
        elif word == "@wait":
            self._harness.wait(float(rest))
        elif word == "log":
            self._expect_log(self._text(rest).decode("latin-1"))
        elif word[-1] == ">":
            self._connections[word[:-1]].send(self._text(rest) + b"\n")
        elif word[-1] == "<":
            self._expect(word[:-1], rest)
        elif word[-1] == "=":
            got = self._harness.line(self._connections[word[:-1]], SILENCE_SECS)
            assert got is None, f"got: {got!r}"
        elif word[-1] == "!":
            got = self._harness.line(self._connections[word[:-1]], LINE_SECS)
            assert got == b"", f"got: {got!r}"
        elif word != "@conf":
            raise AssertionError("unknown line")

    def _connect(self, name: str, where: str) -> Connection:
        connection = self._connections[name] = self._harness.connect(where)
        self._all.append(connection)
        return connection

    def _hello(self, name: str, where: str, pid: str = "") -> None:
        connection = self._connect(name, where)
        while True:
            line = self._harness.line(connection, LINE_SECS)
            assert line, "no greeting"
            if line.startswith(b"COOKIE"):
                self._captured[f"{name}.cookie"] = line.split()[1].decode()
            if line.startswith(b"DONE") or (not pid and line.startswith(b"SPID")):
                break
        connection.send(f"VERSION\t1\t2\nCPID\t{pid}\n".encode() if pid else b"VERSION\t1\t1\n")

    def _text(self, text: str) -> bytes:
        """Escapes, captures and {b64:...} of a line."""
        text = re.sub(r"%\{([\w.]+)\}", lambda m: self._captured[m[1]], text)
        raw = text.encode("latin-1").decode("unicode_escape").encode("latin-1")
        return re.sub(rb"\{b64:([^}]*)\}", lambda m: base64.b64encode(m[1]), raw)

    def _expect(self, name: str, wanted: str) -> None:
        got = self._harness.line(self._connections[name], LINE_SECS)
        assert got, f"got: {got!r}"
        text = got.rstrip(b"\n").decode("latin-1")
        found = re.fullmatch(self._pattern(wanted), text)
        assert found, f"got: {text!r}"
        self._captured.update({key.replace("__", "."): value for key, value in found.groupdict().items()})

    def _pattern(self, wanted: str) -> str:
        parts = re.split(r"%\{([^}]*)\}", wanted)
        pattern = ""
        for index, part in enumerate(parts):
            if index % 2 == 0:
                pattern += re.escape(self._text(part).decode("latin-1"))
            elif part == "*":
                pattern += ".*"
            elif ":" in part:
                key, _, expression = part.partition(":")
                pattern += f"(?P<{key}>{expression})"
            else:
                pattern += re.escape(self._captured[part])
        return pattern

    def _expect_log(self, text: str) -> None:
        for _ in range(600):
            if text in self._harness.log_text():
                return
            self._harness.wait(0.1)
        raise AssertionError(f"not in the log:\n{self._harness.log_text()[-3000:]}")


def scripts() -> Iterable[Path]:
    """All scripts."""
    return sorted(FOLDER.glob("*.auth"))
