"""Cuts a stream into lines with a limit, and names the numbers of the auth protocols.

Reference: features E.4. Every line ends with LF; fields are TAB separated and escaped (base.tabescape).
"""

from typing import Final

MAX_LINE_BYTES: Final = 16384  # Dovecot: AUTH_CLIENT_MAX_LINE_LENGTH, AUTH_MASTER_MAX_LINE_LENGTH
CLIENT_MAJOR: Final = 1  # auth-client protocol of 2.3
CLIENT_MINOR: Final = 2
MASTER_MAJOR: Final = 1  # auth-master protocol of 2.3
MASTER_MINOR: Final = 1
COOKIE_BYTES: Final = 16


class BadLine(Exception):
    """The peer broke the protocol; the connection cannot go on. The text is for the log."""


class LineBuffer:
    """Bytes in, whole lines out, without their LF. Raises BadLine when one with its LF is over the limit."""

    __slots__ = ("_limit", "_rest")

    def __init__(self, limit: int = MAX_LINE_BYTES) -> None:
        self._limit = limit
        self._rest = b""

    def feed(self, data: bytes) -> list[bytes]:
        """The lines that `data` completes, in order. What does not end yet is kept."""
        lines = (self._rest + data if self._rest else data).split(b"\n")
        self._rest = lines.pop()
        if len(self._rest) >= self._limit or (lines and max(map(len, lines)) >= self._limit):
            self._rest = b""
            raise BadLine(f"line longer than {self._limit} bytes")
        return lines
