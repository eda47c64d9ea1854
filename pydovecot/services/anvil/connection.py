"""Sockets and pipes of anvil: cut the input into lines, send what the protocol answers."""

import asyncio
import os
from collections.abc import Callable

from pydovecot.event.event import Event
from pydovecot.event.wire import clean
from pydovecot.services.anvil.protocol import MAX_LINE, Anvil, BadCommandError, is_handshake


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


class Client(asyncio.Protocol):
    """One connection of the anvil or anvil-auth-penalty socket."""

    def __init__(self, reader: LineReader, on_closed: Callable[[], None]) -> None:
        self._reader = reader
        self._on_closed = on_closed
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Start."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Answer; a peer that does not read its answers is cut off by asyncio's own pause."""
        assert self._transport is not None
        go_on = self._reader.feed(data)
        if self._reader.output:
            self._transport.write(self._reader.output)
            self._reader.output = b""
        if not go_on or self._transport.get_write_buffer_size() > 4_000_000:
            self._transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        """The end."""
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


