"""What a script is asked to do: a header of lines, then the script's input.

    VERSION<tab>script<tab>4<tab>0
    alarm=10          optional: seconds that it may take
    noreply           or `-`: the client waits for `+` or `-`
    first argument    tab-escaped, a line each
                      an empty line ends the header
"""

import socket
from dataclasses import dataclass, field
from typing import Final

from pydovecot.base.tabescape import unescape_text

VERSION: Final = "VERSION\tscript\t4\t"
MAX_HEADER: Final = 1 << 16
MAX_ALARM_SECS: Final = 24 * 3600


class BadRequest(Exception):
    """The client speaks something else."""


@dataclass(slots=True)
class Request:
    """One run."""

    reply: bool = False
    alarm: int = 0  # 0: it may take as long as it likes
    arguments: list[str] = field(default_factory=list)


def parse(header: bytes) -> Request:
    """All lines with the empty one at their end. Raises BadRequest."""
    lines = header.decode("utf-8", "surrogateescape").removesuffix("\n\n").split("\n")
    if not lines[0].startswith(VERSION):
        raise BadRequest("Client not compatible with this binary (connecting to wrong socket?)")
    rest = lines[1:]
    request = Request()
    if rest and rest[0].startswith("alarm="):
        digits = rest.pop(0).removeprefix("alarm=")
        if not digits.isdigit() or int(digits[:9]) > MAX_ALARM_SECS:
            raise BadRequest(f"Invalid alarm: {digits}")
        request.alarm = int(digits)
    if not rest or rest[0] not in ("noreply", "-"):
        raise BadRequest("Neither noreply nor -")
    request.reply = rest[0] == "-"
    request.arguments = [unescape_text(line) for line in rest[1:]]
    if any("\0" in argument for argument in request.arguments):
        raise BadRequest("NUL in an argument")
    return request


def read_header(sock: socket.socket) -> bytes:
    """Up to the empty line and no octet further: what follows is the script's. Raises BadRequest, OSError."""
    header = bytearray()
    while not header.endswith(b"\n\n"):
        octet = sock.recv(1)
        if not octet or len(header) == MAX_HEADER:
            raise BadRequest("No end of the header")
        header += octet
    return bytes(header)
