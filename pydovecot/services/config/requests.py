"""The protocol of the config socket: lines in, answers out. No sockets here.

`VERSION config 2 0`, then any number of `REQ key=value...`; each is answered by a line of flags (empty),
lines `key=value`, and an empty line. Errors are answered by `ERROR=text` in place of the settings.
"""

from collections.abc import Callable
from typing import Final

from pydovecot.base.tabescape import escape_text, unescape_text
from pydovecot.settings.errors import ConfigError
from pydovecot.settings.tree import Query, Tree
from pydovecot.settings.wire import render

MAX_LINE: Final = 8192
PROTOCOL_MAJOR: Final = 2


class ProtocolError(Exception):
    """The peer does not speak this protocol; the connection is closed."""


class Requests:
    """One client. `tree` is asked for at each request, so that a new file is seen."""

    def __init__(self, tree: Callable[[], Tree]) -> None:
        self._tree = tree
        self._buffer = b""
        self._greeted = False
        self._answers: dict[tuple[str, ...], bytes] = {}

    def feed(self, data: bytes) -> bytes:
        """Take input, return what to answer. Raises ProtocolError."""
        *lines, self._buffer = (self._buffer + data).split(b"\n")
        if len(self._buffer) > MAX_LINE:
            raise ProtocolError("sent too long a line")
        return b"".join(map(self._line, lines))

    def _line(self, raw: bytes) -> bytes:
        if len(raw) > MAX_LINE:
            raise ProtocolError("sent too long a line")
        word, *fields = raw.decode("utf-8", "surrogateescape").split("\t")
        if not self._greeted:
            if word != "VERSION" or len(fields) < 3 or fields[:2] != ["config", str(PROTOCOL_MAJOR)]:
                raise ProtocolError("not compatible with this config service")
            self._greeted = True
            return b""
        if word != "REQ":
            raise ProtocolError(f"unknown command: {word[:40]!r}")
        return self._request(fields)

    def _request(self, fields: list[str]) -> bytes:
        asked: dict[str, str] = {}
        for one in fields:
            key, _, value = one.partition("=")
            asked.setdefault(key, unescape_text(value))
        protocol = asked.get("service", "")
        query = Query(protocol, asked.get("lip", ""), asked.get("lname", ""), asked.get("rip", ""))
        filters = asked.get("filters") == "yes"
        try:
            text = render(self._tree(), asked.get("module", ""), protocol, filters=filters, query=query)
        except ConfigError as exc:
            text = f"ERROR={escape_text(exc.lines[0])}\n"
        return f"\n{text}\n".encode("utf-8", "surrogateescape")
