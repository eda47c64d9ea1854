"""The client's side of the auth-client protocol: bytes in, handshake and replies out (features E.4).

Used by login processes; Postfix and Exim speak the same from their side.
"""

import base64
import binascii
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from types import MappingProxyType
from typing import Final

from pydovecot.base import tabescape
from pydovecot.proto.auth.lines import CLIENT_MAJOR, CLIENT_MINOR, COOKIE_BYTES, BadLine, LineBuffer

MAX_REQUEST_ID: Final = 2**32 - 1


class Status(Enum):
    """What the auth process said about a request."""

    OK = "OK"
    CONT = "CONT"
    FAIL = "FAIL"


@dataclass(frozen=True, slots=True)
class Mechanism:
    """A MECH line: the name as clients know it, and properties such as "plaintext" and "private"."""

    name: str
    properties: frozenset[str] = frozenset()

    @property
    def plaintext(self) -> bool:
        """The password travels readable: not without TLS when disable_plaintext_auth is on."""
        return "plaintext" in self.properties

    @property
    def private(self) -> bool:
        """Not for AUTH= lists (APOP)."""
        return "private" in self.properties


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer to one request. `data` is the decoded challenge of CONT, or the last server data of OK.

    `fields` are passdb's extra fields ("user", "nologin", "reason", "code", ...); one without value is "".
    """

    id: int
    status: Status
    data: bytes = b""
    fields: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))

    @property
    def user(self) -> str:
        """The name that counts from here on."""
        return self.fields.get("user", "")

    @property
    def reason(self) -> str:
        """A text to show to the client, or ""."""
        return self.fields.get("reason", "")

    @property
    def code(self) -> str:
        """temp_fail, authz_fail, user_disabled, pass_expired, invalid_base64, ... or ""."""
        return self.fields.get("code", "")

    @property
    def temporary(self) -> bool:
        """The auth process had an internal failure; the password may be right."""
        return self.code == "temp_fail" or "temp" in self.fields

    @property
    def nologin(self) -> bool:
        """Authenticated, but the user may not log in: `reason` says why."""
        return "nologin" in self.fields


@dataclass(slots=True)
class Handshake:
    """What the auth process says at the start of a connection."""

    mechanisms: dict[str, Mechanism] = field(default_factory=dict)
    server_pid: int = 0
    connect_uid: int = 0
    cookie: bytes = b""


def encode_hello(client_pid: int) -> bytes:
    """What a client sends first."""
    return f"VERSION\t{CLIENT_MAJOR}\t{CLIENT_MINOR}\nCPID\t{client_pid}\n".encode()


def encode_auth(
    request_id: int, mechanism: str, fields: Mapping[str, str | None], initial: bytes | None
) -> bytes:
    """An AUTH line. `fields`: service, lip, rip, lport, rport, session, ...; None sends the bare name."""
    parts = ["AUTH", str(request_id), mechanism]
    parts += [name if value is None else f"{name}={value}" for name, value in fields.items()]
    if initial is not None:
        parts.append("resp=" + base64.b64encode(initial).decode() if initial else "resp==")
    return tabescape.join_text(parts)


def encode_cont(request_id: int, data: bytes) -> bytes:
    """A CONT line with the client's answer to a challenge."""
    return b"CONT\t%d\t%s\n" % (request_id, base64.b64encode(data))


def encode_cancel(request_id: int) -> bytes:
    """The client went away or gave up: no reply is wanted any more."""
    return b"CANCEL\t%d\n" % request_id


class ClientCore:
    """Bytes of the auth process in, replies out; `handshake` is complete once `ready` is True."""

    def __init__(self) -> None:
        self._lines = LineBuffer()
        self.handshake = Handshake()
        self.ready = False

    def feed(self, data: bytes) -> list[Reply]:
        """The replies that `data` completes. Raises BadLine when the peer is no auth process of ours."""
        replies: list[Reply] = []
        for line in self._lines.feed(data):
            fields = tabescape.split_text(line)
            if not self.ready:
                self._handshake_line(fields)
            elif fields[0] in ("OK", "CONT", "FAIL"):
                replies.append(_reply(fields))
        return replies

    def _handshake_line(self, fields: list[str]) -> None:
        shake = self.handshake
        match fields:
            case ["VERSION", major, _minor, *_] if major != str(CLIENT_MAJOR):
                raise BadLine(f"auth process speaks protocol version {major}")
            case ["MECH", name, *properties]:
                shake.mechanisms[name] = Mechanism(name, frozenset(properties))
            case ["SPID", pid]:
                shake.server_pid = _number(pid)
            case ["CUID", number]:
                shake.connect_uid = _number(number)
            case ["COOKIE", cookie]:
                shake.cookie = _cookie(cookie)
            case ["DONE"]:
                if not shake.cookie or not shake.server_pid:
                    raise BadLine("handshake is incomplete")
                self.ready = True
            case _:
                pass  # later minor versions add lines


def _reply(fields: list[str]) -> Reply:
    if len(fields) < 2:
        raise BadLine("reply without an id")
    status, request_id = Status(fields[0]), _number(fields[1])
    if status is Status.CONT:
        return Reply(request_id, status, _base64(fields[2] if len(fields) > 2 else ""))
    named = parse_fields(fields[2:])
    data = _base64(named.pop("resp", "")) if status is Status.OK else b""
    return Reply(request_id, status, data, named)


def parse_fields(parts: Iterable[str]) -> dict[str, str]:
    """`name=value` and bare `name` fields as a dictionary; the last of a name wins."""
    named: dict[str, str] = {}
    for part in parts:
        name, _, value = part.partition("=")
        if name:
            named[name] = value
    return named


def _number(text: str) -> int:
    if not (text.isascii() and text.isdigit()) or len(text) > 10 or int(text) > MAX_REQUEST_ID:
        raise BadLine("not a number where one is needed")
    return int(text)


def _cookie(text: str) -> bytes:
    try:
        cookie = bytes.fromhex(text)
    except ValueError:
        cookie = b""
    if len(cookie) != COOKIE_BYTES:
        raise BadLine("broken cookie")
    return cookie


def _base64(text: str) -> bytes:
    try:
        return base64.b64decode(text.encode("ascii", "strict"), validate=True)
    except (binascii.Error, UnicodeEncodeError) as exc:
        raise BadLine("reply is no base64") from exc
