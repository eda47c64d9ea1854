"""Cuts the client's bytes into commands and message data; any splitting of the input gives the same.

    reader.feed(data)
    while (event := reader.next_event()) is not None: ...

A command that is followed by data says so before the next event is asked for: `expect_data` (DATA) or
`expect_chunk` (BDAT). Message data comes as `Chunk`s and ends with `End`.
"""

import re
from dataclasses import dataclass
from typing import Final

MAX_LINE_BYTES: Final = 4096  # RFC 5321 4.5.3.1.4 wants 512; extensions need more
# RFC 5321 4.1.1: a verb, and behind a blank its parameters, without control characters.
_COMMAND: Final = re.compile(rb"([A-Za-z]{1,32})(?: (?! )([^\x00-\x1f\x7f]*))?")
_TERMINATOR: Final = b"\r\n.\r\n"
_HELD: Final = len(_TERMINATOR) - 1  # bytes that may be the beginning of it


@dataclass(frozen=True, slots=True)
class Command:
    """`verb` in upper case."""

    verb: bytes
    args: bytes


@dataclass(frozen=True, slots=True)
class BadCommand:
    """A line that is no command: too long, or with octets that none has."""


@dataclass(frozen=True, slots=True)
class Chunk:
    """Octets of the message, dot-stuffing undone."""

    data: bytes


@dataclass(frozen=True, slots=True)
class End:
    """The message, or this chunk of it, is complete."""


Event = Command | BadCommand | Chunk | End


class SmtpReader:
    """One connection's input."""

    def __init__(self) -> None:
        self._buffer = b""
        self._skipping = False  # the rest of a line that is too long
        self._left = -1  # octets of the chunk to come; -1: no chunk
        self._data = False
        self._line_start = False  # the data before the buffer ended a line

    @property
    def in_data(self) -> bool:
        """The client is in the middle of a message."""
        return self._data or self._left >= 0

    def feed(self, data: bytes) -> None:
        """Take in what the client sent."""
        self._buffer = self._buffer + data if self._buffer else data

    def drop_input(self) -> None:
        """Forget what came before TLS begins: RFC 3207 6."""
        self._buffer = b""

    def expect_data(self) -> None:
        """DATA was accepted: a message follows, ended by a line with a dot."""
        self._data, self._line_start = True, True

    def expect_chunk(self, octets: int) -> None:
        """BDAT: so many octets follow."""
        self._left = octets

    def next_event(self) -> Event | None:
        """The next event of what was fed; None: more is needed."""
        if self._data:
            return self._next_data()
        if self._left >= 0:
            return self._next_chunk()
        return self._next_line()

    def _next_line(self) -> Event | None:
        at = self._buffer.find(b"\n")
        if at < 0:
            if len(self._buffer) > MAX_LINE_BYTES:
                self._skipping, self._buffer = True, b""
            elif self._skipping:
                self._buffer = b""
            return None
        line, self._buffer = self._buffer[:at], self._buffer[at + 1 :]
        if self._skipping or len(line) > MAX_LINE_BYTES:
            self._skipping = False
            return BadCommand()
        line = line.removesuffix(b"\r")
        if not line or line.startswith(b" "):
            return Command(b"", line)
        found = _COMMAND.fullmatch(line)
        return BadCommand() if found is None else Command(found[1].upper(), found[2] or b"")

    def _next_chunk(self) -> Event | None:
        if self._left == 0:
            self._left = -1
            return End()
        if not self._buffer:
            return None
        data, self._buffer = self._buffer[: self._left], self._buffer[self._left :]
        self._left -= len(data)
        return Chunk(data)

    def _next_data(self) -> Event | None:
        """RFC 5321 4.5.2. Lines end with CRLF only: what the MTA takes for one message is one here too."""
        buffer = self._buffer
        if self._line_start and buffer[:3] == b".\r\n":
            self._buffer, self._data = buffer[3:], False
            return End()
        end = buffer.find(_TERMINATOR)
        if end >= 0:
            self._buffer = b".\r\n" + buffer[end + len(_TERMINATOR) :]
            return Chunk(self._unstuffed(buffer[: end + 2]))
        size = len(buffer) - _HELD
        if size > 0 and buffer[size - 1 : size] == b"\r":
            size -= 1  # its LF and the dot behind it belong together
        if size <= 0:
            return None
        self._buffer = buffer[size:]
        return Chunk(self._unstuffed(buffer[:size]))

    def _unstuffed(self, data: bytes) -> bytes:
        stuffed = self._line_start and data.startswith(b".")
        self._line_start = data.endswith(b"\r\n")
        return data[stuffed:].replace(b"\r\n.", b"\r\n")
