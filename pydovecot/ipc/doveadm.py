"""Client of a doveadm server, blocking: protocol VERSION doveadm-server 1, over UNIX and TCP.

    with DoveadmClient(Place("mail.example.org", 24245), user="doveadm", password="...") as client:
        status = client.run(["", "alice", "mailbox list"], on_value, on_log)

Rows come as values; who asked knows the columns. Reference: features F-24.
"""

import base64
import contextlib
import socket
import ssl
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final, Self

from pydovecot.base import tabescape
from pydovecot.model.errors import InternalError

HELLO: Final = b"VERSION\tdoveadm-server\t1\t2\n"
CONNECT_SECS: Final = 30.0
ANSWER_SECS: Final = 3600.0  # a search in all mail may take its time
MAX_LINE: Final = 8192
MAX_LOG_LINE: Final = 64 * 1024
_READ_BYTES: Final = 1 << 16
_DATA, _LOG = 0, ord("L")


class ServerFailed(InternalError):
    """The server cannot be asked; the text says why."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a server is: a path, or a host with its port."""

    host: str
    port: int = 0

    def __str__(self) -> str:
        return f"{self.host}:{self.port}" if self.port else self.host


def parse_place(text: str, base_dir: str, default_port: int) -> Place:
    """`/path`, `host:port`, `[::1]:port`, `host` when there is a default port, or a name in base_dir."""
    if text.startswith("/"):
        return Place(text)
    host, colon, port = text.removeprefix("tcp:").rpartition(":")
    if colon and port.isdigit() and 0 < int(port) < 65536 and host:
        return Place(host.strip("[]"), int(port))
    if default_port:
        return Place(text.removeprefix("tcp:").strip("[]"), default_port)
    return Place(f"{base_dir}/{text}")


class DoveadmClient:
    """One connection. `tls`: "no", "ssl" (at once) or "starttls"."""

    def __init__(
        self, place: Place, *, user: str = "", password: str = "", tls: str = "no",
        context: ssl.SSLContext | None = None,
    ) -> None:  # fmt: skip
        self.place = place
        self._user, self._password, self._tls, self._context = user, password, tls, context
        self._sock: socket.socket | None = None
        self._raw = b""
        self._packets = False
        self._left = 0  # octets of the data packet that is being read
        self._on_log: Callable[[int, str], object] = lambda _level, _text: None

    def __enter__(self) -> Self:
        try:
            self._connect()
        except OSError as exc:
            raise ServerFailed(f"connect({self.place}) failed: {exc.strerror or exc}") from exc
        try:
            self._handshake()
        except OSError as exc:
            self.close()
            raise ServerFailed(f"{self.place}: {exc.strerror or exc}") from exc
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection."""
        if self._sock is not None:
            self._sock.close()
        self._sock = None

    def run(
        self,
        words: list[str],
        on_value: Callable[[bytes], object],
        on_log: Callable[[int, str], object],
        send: Iterable[bytes] = (),
    ) -> str:
        """Run `flags, user, command, arguments...`: "" when it went well, else the code (NOUSER, ...).

        `send`: what the command reads. `on_log(level, text)`. Raises ServerFailed.
        """
        assert self._sock is not None
        self._on_log = on_log
        self._sock.settimeout(ANSWER_SECS)
        try:
            self._sock.sendall(tabescape.join_text(words))
            self._send_input(send)
            return self._answer(on_value)
        except OSError as exc:
            raise ServerFailed(f"{self.place}: {exc.strerror or exc}") from exc

    def _connect(self) -> None:
        if self.place.port:
            sock = socket.create_connection((self.place.host, self.place.port), CONNECT_SECS)
        else:
            sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
            sock.settimeout(CONNECT_SECS)
            try:
                sock.connect(self.place.host)
            except OSError:
                sock.close()
                raise
        self._sock = sock
        if self._tls == "ssl" and self.place.port:
            self._start_tls()

    def _start_tls(self) -> None:
        assert self._sock is not None
        context = self._context or ssl.create_default_context()
        self._sock = context.wrap_socket(self._sock, server_hostname=self.place.host)

    def _handshake(self) -> None:
        assert self._sock is not None
        self._sock.sendall(HELLO)
        line = self._line()
        packets = line.startswith(b"VERSION\t")
        if packets:
            line = self._line()
        if line != b"+":
            if line != b"-":
                raise ServerFailed(f"{self.place}: Unexpected input from server")
            self._login()
        self._packets = packets

    def _login(self) -> None:
        assert self._sock is not None
        if not self._password:
            raise ServerFailed(f"doveadm_password not set, can't authenticate to {self.place}")
        if self._tls == "starttls" and self.place.port:
            self._sock.sendall(b"STARTTLS\n")
            self._start_tls()
        plain = f"\0{self._user}\0{self._password}".encode()
        self._sock.sendall(b"PLAIN\t" + base64.b64encode(plain) + b"\n")
        if self._line() != b"+":
            raise ServerFailed(f"{self.place}: Authentication failed")

    def _line(self) -> bytes:
        """Before packets begin."""
        while b"\n" not in self._raw:
            if len(self._raw) > MAX_LINE:
                raise ServerFailed(f"{self.place}: Unexpected input from server")
            self._raw += self._receive()
        line, _, self._raw = self._raw.partition(b"\n")
        return line

    def _receive(self) -> bytes:
        assert self._sock is not None
        data = self._sock.recv(_READ_BYTES)
        if not data:
            raise ServerFailed(f"{self.place}: Remote disconnected unexpectedly")
        return data

    def _send_input(self, pieces: Iterable[bytes]) -> None:
        """Lines with CRLF, dots doubled, and a line with only a dot."""
        assert self._sock is not None
        rest, sent = b"", False
        for piece in pieces:
            sent = True
            *lines, rest = (rest + piece).split(b"\n")
            self._sock.sendall(b"".join(_dotted(line) for line in lines))
        if sent:
            self._sock.sendall(_dotted(rest) + b".\r\n")

    def _answer(self, on_value: Callable[[bytes], object]) -> str:
        rest = b""
        while True:
            rest += self._data()
            head, newline, tail = rest.partition(b"\n")
            *values, last = head.split(b"\t")
            for value in values:
                on_value(tabescape.unescape(value))
            if not newline:
                rest = last
                continue
            if last:  # no row: what a command without columns has printed
                on_value(last)
            while b"\n" not in tail:
                tail += self._data()
            status = tail.partition(b"\n")[0].decode("ascii", "replace")
            if not status.startswith(("+", "-")):
                raise ServerFailed(f"{self.place}: Unexpected input from server")
            return "" if status.startswith("+") else status[1:] or "UNKNOWN"

    def _data(self) -> bytes:
        """The next octets of the command's output; log lines between them are passed on."""
        if not self._packets:
            data, self._raw = self._raw or self._receive(), b""
            return data
        while True:
            if self._left:
                if not self._raw:
                    self._raw = self._receive()
                data, self._raw = self._raw[: self._left], self._raw[self._left :]
                self._left -= len(data)
                return data
            while len(self._raw) < 5:
                self._raw += self._receive()
            channel, size = self._raw[0], int.from_bytes(self._raw[1:5], "big")
            self._raw = self._raw[5:]
            if channel == _DATA:
                self._left = size
            elif channel == _LOG:
                self._log(size)
            else:
                raise ServerFailed(f"{self.place}: Unexpected input from server")

    def _log(self, size: int) -> None:
        if size > MAX_LOG_LINE:
            raise ServerFailed(f"{self.place}: Unexpected input from server")
        while len(self._raw) < size:
            self._raw += self._receive()
        lines, self._raw = self._raw[:size], self._raw[size:]
        for line in lines.split(b"\n"):
            if line:
                with contextlib.suppress(ValueError):
                    self._on_log(line[0] - 1, line[1:].decode("utf-8", "replace"))


def _dotted(line: bytes) -> bytes:
    line = line.removesuffix(b"\r") + b"\r\n"
    return b"." + line if line.startswith(b".") else line
