"""Postfix's policy protocol: lines of name=value, an empty line ends a request. SMTPD_POLICY_README."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

MAX_LINE: Final = 8192  # Postfix's lines are shorter: an address, a name of a host
MAX_SIZE_DIGITS: Final = 18


class TooLong(Exception):
    """No Postfix writes such lines."""


@dataclass(slots=True)
class Request:
    """What matters of one request. `recipient` None: there is none, as in other states than RCPT."""

    recipient: bytes | None = None
    size: int = 0


class Reader:
    """Requests out of bytes that come in any pieces."""

    def __init__(self) -> None:
        self._buffer = b""
        self._request = Request()

    def feed(self, data: bytes) -> Iterator[Request]:
        """Whole requests. Raises TooLong."""
        *lines, self._buffer = (self._buffer + data).split(b"\n")
        if len(self._buffer) > MAX_LINE:
            raise TooLong
        for line in lines:
            line = line.removesuffix(b"\r")
            if not line:
                request, self._request = self._request, Request()
                yield request
            else:
                self._take(line)

    def _take(self, line: bytes) -> None:
        name, _, value = line.partition(b"=")
        if name == b"recipient" and self._request.recipient is None:
            self._request.recipient = value
        elif name == b"size":
            good = value.isdigit() and len(value) <= MAX_SIZE_DIGITS
            self._request.size = int(value) if good else 0


def answer(action: str) -> bytes:
    """One answer. It cannot have more lines than one."""
    return f"action={' '.join(action.splitlines())}\n\n".encode("utf-8", "surrogateescape")
