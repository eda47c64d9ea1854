"""One authentication from a tool, blocking: mechanism PLAIN over the auth-client protocol.

    with AuthPlain("/run/dovecot/auth-client") as auth:
        answer = auth.authenticate("alice", "", b"password", {"service": "imap"})

`answer.fields` are as the auth process wrote them, in its order.
"""

import contextlib
import os
import socket
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final, Self

from pydovecot.base import tabescape
from pydovecot.model.errors import InternalError
from pydovecot.proto.auth.client import encode_auth, encode_hello
from pydovecot.proto.auth.lines import BadLine, LineBuffer

TIMEOUT_SECS: Final = 150.0  # Dovecot: AUTH_REQUEST_TIMEOUT_SECS; an answer to a wrong password is slow
_REQUEST: Final = 1


class AuthUnreachable(InternalError):
    """No answer; the text says why in Dovecot's words."""


@dataclass(frozen=True, slots=True)
class Answer:
    """`status` is OK, FAIL or CONT."""

    status: str
    fields: list[str] = field(default_factory=list)


class AuthPlain:
    """A connection for one request."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._sock: socket.socket | None = None
        self._lines = LineBuffer()
        self.server_pid = 0
        self.cookie = b""

    def __enter__(self) -> Self:
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        sock.settimeout(TIMEOUT_SECS)
        try:
            sock.connect(self._path)
            sock.sendall(encode_hello(os.getpid()))
        except OSError as exc:
            sock.close()
            raise self._failed(f"connect({self._path}) failed: {exc.strerror or exc}") from exc
        self._sock = sock
        return self

    def __exit__(self, *_exc: object) -> None:
        if self._sock is not None:
            self._sock.close()

    @property
    def request_id(self) -> int:
        """What a mail process would ask auth-master for."""
        return _REQUEST

    def authenticate(
        self, user: str, master_user: str, password: bytes, fields: Mapping[str, str | None]
    ) -> Answer:
        """Log in as `user` with the password of `master_user` or its own. Raises AuthUnreachable."""
        assert self._sock is not None
        login = (master_user or user).encode("utf-8", "surrogateescape")
        initial = b"\0".join((user.encode("utf-8", "surrogateescape"), login, password))
        lines = self._read()
        for line in lines:
            self._handshake(line)
            if line[:1] == ["DONE"]:
                break
        try:
            self._sock.sendall(encode_auth(_REQUEST, "PLAIN", fields, initial))
        except OSError as exc:
            raise self._failed(f"write({self._path}) failed: {exc.strerror or exc}") from exc
        for line in lines:
            if line[0] in ("OK", "FAIL", "CONT") and line[1:2] == [str(_REQUEST)]:
                return Answer(line[0], line[2:])
        raise AssertionError("unreachable")

    def _handshake(self, line: list[str]) -> None:
        with contextlib.suppress(ValueError):
            match line:
                case ["VERSION", major, *_] if major != "1":
                    raise self._failed(f"Server uses unsupported protocol version {major}")
                case ["SPID", pid]:
                    self.server_pid = int(pid)
                case ["COOKIE", cookie]:
                    self.cookie = bytes.fromhex(cookie)

    def _read(self) -> Iterator[list[str]]:
        """Lines until the end, which is a failure."""
        assert self._sock is not None
        while True:
            try:
                data = self._sock.recv(65536)
                lines = self._lines.feed(data)
            except (OSError, BadLine) as exc:
                raise self._failed(f"read({self._path}) failed: {exc}") from exc
            if not data:
                raise self._failed("Connection closed: Disconnected by server")
            yield from map(tabescape.split_text, lines)

    def _failed(self, text: str) -> AuthUnreachable:
        return AuthUnreachable(f"auth-client: conn unix:{self._path}: {text}")
