"""The part of IMAP's grammar that a client needs before it is logged in, as Dovecot's login process reads it.

Works on a growing buffer and takes any splitting of the input. Every argument is bounded, and so are the
whole command and the number of lists: nobody has reason for more before login.
"""

import re
from dataclasses import dataclass, field
from enum import Enum
from typing import Final

from pydovecot.login.limits import MAX_TOKEN_BYTES

MAX_COMMAND_BYTES: Final = 8192  # Dovecot: MAX_IMAP_LINE
MAX_TAG_BYTES: Final = 126  # Dovecot: IMAP_TAG_MAX_LEN
MAX_LISTS: Final = 1  # no command before login has more (CVE-2026-27857)

_WORD: Final = re.compile(rb"[^ \r\n]*")
_TAG: Final = re.compile(rb"[^\x00-\x20\x7f-\xff+(){%*\"\\\]]+")
_ATOM: Final = re.compile(rb"[^\x00-\x20()\"{\x7f-\xff]*")
_QUOTED: Final = re.compile(rb'"((?:[^\x00\r\n"\\]|\\[^\x00\r\n])*)"')
_QUOTED_PART: Final = re.compile(rb'"(?:[^\x00\r\n"\\]|\\[^\x00\r\n])*\\?')
_LITERAL: Final = re.compile(rb"\{([0-9]+)(\+?)\}")
MAX_UNASKED: Final = 4096
_LITERAL_PART: Final = re.compile(rb"\{[0-9]*\+?")
_ESCAPE: Final = re.compile(rb"\\(.)", re.DOTALL)


class Kind(Enum):
    """What an argument was written as."""

    ATOM = "atom"
    STRING = "string"
    OPEN = "("
    CLOSE = ")"


class Full(Exception):
    """One argument is longer than anybody has reason for."""


class Bad(Exception):
    """The text is not IMAP; `fatal`: what follows cannot be understood either."""

    def __init__(self, text: str, *, fatal: bool = False) -> None:
        super().__init__(text)
        self.text, self.fatal = text, fatal


@dataclass(slots=True)
class Command:
    """A command as far as it has arrived. `arguments` is complete when `step` returned True."""

    tag: bytes | None = None
    name: bytes | None = None
    arguments: list[tuple[Kind, bytes]] = field(default_factory=list)
    size: int = 0
    lists: int = 0
    depth: int = 0
    literal: int = -1  # bytes that a literal still has to bring; -1: none is open
    after_literal_head: bool = False


def take_word(buffer: bytearray) -> bytes | None:
    """The word up to a blank or the end of the line; the blank goes with it, a line end stays."""
    found = _WORD.match(buffer)
    word = found[0] if found else b""
    if len(word) > MAX_TOKEN_BYTES:
        raise Full
    if len(word) == len(buffer):
        return None
    del buffer[: len(word) + (buffer[len(word)] == 0x20)]
    return word


def valid_tag(word: bytes) -> bool:
    """True for a tag that may be sent back to the client."""
    return len(word) <= MAX_TAG_BYTES and _TAG.fullmatch(word) is not None


def skip_line(buffer: bytearray) -> bool:
    """Drop everything up to and with the next LF; False when there is none yet."""
    end = buffer.find(b"\n")
    if end < 0:
        buffer.clear()
        return False
    del buffer[: end + 1]
    return True


def step(buffer: bytearray, command: Command, *, literal_minus: bool = False) -> bool | bytes:
    """Read arguments. True: the line is complete and taken away. False: more is needed.

    `literal_minus`: literals that come unasked have at most 4096 octets, RFC 7888 5.
    Bytes are to be sent to the client (a literal's go-ahead); call again then. Raises Bad and Full.
    """
    while True:
        if command.literal >= 0:
            if not _literal_body(buffer, command):
                return False
            continue
        _skip_blanks(buffer, command)
        if not buffer:
            return False
        first = buffer[0]
        if first in b"\r\n":
            if command.depth:
                raise Bad("Missing ')'")
            return _line_end(buffer)
        if first == 0x7B:
            reply = _literal_head(buffer, command, literal_minus)
            if reply is None:
                return False
            if reply:
                return reply
        elif not _argument(buffer, command, first):
            return False


def _skip_blanks(buffer: bytearray, command: Command) -> None:
    """Blanks before an argument; they count, so that a line of blanks ends too."""
    blanks = len(buffer) - len(buffer.lstrip(b" "))
    if blanks:
        del buffer[:blanks]
        command.size += blanks
        if command.size > MAX_COMMAND_BYTES:
            raise Bad("IMAP command line too large")


def _argument(buffer: bytearray, command: Command, first: int) -> bool:
    """Take an atom, a quoted string or a parenthesis; False when it is not complete."""
    if first == 0x22:
        return _quoted(buffer, command)
    if first == 0x28:
        command.lists += 1
        if command.lists > MAX_LISTS:
            raise Bad("Too many '('")
        command.depth += 1
        _add(buffer, command, Kind.OPEN, b"(", 1)
        return True
    if first == 0x29:
        if not command.depth:
            raise Bad("Unexpected ')'")
        command.depth -= 1
        _add(buffer, command, Kind.CLOSE, b")", 1)
        return True
    return _atom(buffer, command)


def _add(buffer: bytearray, command: Command, kind: Kind, value: bytes, taken: int) -> None:
    command.size += taken
    if command.size > MAX_COMMAND_BYTES:
        raise Bad("IMAP command line too large")
    command.arguments.append((kind, value))
    del buffer[:taken]


def _atom(buffer: bytearray, command: Command) -> bool:
    found = _ATOM.match(buffer)
    atom = found[0] if found else b""
    if len(atom) > MAX_TOKEN_BYTES:
        raise Full
    if len(atom) == len(buffer):
        return False
    stop = buffer[len(atom)]
    if stop not in b" \r\n" and not (stop == 0x29 and command.depth):
        if atom == b"~" and stop == 0x7B:
            raise Bad("literal8 not allowed here")
        raise Bad("8bit data in atom" if stop & 0x80 else "Invalid characters in atom")
    _add(buffer, command, Kind.ATOM, atom, len(atom))
    return True


def _quoted(buffer: bytearray, command: Command) -> bool:
    found = _QUOTED.match(buffer)
    if found is None:
        part = _QUOTED_PART.match(buffer)
        length = part.end() if part else 0
        if length > MAX_TOKEN_BYTES:
            raise Full
        if length == len(buffer):
            return False
        raise Bad("NULs not allowed in strings" if buffer[length] == 0 else "Missing '\"'")
    if found.end() > MAX_TOKEN_BYTES + 2:
        raise Full
    value = found[1]
    if b"\\" in value:
        value = _ESCAPE.sub(rb"\1", value)
    _add(buffer, command, Kind.STRING, value, found.end())
    return True


def _literal_head(buffer: bytearray, command: Command, literal_minus: bool) -> bytes | None:
    """`{n}`: the go-ahead to send, b"" for `{n+}`; None when it is not complete."""
    found = _LITERAL.match(buffer)
    if found is None:
        part = _LITERAL_PART.match(buffer)
        length = part.end() if part else 0
        if length == len(buffer) and length <= 32:
            return None
        raise Bad("Invalid literal size")
    digits, synchronised = found[1], not found[2]  # before the buffer moves under the match
    if literal_minus and not synchronised and (len(digits) > 4 or int(digits) > MAX_UNASKED):
        raise Bad("Non-synchronizing literal size too large", fatal=True)
    if len(digits) > 10 or int(digits) > MAX_COMMAND_BYTES - command.size - len(found[0]):
        raise Bad("Literal size too large", fatal=True)
    command.literal = int(digits)
    command.size += len(found[0])
    command.after_literal_head = True
    del buffer[: found.end()]
    return b"+ OK\r\n" if synchronised else b""


def _literal_body(buffer: bytearray, command: Command) -> bool:
    if command.after_literal_head:
        if not buffer or (buffer[0] == 0x0D and len(buffer) == 1):
            return False
        ends = 2 if buffer[0] == 0x0D else 1
        if buffer[ends - 1] != 0x0A:
            command.literal = -1
            raise Bad("Missing LF after literal size")
        del buffer[:ends]
        command.after_literal_head = False
    size = command.literal
    if size > MAX_TOKEN_BYTES and len(buffer) >= MAX_TOKEN_BYTES:
        raise Full
    if len(buffer) < size:
        return False
    value = bytes(buffer[:size])
    command.literal = -1
    if b"\0" in value:
        # CVE-2019-11500: a NUL must not cut what is checked from what is used.
        del buffer[:size]
        raise Bad("NULs not allowed in literals")
    _add(buffer, command, Kind.STRING, value, size)
    return True


def _line_end(buffer: bytearray) -> bool:
    """Take CRLF or LF away; False when it is not complete."""
    if buffer[0] == 0x0D:
        if len(buffer) == 1:
            return False
        if buffer[1] != 0x0A:
            raise Bad("CR sent without LF")
        del buffer[:2]
    else:
        del buffer[0]
    return True
