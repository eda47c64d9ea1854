"""Blocking questions of tools to sockets that answer in lines of fields: anvil, master, log-errors.

    for ident, pid, count in anvil("/run/dovecot/anvil", "CONNECT-DUMP"): ...
    for row in master("/run/dovecot/master", "PROCESS-STATUS", "imap"): ...
"""

import socket
from collections.abc import Iterator
from typing import Final

from pydovecot.base import tabescape
from pydovecot.model.errors import InternalError

TIMEOUT_SECS: Final = 10.0
MAX_LINE: Final = 64 * 1024  # a log line with its prefix is the longest
_READ_BYTES: Final = 65536


class AskError(InternalError):
    """Nobody answers, or not in the protocol; worded as Dovecot's tools do."""


def anvil(path: str, command: str) -> Iterator[list[str]]:
    """Rows of one of anvil's dumps. Raises AskError."""
    with _connect(path) as sock:
        _send(sock, path, b"VERSION\tanvil\t1\t0\n" + tabescape.join_text([command]))
        yield from _table(_lines(sock, path), path)


def master(path: str, command: str, *words: str) -> Iterator[list[str]]:
    """Rows of PROCESS-STATUS or SERVICE-STATUS. Raises AskError."""
    with _connect(path) as sock:
        yield from _table(_ask_master(sock, path, [command, *words]), path)


def master_stop(path: str, service: str) -> bool:
    """Stop a service for good; False: there is no such service. Raises AskError."""
    with _connect(path) as sock:
        for line in _ask_master(sock, path, ["STOP", service]):
            return line.startswith(b"+")
    raise _disconnected(path)


def log_errors(path: str) -> Iterator[list[str]]:
    """The last warnings and errors: type, time, prefix, text. Raises AskError."""
    with _connect(path) as sock:
        for line in _lines(sock, path):
            yield tabescape.split_text(line)


def _connect(path: str) -> socket.socket:
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    sock.settimeout(TIMEOUT_SECS)
    try:
        sock.connect(path)
    except OSError as exc:
        sock.close()
        raise AskError(f"net_connect_unix({path}) failed: {exc.strerror or exc}") from exc
    return sock


def _send(sock: socket.socket, path: str, data: bytes) -> None:
    try:
        sock.sendall(data)
    except OSError as exc:
        raise AskError(f"write({path}) failed: {exc.strerror or exc}") from exc


def _ask_master(sock: socket.socket, path: str, words: list[str]) -> Iterator[bytes]:
    _send(sock, path, b"VERSION\tmaster-client\t1\t0\n" + tabescape.join_text(words))
    lines = _lines(sock, path)
    greeting = next(lines, b"")
    if not greeting.startswith(b"VERSION\tmaster-server\t1\t"):
        raise AskError(f"{path} not a compatible master")
    yield from lines


def _table(lines: Iterator[bytes], path: str) -> Iterator[list[str]]:
    """Lines up to an empty one."""
    for line in lines:
        if not line:
            return
        yield tabescape.split_text(line)
    raise _disconnected(path)


def _disconnected(path: str) -> AskError:
    return AskError(f"read({path}) failed: EOF")


def _lines(sock: socket.socket, path: str) -> Iterator[bytes]:
    rest = b""
    while True:
        try:
            data = sock.recv(_READ_BYTES)
        except OSError as exc:
            raise AskError(f"read({path}) failed: {exc.strerror or exc}") from exc
        if not data:
            return
        *lines, rest = (rest + data).split(b"\n")
        yield from lines
        if len(rest) > MAX_LINE:
            raise AskError(f"read({path}) failed: line too long")
