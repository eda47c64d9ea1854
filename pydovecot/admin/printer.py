"""What commands print goes through one of Dovecot's formatters; a command only names its columns.

    printer = context.printer("table")
    printer.header("mailbox", hide=True)
    printer.header("messages", number=True)
    printer.value("INBOX")
    printer.value(12)                 # after the last column a new row begins

Long values come in pieces: `stream(piece)` as often as needed, then `end_stream()`. The doveadm server has
printers of its own over the same interface.
"""

from typing import NamedTuple

Value = str | bytes | int | None


class Header(NamedTuple):
    """One column. `hide`: its title says nothing; `right`: aligned right; `expand`: takes the spare room."""

    key: str
    title: str
    hide: bool = False
    right: bool = False
    expand: bool = False
    number: bool = False


class Printer:
    """Base of all: keeps the columns and the values that stay the same for many rows (the user's name)."""

    text_comes_late = True  # lines of Context.print come behind all rows, as from two buffers of Dovecot

    def __init__(self) -> None:
        self.headers: list[Header] = []
        self._sticky: dict[int, Value] = {}
        self._column = 0
        self._streaming = False

    def header(
        self, key: str, title: str = "", *, hide: bool = False, right: bool = False, expand: bool = False,
        number: bool = False, sticky: bool = False,
    ) -> None:  # fmt: skip
        """One more column; all before the first value. `sticky`: `stick` gives its value."""
        one = Header(key, title or key, hide, right, expand, number)
        if sticky:
            self._sticky[len(self.headers)] = ""
        self.headers.append(one)
        self.on_header(one)

    def stick(self, key: str, value: Value) -> None:
        """The value of a sticky column from now on; nothing where the command has no such column."""
        for number in self._sticky:
            if self.headers[number].key == key:
                self._sticky[number] = value

    def value(self, value: Value) -> None:
        """The next column's value."""
        self._fill_sticky()
        self.on_value(self.headers[self._column], self._column, _bytes(value))
        self._advance()

    def stream(self, piece: bytes) -> None:
        """A piece of the next column's value."""
        if not self._streaming:
            self._fill_sticky()
            self._streaming = True
        if piece:
            self.on_stream(self.headers[self._column], self._column, piece)

    def end_stream(self) -> None:
        """The column is complete."""
        self.stream(b"")
        self.on_stream(self.headers[self._column], self._column, b"")
        self._streaming = False
        self._advance()

    def _advance(self) -> None:
        self._column += 1
        if self._column == len(self.headers):
            self._column = 0

    def _fill_sticky(self) -> None:
        while self._column in self._sticky:
            number = self._column
            self.on_value(self.headers[number], number, _bytes(self._sticky[number]))
            self._advance()

    # -- what a formatter does

    def on_header(self, header: Header) -> None:
        """A column was added."""

    def on_value(self, header: Header, column: int, value: bytes | None) -> None:
        """A whole value; None is no value at all (JSON: null)."""
        raise NotImplementedError

    def on_stream(self, header: Header, column: int, piece: bytes) -> None:
        """A piece of a value; empty: the end of it."""
        raise NotImplementedError

    def flush(self) -> None:
        """The command has ended (or one of a batch)."""


def _bytes(value: Value) -> bytes | None:
    if value is None or isinstance(value, bytes):
        return value
    return str(value).encode("utf-8", "surrogateescape")
