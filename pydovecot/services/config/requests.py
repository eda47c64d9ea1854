"""The protocol of the config socket: lines in, answers out. No sockets here.

`VERSION config 2 0`, then any number of `REQ key=value...`; each is answered by a line of flags (empty),
lines `key=value`, and an empty line. Errors are answered by `ERROR=text` in place of the settings.
"""

from typing import Final

from pydovecot.base.tabescape import escape_text, unescape_text
from pydovecot.settings.errors import ConfigError
from pydovecot.settings.tree import Query, Tree
from pydovecot.settings.wire import render

MAX_LINE: Final = 8192
MAX_KEPT: Final = 200  # kinds of processes, and clients that ask with addresses
PROTOCOL_MAJOR: Final = 2


class ProtocolError(Exception):
    """The peer does not speak this protocol; the connection is closed."""


class Answers:
    """Answers of one configuration. They are kept, so files are read once for each kind of process.

    A renewed certificate is seen after a reload, as with Dovecot.
    """

    def __init__(self, tree: Tree) -> None:
        self._tree = tree
        self._kept: dict[tuple[str, Query, bool], bytes] = {}

    def answer(self, module: str, query: Query, *, filters: bool) -> bytes:
        """The answer to one request; errors are answers too, but not kept."""
        key = (module, query, filters)
        found = self._kept.get(key)
        if found is not None:
            return found
        try:
            text = render(self._tree, module, query.protocol, filters=filters, query=query)
        except ConfigError as exc:
            return _framed(f"ERROR={escape_text(exc.lines[0])}\n")
        if len(self._kept) >= MAX_KEPT:
            self._kept.clear()
        self._kept[key] = _framed(text)
        return self._kept[key]


def _framed(text: str) -> bytes:
    return f"\n{text}\n".encode("utf-8", "surrogateescape")


class Requests:
    """One client."""

    def __init__(self, answers: Answers) -> None:
        self._answers = answers
        self._buffer = b""
        self._greeted = False

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
        return self._answers.answer(asked.get("module", ""), query, filters=asked.get("filters") == "yes")
