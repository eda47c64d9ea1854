"""Blocking client of the auth-master and auth-userdb sockets, for mail workers and tools.

    with AuthMaster(context.run_path("auth-master")) as auth:
        reply = auth.request(client_pid, auth_id, cookie, session_pid=os.getpid())   # after a login
        reply = auth.user("alice", service="lmtp")                                   # None: no such user

A temporary failure raises AuthLookupFailed; its `reason` may be shown to the user.
"""

import contextlib
import os
import socket
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final, Self

from pydovecot.base import tabescape
from pydovecot.model.errors import InternalError
from pydovecot.proto.auth.client import parse_fields
from pydovecot.proto.auth.lines import MASTER_MAJOR, MASTER_MINOR, MAX_LINE_BYTES, BadLine, LineBuffer

LOOKUP_SECS: Final = 60.0  # Dovecot: AUTH_MASTER_LOOKUP_TIMEOUT_SECS
_READ_BYTES: Final = 65536
MAX_REPLY_LINE: Final = 4 * MAX_LINE_BYTES  # a user's fields may be many


@dataclass(frozen=True, slots=True)
class UserReply:
    """A found user: the name that counts from here on, and its fields (uid, gid, home, mail, ...)."""

    user: str
    fields: Mapping[str, str]


class AuthLookupFailed(InternalError):
    """The auth process could not answer; `reason` is "" or a text that may be shown."""

    def __init__(self, text: str, reason: str = "", fields: Mapping[str, str] | None = None) -> None:
        super().__init__(text)
        self.reason = reason
        self.fields = dict(fields or {})


class AuthMaster:
    """One connection; connects at the first use and again after a loss. Not for more than one thread."""

    def __init__(self, path: str, *, timeout: float = LOOKUP_SECS) -> None:
        self.path, self._timeout = path, timeout
        self._sock: socket.socket | None = None
        self._lines = LineBuffer(MAX_REPLY_LINE)
        self._ready: list[bytes] = []
        self._last_id = 0
        self.server_pid = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection; the next call opens a new one."""
        if self._sock is not None:
            self._sock.close()
        self._sock, self._ready, self._lines = None, [], LineBuffer(MAX_REPLY_LINE)

    def connect(self) -> None:
        """Connect now (while still privileged: auth-master is 0600). Raises AuthLookupFailed."""
        if self._sock is not None:
            return
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        try:
            sock.settimeout(self._timeout)
            sock.connect(self.path)
            sock.sendall(f"VERSION\t{MASTER_MAJOR}\t{MASTER_MINOR}\n".encode())
        except OSError as exc:
            sock.close()
            raise AuthLookupFailed(f"auth-master: connect({self.path}) failed: {_why(exc)}") from exc
        self._sock = sock
        self._handshake()

    def request(
        self, client_pid: int, auth_id: int, cookie: bytes, *, session_pid: int | None = None
    ) -> UserReply | None:
        """The user of a finished authentication; it can be asked for once. None: userdb does not know it."""
        pid = os.getpid() if session_pid is None else session_pid
        return self._user_reply(
            "REQUEST", [str(client_pid), str(auth_id), cookie.hex(), f"session_pid={pid}"], once=True
        )

    def user(
        self, user: str, *, service: str, params: Mapping[str, str | None] | None = None
    ) -> UserReply | None:
        """userdb lookup. `params`: lip, rip, session, debug (None: bare) ... None: no such user."""
        return self._user_reply("USER", [user, f"service={service}", *_params(params)])

    def passdb(
        self, user: str, *, service: str, params: Mapping[str, str | None] | None = None
    ) -> UserReply | None:
        """passdb lookup without a password (proxies, LMTP). None: no such user."""
        return self._user_reply("PASS", [user, f"service={service}", *_params(params)])

    def users(self, *, service: str, mask: str = "") -> Iterator[str]:
        """All users of the userdbs that can list; ask for nothing else until it ends."""
        number = self._send("LIST", [*([f"user={mask}"] if mask else []), f"service={service}"])
        while True:
            fields = self._answer(number)
            if fields[0] == "LIST":
                yield from fields[2:]
            elif fields[0] == "DONE":
                if fields[2:] == ["fail"]:
                    raise AuthLookupFailed("auth-master: Listing users failed")
                return
            else:
                raise _failure(fields)

    def cache_flush(self, users: list[str] | None = None) -> int:
        """Drop cached answers of these users (of all when empty); the number of entries dropped."""
        fields = self._answer(self._send("CACHE-FLUSH", users or []))
        if fields[0] != "OK" or len(fields) < 3 or not fields[2].isdigit():
            raise _failure(fields)
        return int(fields[2])

    def ask(self, command: str, *words: str) -> list[str]:
        """The fields of an answer as they came, without its number: for tools that show them."""
        fields = self._answer(self._send(command, list(words)))
        return [fields[0], *fields[2:]]

    def user_with(self, user: str, words: list[str]) -> UserReply | None:
        """userdb lookup with fields as they are; `service=` is one of them."""
        return self._user_reply("USER", [user, *words])

    # -- internals

    def _user_reply(self, command: str, args: list[str], *, once: bool = False) -> UserReply | None:
        reused = self._sock is not None
        try:
            fields = self._answer(self._send(command, args))
        except AuthLookupFailed:
            # A kept connection may be one to an auth process that was replaced since.
            if once or not reused or self._sock is not None:
                raise
            fields = self._answer(self._send(command, args))
        match fields:
            case ["USER" | "PASS", _, *rest]:
                if rest and rest[0].startswith("user="):
                    named = parse_fields(rest)
                    return UserReply(named.pop("user"), named)
                return UserReply(rest[0] if rest else "", parse_fields(rest[1:]))
            case ["NOTFOUND", *_]:
                return None
            case _:
                raise _failure(fields)

    def _send(self, command: str, args: list[str]) -> int:
        self.connect()
        assert self._sock is not None
        self._last_id = self._last_id % 0x7FFFFFFF + 1
        try:
            self._sock.sendall(tabescape.join_text([command, str(self._last_id), *args]))
        except OSError as exc:
            self.close()
            raise AuthLookupFailed(f"auth-master: write({self.path}) failed: {_why(exc)}") from exc
        return self._last_id

    def _answer(self, number: int) -> list[str]:
        while True:
            fields = self._line()
            if len(fields) >= 2 and fields[1] == str(number):
                return fields

    def _handshake(self) -> None:
        fields: list[str] = []
        while fields[:1] != ["SPID"]:
            fields = self._line()
            if fields[0] == "VERSION" and fields[1:2] != [str(MASTER_MAJOR)]:
                self.close()
                raise AuthLookupFailed("auth-master: Authentication server has a wrong protocol version")
        with contextlib.suppress(ValueError, IndexError):
            self.server_pid = int(fields[1])

    def _line(self) -> list[str]:
        while not self._ready:
            if self._sock is None:
                raise AuthLookupFailed("auth-master: Disconnected unexpectedly")
            try:
                data = self._sock.recv(_READ_BYTES)
                self._ready = self._lines.feed(data)
            except (OSError, BadLine) as exc:
                self.close()
                raise AuthLookupFailed(f"auth-master: read({self.path}) failed: {_why(exc)}") from exc
            if not data:
                self.close()
                raise AuthLookupFailed("auth-master: Disconnected unexpectedly")
        return tabescape.split_text(self._ready.pop(0))


def _params(params: Mapping[str, str | None] | None) -> list[str]:
    return [name if value is None else f"{name}={value}" for name, value in (params or {}).items()]


def _failure(fields: list[str]) -> AuthLookupFailed:
    named = parse_fields(fields[2:])
    reason = named.get("reason", "")
    return AuthLookupFailed("auth-master: Lookup failed" + (f": {reason}" if reason else ""), reason, named)


def _why(exc: Exception) -> str:
    return (exc.strerror or str(exc)) if isinstance(exc, OSError) else str(exc)
