"""Bad input for listening sockets, and what came of it."""

import random
import socket
import ssl
import time
from dataclasses import dataclass
from pathlib import Path

# A server may take this long to say something; then it is taken to be waiting for more.
SILENT_SECS = 3.0
QUIET_SECS = 0.15  # after it has said something; on a busy machine a guess
MAX_ANSWER = 1 << 20


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a server did: its bytes after the greeting, and whether it hung up."""

    answer: bytes
    closed: bool


def noise(seed: int, size: int) -> bytes:
    """The same random bytes for the same seed."""
    return random.Random(seed).randbytes(size)


def trusting() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def abuse(
    address: int | Path,
    *pieces: bytes,
    tls: bool = False,
    greeting: bool = True,
    patience: float = SILENT_SECS,
    quiet: float = QUIET_SECS,
) -> Outcome:
    """Connect to a port or a UNIX socket, send pieces (each after the answer to the one before)."""
    sock = _connect(address)
    try:
        if tls:
            sock = trusting().wrap_socket(sock)
        if greeting:
            _read_line(sock)
        answer, closed = b"", False
        for piece in pieces:
            try:
                sock.sendall(piece)
            except OSError:
                closed = True  # it hung up while we were sending; what it said before is still to be read
            more, ended = _answer(sock, patience, quiet)
            answer += more
            if closed := closed or ended:
                break
        return Outcome(answer, closed)
    finally:
        sock.close()


def _connect(address: int | Path) -> socket.socket:
    if isinstance(address, int):
        sock = socket.create_connection(("127.0.0.1", address), timeout=60)
    else:
        sock = socket.socket(socket.AF_UNIX)
        sock.settimeout(60)
        sock.connect(str(address))
    return sock


def _read_line(sock: socket.socket) -> bytes:
    line = b""
    while not line.endswith(b"\n"):
        byte = sock.recv(1)
        if not byte:
            break
        line += byte
    return line


def _answer(sock: socket.socket, patience: float, quiet: float) -> tuple[bytes, bool]:
    """All that it says until it is quiet, and whether it hung up."""
    got = b""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and len(got) < MAX_ANSWER:
        sock.settimeout(quiet if got else patience)
        try:
            more = sock.recv(65536)
        except TimeoutError:
            return got, False
        except OSError:
            return got, True
        if not more:
            return got, True
        got += more
    return got, False
