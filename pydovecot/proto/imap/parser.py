"""The IMAP stream cut into commands: bytes in, events out, any splitting. RFC 3501 2.2, RFC 7888.

Knows tags, names, lines and literals, and no command. Arguments are made of the text later (`tokens`), so
that an unknown command costs nothing. Literals of ordinary commands are collected, bounded together with the
line by `max_line`; commands named in `streaming` get theirs piece by piece: no message is held in memory.
"""

import re
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from enum import Enum
from typing import Final

from pydovecot.proto.imap.syntax import MAX_LITERAL_DIGITS, MAX_NAME_BYTES, MAX_TAG_BYTES, BadSyntax

LITERAL8_REFUSED: Final = "literal8 not allowed here"  # RFC 3516 4: only as a message

_LITERAL: Final = re.compile(rb"(?:^|[ (])(~?)\{([0-9]+)(\+?)\}\Z")
_TAG: Final = re.compile(rb'[^\x00-\x20(){%*"\\+\x7f-\xff]+')  # RFC 3501 9: any ASTRING-CHAR except "+"
_NAME: Final = re.compile(rb"[^\x00-\x20\x7f-\xff]+")
_COMPLETE_QUOTED: Final = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"', re.DOTALL)


@dataclass(frozen=True, slots=True)
class LiteralStart:
    """A literal of `size` octets comes; `sync`: only after the server's `+`."""

    size: int
    sync: bool
    binary: bool = False


@dataclass(slots=True)
class Command:
    """A command line. `text` are the arguments, with `{n}CRLF` where each of `literals` belongs.

    `stream`: the text ends with this literal, whose bytes must now be taken from the parser.
    """

    tag: bytes
    name: bytes  # upper case; UID commands: b"UID FETCH"
    text: bytes
    literals: list[bytes] = field(default_factory=list)
    stream: LiteralStart | None = None


@dataclass(frozen=True, slots=True)
class BadCommand:
    """A line that has no tag or no name; `tag` is empty when there was none."""

    tag: bytes
    where: str  # "IMAP tag" or "IMAP command"
    text: str


class Signal(Enum):
    """Events without content."""

    NEED_DATA = "need data"
    CONTINUE = "continue"  # a synchronising literal was announced: send "+"


Event = Command | BadCommand | Signal


class Parser:
    """One connection's input. `feed` bytes, then take events until NEED_DATA."""

    def __init__(
        self,
        max_line: int,
        *,
        streaming: AbstractSet[bytes] = frozenset(),
        known: AbstractSet[bytes] | None = None,
        literal_minus: bool = False,
    ) -> None:
        self._max_line = max_line
        self._streaming = streaming
        self._known = known  # other commands are refused before their literals are read
        self._literal_minus = literal_minus
        self._buffer = bytearray()
        self._scanned = 0  # of the buffer: no LF before this
        self._command: Command | None = None  # waiting for a literal or for what follows one
        self._literal_left = -1  # octets; -1: reading a line
        self._skipping = False  # dropping the rest of an overlong line
        self._size = 0  # of the command so far

    def feed(self, data: bytes) -> None:
        """Add input."""
        self._buffer += data

    @property
    def buffered(self) -> int:
        """Octets that no event has taken yet."""
        return len(self._buffer)

    def next_event(self) -> Event:
        """The next event; raises only BadSyntax, always fatal: the input can no longer be followed."""
        while True:
            if self._literal_left >= 0:
                if not self._collect_literal():
                    return Signal.NEED_DATA
                continue
            line = self._take_line()
            if line is None:
                return Signal.NEED_DATA
            if self._command is None:
                event = self._start(line)
            else:
                event = self._go_on(self._command, line)
            if event is not None:
                return event

    # Lines

    def _take_line(self) -> bytes | None:
        """One line without its end; None: not complete.

        An overlong line is given at once, cut, so that the client is told; what follows of it is dropped.
        """
        if self._skipping and not self._skip_line():
            return None
        end = self._buffer.find(b"\n", self._scanned)
        if end < 0:
            self._scanned = len(self._buffer)
            return self._cut_line() if self._scanned > self._longest else None
        if end > self._longest:  # however it came: what is told does not depend on it
            del self._buffer[self._longest : end]
            return self._cut_line()
        line = bytes(self._buffer[:end])
        del self._buffer[: end + 1]
        self._scanned = 0
        return line.rstrip(b"\r")

    @property
    def _longest(self) -> int:
        return self._max_line + MAX_TAG_BYTES + MAX_NAME_BYTES

    def _cut_line(self) -> bytes:
        """The beginning: tag and name are in it. Too long for any command, and never before a literal."""
        line = bytes(self._buffer[: self._longest]) + b" "
        del self._buffer[: self._longest]
        self._skipping = True
        self._scanned = 0
        return line

    def _skip_line(self) -> bool:
        """Drop what is there of the rest of a cut line; True when its end was there."""
        end = self._buffer.find(b"\n")
        del self._buffer[: end + 1 if end >= 0 else len(self._buffer)]
        self._skipping = end < 0
        return not self._skipping

    # Commands

    def _start(self, line: bytes) -> Event | None:
        tag, _, rest = line.partition(b" ")
        if len(tag) > MAX_TAG_BYTES or not _TAG.fullmatch(tag):
            self._swallow_literal(line)
            return BadCommand(b"", "IMAP tag", "Invalid tag")
        name, _, text = rest.partition(b" ")
        name = name.upper()
        if name == b"UID":
            name, _, text = text.partition(b" ")
            name = b"UID " + name.upper() if name else b""
        if not name or len(name) > MAX_NAME_BYTES or not _NAME.fullmatch(name.replace(b"UID ", b"", 1)):
            self._swallow_literal(line)
            return BadCommand(tag, "IMAP command", "Invalid command name")
        self._size = 0
        return self._go_on(Command(tag, name, b""), text)

    def _swallow_literal(self, line: bytes) -> None:
        """A rejected line may announce a non-synchronising literal: its bytes are no command."""
        literal = self._literal_at_end(line)
        if literal is not None:
            self._swallow(literal)

    def _swallow(self, literal: LiteralStart) -> None:
        if not literal.sync:
            self._command = Command(b"", b"", b"")
            self._literal_left = literal.size

    def _go_on(self, command: Command, text: bytes) -> Event | None:
        """`text` is the next piece of the command, up to its end or to a literal."""
        self._size += len(text)
        self._command = None
        streams = command.name in self._streaming
        literal = self._literal_at_end(text, message=streams) if text.endswith(b"}") else None
        if not command.name:  # a line that is dropped
            if literal is not None:
                self._swallow(literal)
            return None
        if literal is None:
            command.text = command.text + text if command.text else text
            if self._size > self._max_line:
                return BadCommand(command.tag, f"IMAP command {command.name.decode()}", "Too long argument")
            return command
        if self._known is not None and command.name not in self._known:
            self._swallow(literal)
            return command
        command.text = b"%b%b\r\n" % (command.text, text)
        if streams:
            command.stream = literal
            self._literal_left = literal.size
            return command
        if literal.binary:
            self._swallow(literal)
            return BadCommand(command.tag, f"IMAP command {command.name.decode()}", LITERAL8_REFUSED)
        return self._begin_literal(command, literal)

    def _begin_literal(self, command: Command, literal: LiteralStart) -> Event | None:
        self._size += literal.size
        if self._size > self._max_line:
            raise BadSyntax("Literal size too large", fatal=True)
        self._command = command
        self._literal_left = literal.size
        return Signal.CONTINUE if literal.sync else None

    def _literal_at_end(self, text: bytes, *, message: bool = False) -> LiteralStart | None:
        found = _LITERAL.search(text)
        if found is None:
            return None
        if b'"' in text and b'"' in _COMPLETE_QUOTED.sub(b"", text):
            return None  # the braces are inside an unfinished quoted string
        if len(found[2]) > MAX_LITERAL_DIGITS:
            raise BadSyntax("Literal size too large", fatal=True)
        size = int(found[2])
        sync = not found[3]
        if not sync and self._literal_minus and size > 4096:
            # RFC 7888 5: the octets are already on their way, nothing sane can follow.
            code = "[TOOBIG] " if message else ""
            raise BadSyntax(f"{code}Non-synchronizing literal size too large", fatal=True)
        return LiteralStart(size, sync, bool(found[1]))

    def _collect_literal(self) -> bool:
        size = self._literal_left
        if len(self._buffer) < size:
            if self._command is not None and not self._command.name:
                self._literal_left -= len(self._buffer)
                self._buffer.clear()
            return False
        command = self._command
        assert command is not None
        if command.name:
            command.literals.append(bytes(self._buffer[:size]))
        del self._buffer[:size]
        self._scanned = 0
        self._literal_left = -1
        return True

    # Streams: for commands in `streaming`, and lines outside of commands (IDLE's DONE)

    def literal_chunk(self) -> bytes | None:
        """What is there of the streamed literal; b"": need data; None: it is complete."""
        left = self._literal_left
        if left <= 0:
            self._literal_left = -1
            return None
        if len(self._buffer) <= left:
            chunk = bytes(self._buffer)
            self._buffer.clear()
        else:
            chunk = bytes(self._buffer[:left])
            del self._buffer[:left]
        self._literal_left = left - len(chunk)
        return chunk

    def next_piece(self) -> tuple[bytes, LiteralStart | None] | None:
        """The text after a streamed literal and the next literal it announces; None: need data."""
        line = self._take_line()
        if line is None:
            return None
        literal = self._literal_at_end(line, message=True) if line.endswith(b"}") else None
        if literal is not None:
            self._literal_left = literal.size
            line += b"\r\n"
        return line, literal

    def next_line(self) -> bytes | None:
        """One bare line; None: need data."""
        return self._take_line()

    def abandon(self, *, sent: bool) -> None:
        """The streaming command was refused in its middle.

        `sent`: the octets of the literal are on their way (non-synchronising, or after our `+`) and are
        dropped together with the rest of the line; otherwise the client starts a new command.
        """
        if self._literal_left >= 0 and sent:
            self._command = Command(b"", b"", b"")
        else:
            self._literal_left = -1

    def skip_rest(self) -> None:
        """The streaming command was refused after a literal: drop the rest of its line."""
        self._command = Command(b"", b"", b"")
