"""Mail that comes in: LMTP over one and over eight connections, and the program that MTAs start."""

import os
import socket
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

from tests.support.mailgen import Generator
from tests.support.wire import Server

CONNECTIONS: Final = 8
RECIPIENTS: Final = 20
DOVECOT_LDA: Final = "/usr/lib/dovecot/dovecot-lda"
REPOSITORY: Final = Path(__file__).resolve().parents[2]


class Lmtp:
    """An MTA's connection, greeted."""

    def __init__(self, server: Server) -> None:
        self._sock = socket.socket(socket.AF_UNIX)
        self._sock.settimeout(60)
        self._sock.connect(str(server.place.run / "lmtp"))
        self._stream = self._sock.makefile("rb")
        self._stream.readline()
        self._sock.sendall(b"LHLO bench\r\n")
        while self._stream.readline()[3:4] == b"-":
            pass

    def deliver(self, message: bytes, *recipients: str) -> None:
        """One message as Postfix sends it: envelope and DATA in one piece."""
        envelope = b"MAIL FROM:<sender@example.org>\r\n"
        envelope += b"".join(b"RCPT TO:<%s>\r\n" % name.encode() for name in recipients)
        self._sock.sendall(envelope + b"DATA\r\n")
        for _ in range(len(recipients) + 2):
            self._check(self._stream.readline())
        self._sock.sendall(message.replace(b"\r\n.", b"\r\n..") + b".\r\n")
        for _ in recipients:
            self._check(self._stream.readline())

    @staticmethod
    def _check(reply: bytes) -> None:
        if reply[:1] not in (b"2", b"3"):
            raise RuntimeError(f"refused: {reply!r}")

    def close(self) -> None:
        self._sock.sendall(b"QUIT\r\n")
        self._stream.close()
        self._sock.close()


def messages(count: int) -> list[bytes]:
    """Generated mail that ends with CRLF."""
    generator = Generator(7)
    return [generator.message().rstrip(b"\r\n") + b"\r\n" for _ in range(count)]


def one_connection(server: Server, mails: list[bytes], *recipients: str) -> None:
    """All over one connection."""
    client = Lmtp(server)
    for mail in mails:
        client.deliver(mail, *recipients)
    client.close()


def many_connections(server: Server, mails: list[bytes]) -> None:
    """Shared out over eight connections, each for a user of its own."""
    with ThreadPoolExecutor(CONNECTIONS) as pool:
        parts = [mails[at::CONNECTIONS] for at in range(CONNECTIONS)]
        names = [f"lmtp{number}" for number in range(CONNECTIONS)]
        list(pool.map(lambda part, name: one_connection(server, part, name), parts, names))


def lda(server: Server, mails: list[bytes], user: str) -> None:
    """A process for each message."""
    ours = [sys.executable, "-ISXutf8", str(REPOSITORY / "libexec" / "dovecot-lda")]
    command = [DOVECOT_LDA] if server.name == "dovecot" else ours
    for mail in mails:
        done = subprocess.run(
            [*command, "-c", str(server.place.root / "dovecot.conf"), "-d", user],
            input=mail, check=False, env={"PATH": os.environ["PATH"]},
        )  # fmt: skip
        if done.returncode:
            raise RuntimeError(f"exit status {done.returncode}")
