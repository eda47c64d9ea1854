"""Cuts the client's bytes into commands; any splitting of the input gives the same commands."""

import re
from dataclasses import dataclass
from enum import Enum
from typing import Final

MAX_LINE_BYTES: Final = 2048  # Dovecot's input buffer; its line feed must be within


class Wanted(Enum):
    """What next_event returns when there is no command."""

    NEED_DATA = "more bytes"
    LINE_TOO_LONG = "line too long"  # final: the connection is over


@dataclass(frozen=True, slots=True)
class Command:
    """`name` in upper case, empty for an empty line; `args` without leading blanks."""

    name: bytes
    args: bytes


class CommandReader:
    """Feed bytes, ask for commands until NEED_DATA."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._at = 0  # consumed part of the buffer

    def feed(self, data: bytes) -> None:
        """Take in what the client sent."""
        if self._at:
            del self._buffer[: self._at]
            self._at = 0
        self._buffer += data

    def next_event(self) -> Command | Wanted:
        """The next command of what was fed."""
        buffer, start = self._buffer, self._at
        end = buffer.find(b"\n", start, start + MAX_LINE_BYTES)
        if end < 0:
            return Wanted.LINE_TOO_LONG if len(buffer) - start >= MAX_LINE_BYTES else Wanted.NEED_DATA
        self._at = end + 1
        if end > start and buffer[end - 1] == 0x0D:
            end -= 1
        line = bytes(buffer[start:end])
        # As Dovecot: a NUL ends the line, whatever follows.
        line, _, _ = line.partition(b"\0")
        name, _, args = line.partition(b" ")
        return Command(name.upper(), args.lstrip(b" "))


class BadArgument(Exception):
    """The text of the -ERR answer."""


_NUMBER: Final = re.compile(rb"[0-9]+")
UINT_MAX: Final = 2**32 - 1
UINT64_MAX: Final = 2**64 - 1


def message_number(args: bytes, *, more: bool = False) -> tuple[int, bytes]:
    """A message number at the start of `args` and what follows it (`more`: a blank must follow).

    Raises BadArgument in Dovecot's words.
    """
    found = _NUMBER.match(args)
    if found is None:
        raise BadArgument(f"Invalid message number: {text(args)}")
    rest = args[found.end() :]
    # The digits of a number longer than 20 are not worth converting.
    if len(found[0].lstrip(b"0")) > 20 or int(found[0]) > UINT64_MAX:
        raise BadArgument(f"Message number too large: {text(args)}")
    if int(found[0]) > UINT_MAX:
        raise BadArgument(f"Message number too large: {text(rest)}")
    if not (rest.startswith(b" ") if more else not rest):
        raise BadArgument(f"Noise after message number: {text(rest)}")
    return int(found[0]), rest.lstrip(b" ")


def line_count(args: bytes) -> int:
    """The second argument of TOP. Raises BadArgument."""
    found = _NUMBER.match(args)
    if found is None:
        raise BadArgument(f"Invalid size: {text(args)}")
    if len(found[0].lstrip(b"0")) > 20 or int(found[0]) > UINT64_MAX:
        raise BadArgument(f"Size too large: {text(args)}")
    if found.end() != len(args):
        raise BadArgument(f"Noise after size: {text(args[found.end() :])}")
    return int(found[0])


def text(raw: bytes) -> str:
    """Client bytes inside a text of ours; `encode.error` gives the same bytes back."""
    return raw.decode("utf-8", "surrogateescape")
