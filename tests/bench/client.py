"""A client that costs little: it sends lines and waits for the end of the answer without reading it."""

import socket
import ssl
from collections.abc import Iterable

TIMEOUT_SECS = 900.0  # the slowest workload of the slowest server
RECV_BYTES = 1 << 20


class Refused(Exception):
    """The server did not say OK."""


class _Line:
    """A connection with a growing buffer."""

    def __init__(self, port: int, tls: bool = False) -> None:
        self.sock = socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT_SECS)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if tls:
            context = ssl.create_default_context()
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
            self.sock = context.wrap_socket(self.sock)

    def until(self, endings: tuple[bytes, ...], start: bytes = b"") -> bytes:
        """Read until the last line begins with one of `endings` (each with the line break before it)."""
        parts = [start] if start else []
        tail = b"\r\n" + start[-300:]
        while True:
            end = tail.rfind(b"\r\n", 0, -2)
            if tail.endswith(b"\r\n") and tail[end:].startswith(endings):
                return b"".join(parts)
            more = self.sock.recv(RECV_BYTES)
            if not more:
                raise Refused(f"closed after {tail[-200:]!r}")
            parts.append(more)
            tail = (tail + more)[-4096:] if len(more) < 4096 else more[-4096:]

    def close(self) -> None:
        self.sock.close()


class Imap(_Line):
    """IMAP, logged in."""

    def __init__(self, port: int, user: str, password: str, tls: bool = False) -> None:
        super().__init__(port, tls)
        self._tag = 0
        self.until((b"\r\n* OK",))
        self.ask(f"LOGIN {user} {password}")

    def ask(self, command: str) -> bytes:
        """Send one command, return the whole answer. Raises Refused unless it is OK."""
        self._tag += 1
        tag = b"t%d" % self._tag
        self.sock.sendall(b"%s %s\r\n" % (tag, command.encode()))
        return self._answer(tag)

    def _answer(self, tag: bytes) -> bytes:
        answer = self.until((b"\r\n%s OK" % tag, b"\r\n%s NO" % tag, b"\r\n%s BAD" % tag))
        if b"%s OK" % tag not in answer[-2000:]:
            raise Refused(answer[-300:].decode("utf-8", "replace"))
        return answer

    def append(self, mailbox: str, message: bytes) -> None:
        """APPEND with a non-synchronising literal."""
        self._tag += 1
        tag = b"t%d" % self._tag
        head = b"%s APPEND %s {%d+}\r\n" % (tag, mailbox.encode(), len(message))
        self.sock.sendall(head + message + b"\r\n")
        self._answer(tag)

    def logout(self) -> None:
        self.ask("LOGOUT")
        self.close()


class Pop3(_Line):
    """POP3, logged in."""

    def __init__(self, port: int, user: str, password: str, tls: bool = False) -> None:
        super().__init__(port, tls)
        self.until((b"\r\n+OK",))
        self.ask(f"USER {user}")
        self.ask(f"PASS {password}")

    def ask(self, command: str) -> bytes:
        """A command with a status line only."""
        self.sock.sendall(command.encode() + b"\r\n")
        answer = self.until((b"\r\n+OK", b"\r\n-ERR"))
        if not answer.startswith(b"+OK"):
            raise Refused(answer.decode("utf-8", "replace"))
        return answer

    def fetch(self, commands: Iterable[str]) -> int:
        """Commands with multi-line answers, one after the other; the number of bytes."""
        size = 0
        for command in commands:
            self.sock.sendall(command.encode() + b"\r\n")
            size += len(self.until((b"\r\n.\r\n", b"\r\n-ERR")))
        return size
