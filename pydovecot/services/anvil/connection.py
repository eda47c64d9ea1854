"""Sockets and pipes of anvil: cut the input into lines, send what the protocol answers."""

import asyncio
import os
import socket
from collections.abc import Callable
from typing import Final

from pydovecot.event.event import Event
from pydovecot.event.wire import clean
from pydovecot.services.anvil.protocol import MAX_LINE, Anvil, BadCommandError, is_handshake

LARGE_ANSWER: Final = 64 * 1024
DUMP_SECS: Final = 2.0  # the socket buffer takes most of it; a reader that sleeps is not worth waiting for


class LineReader:
    """Lines of one client, fifo or socket; the handshake comes first. `feed` returns False to close."""

    def __init__(self, anvil: Anvil, event: Event, *, master: bool = False, greeted: bool = False) -> None:
        self._anvil = anvil
        self._event = event
        self._master = master
        self._greeted = greeted
        self._buffer = b""
        self.output = b""

    def feed(self, data: bytes) -> bool:
        """Take input; answers are added to `output`."""
        *lines, self._buffer = (self._buffer + data).split(b"\n")
        for line in lines:
            if not self._line(line):
                return False
        if len(self._buffer) > MAX_LINE:
            self._event.error("BUG: Anvil client connection sent too much data")
            return False
        return True

    def _line(self, line: bytes) -> bool:
        if len(line) > MAX_LINE:
            self._event.error("BUG: Anvil client connection sent too much data")
            return False
        if not self._greeted:
            if not is_handshake(line):
                shown = clean(line[:80].decode("utf-8", "replace"))
                self._event.error(
                    f"Anvil client not compatible with this server (mixed old and new binaries?) {shown}"
                )
                return False
            self._greeted = True
            return True
        if self._master and line.startswith(b"VERSION\t"):
            return True  # every writer of the shared pipe may greet
        try:
            self.output += self._anvil.command(line, master=self._master)
        except BadCommandError as exc:
            self._event.error(f"Anvil client input error: {clean(str(exc))}")
            return False
        return True


class Client:
    """One connection of the anvil or anvil-auth-penalty socket.

    Plain descriptors in the loop instead of asyncio's transports: there is one for each login process, often
    for a single question.
    """

    def __init__(self, sock: socket.socket, reader: LineReader, on_closed: Callable[[], None]) -> None:
        self._sock = sock
        self._reader = reader
        self._on_closed = on_closed
        self._loop = asyncio.get_event_loop()
        self._loop.add_reader(sock.fileno(), self._readable)

    def _readable(self) -> None:
        try:
            data = self._sock.recv(4096)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            data = b""
        go_on = bool(data) and self._reader.feed(data)
        answer, self._reader.output = self._reader.output, b""
        if answer and not self._send(answer):
            go_on = False
        if not go_on:
            self.close()

    def _send(self, answer: bytes) -> bool:
        """Answers are small and wanted; a peer that lets them pile up in its socket buffer is cut off."""
        if len(answer) > LARGE_ANSWER:  # a dump for doveadm
            self._sock.setblocking(True)
            self._sock.settimeout(DUMP_SECS)
            try:
                self._sock.sendall(answer)
            except OSError:
                return False
            self._sock.setblocking(False)
            return True
        try:
            return self._sock.send(answer) == len(answer)
        except OSError:
            return False

    def close(self) -> None:
        """The end, from whichever side."""
        self._loop.remove_reader(self._sock.fileno())
        self._sock.close()
        self._on_closed()


class Pipe:
    """The pipe that mail and login processes share, or the master's own. Bad lines are logged and skipped."""

    def __init__(self, fd: int, make_reader: Callable[[], LineReader]) -> None:
        self.fd = fd
        self._make = make_reader
        self._reader = make_reader()
        os.set_blocking(fd, False)

    def readable(self) -> bool:
        """Take what is there; False at its end."""
        try:
            data = os.read(self.fd, 65536)
        except (BlockingIOError, InterruptedError):
            return True
        if not data:
            return False
        if not self._reader.feed(data):
            self._reader = self._make()  # other writers must not suffer for one
        self._reader.output = b""
        return True


