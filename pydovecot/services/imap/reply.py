"""What a command's handler gives: chunks of bytes, what it needs, and its tagged answer."""

from collections.abc import Generator
from dataclasses import dataclass
from enum import Enum
from typing import Any


class Need(Enum):
    """A handler yields one of these to wait; what it is sent back stands beside it."""

    LITERAL = "literal"  # the next bytes of the streamed literal; None at its end
    PIECE = "piece"  # (text, LiteralStart | None) after a streamed literal
    WAKEUP = "wakeup"  # None: the mailbox may have changed or time passed; bytes: a line of the client


@dataclass(frozen=True, slots=True)
class Tagged:
    """The end of a command. `text` has no full stop: the pump adds the timing and one."""

    status: bytes
    text: bytes
    code: bytes = b""  # response code without brackets


class EndSession(Exception):
    """The session cannot go on; the cause is chained.

    `torn`: it happened in the middle of a response, so nothing that follows would be understood.
    """

    def __init__(self, what: str, *, torn: bool = False) -> None:
        super().__init__(what)
        self.what = what
        self.torn = torn


Conversation = Generator[bytes | Need, Any, Tagged]


def ok(text: str, code: bytes = b"") -> Tagged:
    """Done."""
    return Tagged(b"OK", text.encode(), code)


def no(text: str, code: bytes = b"") -> Tagged:
    """Refused."""
    return Tagged(b"NO", text.encode(), code)


def bad(text: str) -> Tagged:
    """Not understood, or not in this state."""
    return Tagged(b"BAD", text.encode())
