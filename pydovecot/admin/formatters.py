"""Dovecot's output formats: flow, tab, table, pager, json, formatted. Bytes in, exactly its bytes out."""

import os
import re
from collections.abc import Callable
from typing import Final

from pydovecot.admin.errors import AdminError
from pydovecot.admin.printer import Header, Printer

Write = Callable[[bytes], object]

DEFAULT_COLUMNS: Final = 80
MIN_COLUMNS: Final = 30
BUFFERED_LINES: Final = 100  # so many lines decide how wide the columns of a table are


class _Streaming(Printer):
    """Formats that write at once."""

    def __init__(self, write: Write, titles: Write, *, hide_titles: bool = False) -> None:
        super().__init__()
        self.write, self._titles, self._hide_titles = write, titles, hide_titles
        self._open = False  # a streamed value has begun


class Flow(_Streaming):
    """`title=value title=value`."""

    def on_value(self, header: Header, column: int, value: bytes | None) -> None:
        self.write(self._title(header) + (value or b"") + self._end(column))

    def on_stream(self, header: Header, column: int, piece: bytes) -> None:
        if not self._open:
            self._open = True
            self.write(self._title(header))
        self.write(piece)
        if not piece:
            self._open = False
            self.write(self._end(column))

    def _title(self, header: Header) -> bytes:
        return b"" if header.hide else header.title.encode() + b"="

    def _end(self, column: int) -> bytes:
        return b"\n" if column + 1 == len(self.headers) else b" "

    def flush(self) -> None:
        if self._column:
            self._column = 0
            self.write(b"\n")


class Tab(_Streaming):
    """A line of titles, then values, all with tabs between them."""

    def __init__(self, write: Write, titles: Write, *, hide_titles: bool = False) -> None:
        super().__init__(write, titles, hide_titles=hide_titles)
        self._header_written = False

    def on_header(self, header: Header) -> None:
        if not self._hide_titles:
            self.write((b"\t" if len(self.headers) > 1 else b"") + header.title.encode())

    def on_value(self, header: Header, column: int, value: bytes | None) -> None:
        self._end_header()
        end = b"\n" if column + 1 == len(self.headers) else b""
        self.write((b"\t" if column else b"") + (value or b"") + end)

    def on_stream(self, header: Header, column: int, piece: bytes) -> None:
        self._end_header()
        if piece:
            self.write((b"\t" if column and not self._open else b"") + piece)
            self._open = True
        else:
            self._open = False
            self.on_value(header, column, b"")  # a tab more than one would expect, as in Dovecot

    def _end_header(self) -> None:
        if not self._header_written:
            self._header_written = True
            if not self._hide_titles:
                self.write(b"\n")

    def flush(self) -> None:
        self._end_header()


class Table(_Streaming):
    """Columns as wide as their values: the first rows wait for each other."""

    text_comes_late = False

    def __init__(self, write: Write, titles: Write, *, hide_titles: bool = False) -> None:
        super().__init__(write, titles, hide_titles=hide_titles)
        self._buffered: list[bytes] = []
        self._widths: list[int] | None = None
        self._pieces: list[bytes] = []

    def on_value(self, header: Header, column: int, value: bytes | None) -> None:
        value = value or b""
        if self._widths is None:
            if len(self._buffered) // len(self.headers) < BUFFERED_LINES:
                self._buffered.append(value)
                return
            self._begin()
        self._cell(column, value)

    def on_stream(self, header: Header, column: int, piece: bytes) -> None:
        if b"\n" in piece:
            raise AdminError("table formatter doesn't support multi-line values")
        if piece:
            self._pieces.append(piece)
            return
        value, self._pieces = b"".join(self._pieces), []
        self.on_value(header, column, value)

    def flush(self) -> None:
        if self._widths is None and self.headers:
            self._begin()

    def _begin(self) -> None:
        self._widths = table_widths(self.headers, self._buffered, _columns())
        self._write_titles(self._widths)
        for number, value in enumerate(self._buffered):
            self._cell(number % len(self.headers), value)
        self._buffered.clear()

    def _write_titles(self, widths: list[int]) -> None:
        if self._hide_titles or all(header.hide for header in self.headers):
            return
        cells = [
            header.title.rjust(width) if header.right else header.title.ljust(width)
            for header, width in zip(self.headers, widths, strict=True)
        ]
        self._titles((" ".join(cells) + "\n").encode())

    def _cell(self, column: int, value: bytes) -> None:
        assert self._widths is not None
        width = self._widths[column] + _continuation_bytes(value)
        text = value.rjust(width) if self.headers[column].right else value.ljust(width)
        self.write(text + (b"\n" if column + 1 == len(self.headers) else b" "))


def table_widths(headers: list[Header], values: list[bytes], room: int) -> list[int]:
    """How wide each column is, for the first rows of a table on a terminal with `room` columns."""
    widths, least = [len(one.title) for one in headers], [len(one.title) for one in headers]
    for number, value in enumerate(values):
        column, length = number % len(headers), len(value) - _continuation_bytes(value)
        least[column] = min(least[column], length)
        widths[column] = max(widths[column], length)
    total = sum(widths) + len(widths) - 1
    while total > room:
        before = total
        for column in reversed(range(len(headers))):
            spare = widths[column] - least[column]
            if total - spare <= room:
                widths[column] -= total - room
                total = room
                break
            if spare > 0:
                # Dovecot takes it from the column, but not off the sum.
                widths[column] -= 1 if spare == 1 else spare // 2
        if total == before:
            break
    if total < room:
        growing = next((at for at, one in enumerate(headers) if one.expand), len(headers) - 1)
        widths[growing] += (room - total) // 2
    return widths


def _continuation_bytes(value: bytes) -> int:
    """Bytes of UTF-8 that are no character of their own."""
    return 0 if value.isascii() else sum(1 for byte in value if byte & 0xC0 == 0x80)


def _columns() -> int:
    """Of the terminal that standard output is."""
    try:
        return max(os.get_terminal_size(1).columns, MIN_COLUMNS)
    except OSError:
        return DEFAULT_COLUMNS


class Pager(_Streaming):
    """`title: value` lines, form feeds between the records."""

    def __init__(self, write: Write, titles: Write, *, hide_titles: bool = False) -> None:
        super().__init__(write, titles, hide_titles=hide_titles)
        self._first = True

    def on_value(self, header: Header, column: int, value: bytes | None) -> None:
        title = b"" if header.hide else header.title.encode() + b": "
        self.write(self._page(column) + title + (value or b"") + b"\n")

    def on_stream(self, header: Header, column: int, piece: bytes) -> None:
        if not self._open:
            self._open = True
            self.write(b"" if header.hide else header.title.encode() + b":\n")
        self.write(piece)
        if not piece:
            self._open = False

    def _page(self, column: int) -> bytes:
        first, self._first = self._first, False
        return b"" if column or first else b"\f\n"

    def flush(self) -> None:
        if self._column:
            self._column = 0
            self.write(b"\n")


class Json(_Streaming):
    """A list of objects."""

    def __init__(self, write: Write, titles: Write, *, hide_titles: bool = False) -> None:
        super().__init__(write, titles, hide_titles=hide_titles)
        self._first, self._flushed = True, False
        self._parts: list[bytes] = []

    def on_value(self, header: Header, column: int, value: bytes | None) -> None:
        if value is None:
            text = b"null"
        elif header.number:
            text = value
        else:
            text = b'"' + json_text(value) + b'"'
        self.write(self._key(header, column) + text + self._end(column))

    def on_stream(self, header: Header, column: int, piece: bytes) -> None:
        # Joined before it is escaped: a piece may end within a character.
        if piece:
            self._parts.append(piece)
            return
        value, self._parts = b"".join(self._parts), []
        self.write(self._key(header, column) + b'"' + json_text(value) + b'"' + self._end(column))

    def _key(self, header: Header, column: int) -> bytes:
        begin = b","
        if not column:
            begin = b"[{" if self._first else b",{"
            self._first = False
        return begin + b'"' + json_text(header.key.encode()) + b'":'

    def _end(self, column: int) -> bytes:
        return b"}" if column + 1 == len(self.headers) else b""

    def flush(self) -> None:
        if not self._flushed:
            self._flushed = True
            self.write(b"[]" if self._first else b"]")


_JSON_ESCAPES: Final = {
    0x08: "\\b", 0x0C: "\\f", 0x0A: "\\n", 0x0D: "\\r", 0x09: "\\t", 0x22: '\\"', 0x5C: "\\\\",
}  # fmt: skip
_NO_UTF8: Final = re.compile("[\udc80-\udcff]")
_JSON_SPECIAL: Final = re.compile(r'[\x00-\x1f"\\\x7f\u2028\u2029]')


def json_text(value: bytes) -> bytes:
    """The inside of a JSON string; each octet that is no UTF-8 becomes the replacement character."""
    text = _NO_UTF8.sub("\ufffd", value.decode("utf-8", "surrogateescape"))
    return _JSON_SPECIAL.sub(_json_escape, text).encode()


def _json_escape(found: re.Match[str]) -> str:
    code = ord(found[0])
    return _JSON_ESCAPES.get(code, f"\\u{code:04x}")


class Formatted(_Streaming):
    """Rows made by a pattern with %{key}."""

    def __init__(self, write: Write, titles: Write, *, hide_titles: bool = False) -> None:
        super().__init__(write, titles, hide_titles=hide_titles)
        self.pattern: str | None = None
        self._row: dict[str, str] = {}
        self._parts: list[bytes] = []

    def on_value(self, header: Header, column: int, value: bytes | None) -> None:
        if self.pattern is None:
            raise AdminError("formatted formatter cannot be used without a format.")
        self._row[header.key] = (value or b"").decode("utf-8", "surrogateescape")
        if column + 1 == len(self.headers):
            from pydovecot.settings.expand import expand

            self.write(expand(self.pattern, self._row).encode("utf-8", "surrogateescape"))
            self._row = {}

    def on_stream(self, header: Header, column: int, piece: bytes) -> None:
        if piece:
            self._parts.append(piece)
            return
        value, self._parts = b"".join(self._parts), []
        self.on_value(header, column, value)


FORMATTERS: Final[dict[str, type[_Streaming]]] = {
    "flow": Flow,
    "tab": Tab,
    "table": Table,
    "pager": Pager,
    "json": Json,
    "formatted": Formatted,
}


def make(name: str, write: Write, titles: Write, *, hide_titles: bool = False) -> Printer:
    """The printer of a format. `titles`: where a table's titles go. Raises AdminError."""
    cls = FORMATTERS.get(name)
    if cls is None:
        raise AdminError(f"Unknown print formatter: {name}")
    return cls(write, titles, hide_titles=hide_titles)
