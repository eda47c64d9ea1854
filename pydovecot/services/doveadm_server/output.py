"""What a command prints, for clients of the doveadm protocol."""

from collections.abc import Callable
from typing import Final

from pydovecot.admin import errors
from pydovecot.admin.printer import Header, Printer
from pydovecot.base import tabescape

CHUNK: Final = 32 * 1024  # rows are sent in pieces of about this size
LOG_CHANNEL: Final = b"L"
_LEVELS: Final = {"Debug": 1, "Info": 2, "Warning": 3, "Error": 4, "Fatal": 5, "Panic": 6}
_CODES: Final = {
    errors.TEMPFAIL: b"TEMPFAIL",
    errors.USAGE: b"USAGE",
    errors.NO_USER: b"NOUSER",
    errors.NO_PERM: b"NOPERM",
    errors.NOT_FOUND: b"NOTFOUND",
    errors.DATA: b"DATAERR",
    errors.CONFIG: b"CONFIG",
}


class Output:
    """Collects bytes and sends them, in packets when the client asked for protocol 1.1 or later."""

    def __init__(self, write: Callable[[bytes], None], *, packets: bool) -> None:
        self._write = write
        self.packets = packets
        self._kept = bytearray()

    def send(self, data: bytes) -> None:
        """Send it, sooner or later."""
        self._kept += data
        if len(self._kept) >= CHUNK:
            self.flush()

    def flush(self) -> None:
        """Send what is kept."""
        if self._kept:
            data = bytes(self._kept)
            self._kept.clear()
            self._write(_packet(b"\0", data) if self.packets else data)

    def log(self, level: str, text: str) -> None:
        """A log line of the command, for whoever sits before the client."""
        if self.packets:
            self.flush()
            raw = text.replace("\n", " ").encode("utf-8", "replace")
            self._write(_packet(LOG_CHANNEL, b"%c%s\n" % (_LEVELS[level], raw)))

    def end(self, status: int) -> None:
        """How the command ended."""
        if status == errors.OK:
            self.send(b"\n+\n")
        else:
            self.send(b"\n-%s\n" % _CODES.get(status, b""))
        self.flush()


def _packet(channel: bytes, data: bytes) -> bytes:
    return channel + len(data).to_bytes(4, "big") + data


class ServerPrinter(Printer):
    """Values with a tab behind each; the client knows the columns."""

    def __init__(self, output: Output) -> None:
        super().__init__()
        self._output = output

    def on_value(self, header: Header, column: int, value: bytes | None) -> None:
        self._output.send(tabescape.escape(value or b"") + b"\t")

    def on_stream(self, header: Header, column: int, piece: bytes) -> None:
        self._output.send(tabescape.escape(piece) if piece else b"\t")
