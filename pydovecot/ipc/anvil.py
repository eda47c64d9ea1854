"""Client side of anvil: tell it who is connected, ask how often, and count failed logins by address.

Mail workers only tell (one way, over the pipe they inherited). Login processes and auth also ask, over a UNIX
socket that they connect before their jail.
"""

import asyncio
import os
import socket
from collections import deque
from collections.abc import Callable
from typing import Final

from pydovecot.base import tabescape
from pydovecot.event.event import Event

HANDSHAKE: Final = b"VERSION\tanvil\t1\t0\n"
MAX_REPLY: Final = 1024  # a count, or two numbers
ANSWER_SECS: Final = 5.0
MAX_WAITING: Final = 10_000  # questions without an answer: anvil hangs, answer them ourselves


def ident(service: str, remote_ip: str, user: str) -> str:
    """The name under which one user's sessions from one address are counted."""
    return f"{service}/{remote_ip}/{user}"


def send_connect(fd: int, name: str, pid: int | None = None) -> None:
    """Tell anvil of a session, over the inherited pipe (`context.anvil_fd()`; -1 does nothing)."""
    _send(fd, "CONNECT", name, pid)


def send_disconnect(fd: int, name: str, pid: int | None = None) -> None:
    """Tell anvil that a session is over. A process that dies without is cleaned up by the master."""
    _send(fd, "DISCONNECT", name, pid)


def _send(fd: int, verb: str, name: str, pid: int | None) -> None:
    if fd < 0:
        return
    line = tabescape.join_text([verb, str(os.getpid() if pid is None else pid), name])
    try:
        os.write(fd, line)  # below PIPE_BUF: atomic, the pipe is shared
    except OSError:
        return  # anvil is being replaced; a lost count must not cost a session


class AnvilClient:
    """Asks anvil from an asyncio process. Without anvil every answer is "none", as in Dovecot.

    Make and `connect` it before the jail, `start` it when the loop is there. `on_lost` is called once when
    anvil has gone; a login process cannot reach the socket again from its chroot.
    """

    def __init__(self, path: str, event: Event, on_lost: Callable[[], None] | None = None) -> None:
        self._path = path
        self._event = event
        self._on_lost = on_lost
        self._sock: socket.socket | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._waiting: deque[Callable[[bytes], None]] = deque()
        self._buffer = b""

    @property
    def connected(self) -> bool:
        """True while answers come from anvil."""
        return self._sock is not None

    def connect(self) -> bool:
        """Connect; False (and one log line) when it cannot be reached."""
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            sock.connect(self._path)
            sock.sendall(HANDSHAKE)
        except OSError as exc:
            sock.close()
            self._event.error(f"net_connect_unix({self._path}) failed: {exc.strerror}")
            return False
        sock.setblocking(False)
        self._sock = sock
        return True

    def start(self, loop: asyncio.AbstractEventLoop | None = None) -> None:
        """Read answers in `loop` (default: the process's loop)."""
        self._loop = loop or asyncio.get_event_loop()
        if self._sock is not None:
            self._loop.add_reader(self._sock, self._readable)

    def lookup(self, name: str, callback: Callable[[int], None]) -> None:
        """How many sessions `service/ip/user` has."""
        self._ask(["LOOKUP", name], lambda line: callback(_number(line)))

    def penalty_get(self, name: str, callback: Callable[[int, int], None]) -> None:
        """Failed logins of an address: the penalty, and when it was raised last (seconds, 0 never)."""

        def answer(line: bytes) -> None:
            penalty, _, last = line.partition(b" ")
            callback(_number(penalty), _number(last))

        self._ask(["PENALTY-GET", name], answer)

    def penalty_inc(self, name: str, checksum: int, value: int) -> None:
        """Set an address's penalty; the same `checksum` (of user and password) again changes nothing."""
        self._write(tabescape.join_text(["PENALTY-INC", name, str(checksum), str(value)]))

    def penalty_expire(self, seconds: int) -> None:
        """Penalties older than this are forgotten."""
        self._write(tabescape.join_text(["PENALTY-SET-EXPIRE-SECS", str(seconds)]))

    def close(self) -> None:
        """Disconnect; open questions are answered with "none"."""
        sock, self._sock = self._sock, None
        if sock is not None:
            if self._loop is not None:
                self._loop.remove_reader(sock)
            sock.close()
        waiting, self._waiting, self._buffer = self._waiting, deque(), b""
        for callback in waiting:
            callback(b"0")

    def _ask(self, fields: list[str], callback: Callable[[bytes], None]) -> None:
        if self._sock is None or len(self._waiting) >= MAX_WAITING:
            callback(b"0")
            return
        self._waiting.append(callback)
        self._write(tabescape.join_text(fields))

    def _write(self, line: bytes) -> None:
        if self._sock is None:
            return
        try:
            sent = self._sock.send(line)
        except OSError:
            sent = -1
        if sent != len(line):  # the socket's buffer holds thousands of lines: anvil hangs
            self._lost()

    def _readable(self) -> None:
        if self._sock is None:
            return
        try:
            data = self._sock.recv(65536)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            data = b""
        if not data:
            self._lost()
            return
        *lines, self._buffer = (self._buffer + data).split(b"\n")
        for line in lines:
            if self._waiting:
                self._waiting.popleft()(line)
        if len(self._buffer) > MAX_REPLY:
            self._lost()

    def _lost(self) -> None:
        if self._sock is None:
            return
        self.close()
        if self._on_lost is not None:
            self._on_lost()


class AnvilQuestions:
    """Asks anvil from a process that waits for the answer. Without anvil it is "none", logged once."""

    def __init__(self, path: str, event: Event) -> None:
        self._path, self._event = path, event
        self._sock: socket.socket | None = None
        self._told = False

    def lookup(self, name: str) -> int:
        """How many sessions there are under that name."""
        try:
            if self._sock is None:
                self._connect()
            assert self._sock is not None
            self._sock.sendall(tabescape.join_text(["LOOKUP", name]))
            answer = b""
            while not answer.endswith(b"\n"):
                data = self._sock.recv(MAX_REPLY)
                if not data:
                    raise ConnectionError(0, "Connection closed")
                answer += data
        except OSError as exc:
            self.close()
            if not self._told:
                self._event.error(f"anvil: {self._path}: {exc.strerror or exc}")
            self._told = True
            return 0
        return _number(answer.rstrip(b"\n"))

    def _connect(self) -> None:
        self._sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._sock.settimeout(ANSWER_SECS)
        self._sock.connect(self._path)
        self._sock.sendall(HANDSHAKE)

    def close(self) -> None:
        """Disconnect; the next question connects anew."""
        if self._sock is not None:
            self._sock.close()
        self._sock = None


def _number(text: bytes) -> int:
    return int(text) if text.isdigit() and len(text) < 20 else 0
