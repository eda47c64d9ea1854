"""The request by which a login process gives a client to a mail worker, and the answer: only their bytes.

It carries the same facts as Dovecot's master_auth_request, in a form of our own: a fixed head, a line of
TAB separated fields, then the input that the client already sent. The client's descriptor travels beside the
first byte (SCM_RIGHTS); `inode` says which file it must be. Who may log in is not decided by this request:
the worker asks the auth process, which knows the cookie, the id and the login process.
"""

import struct
from dataclasses import dataclass
from typing import Final

from pydovecot.base import tabescape

MAGIC: Final = b"PDLOGIN1"
HEAD: Final = struct.Struct("!8sHH")  # magic, bytes of the field line, bytes of client input
COOKIE_BYTES: Final = 16  # Dovecot: MASTER_AUTH_COOKIE_SIZE
MAX_FIELDS_BYTES: Final = 2048  # session id, addresses, a name and a tag: all short
MAX_INPUT_BYTES: Final = 16384  # what a login process may have read ahead: one command line and one read
MAX_REPLY_BYTES: Final = 64

_FIELDS: Final = 15


class BadHandover(Exception):
    """The bytes are not a request or answer of this protocol."""


@dataclass(frozen=True, slots=True)
class HandoverRequest:
    """Everything a mail worker is told about a client that has just logged in."""

    tag: int  # chosen by the login process, comes back in the answer
    auth_pid: int  # pid of the auth process, as it said in SPID
    auth_id: int  # id of the successful authentication
    client_pid: int  # pid of the login process, as it said in CPID
    cookie: bytes  # COOKIE of the auth connection
    inode: int  # of the descriptor that comes along
    local_ip: str
    remote_ip: str
    local_port: int
    remote_port: int
    secured: bool  # TLS, local or from a trusted network
    tls: bool
    session: str
    local_name: str = ""  # TLS SNI, selects local_name blocks
    command_tag: bytes = b""  # IMAP tag of the command that logged in
    send_capability: bool = False  # the client reads the capability code of the tagged OK
    input: bytes = b""  # already read from the client, not yet used

    def encode(self) -> bytes:
        """The whole request; raises BadHandover when a part is over its limit."""
        flags = "s" * self.secured + "t" * self.tls + "c" * self.send_capability
        parts = (
            *(str(n).encode() for n in (self.tag, self.auth_pid, self.auth_id, self.client_pid)),
            self.cookie.hex().encode(),
            str(self.inode).encode(),
            self.local_ip.encode(),
            self.remote_ip.encode(),
            str(self.local_port).encode(),
            str(self.remote_port).encode(),
            flags.encode(),
            self.session.encode("utf-8", "surrogateescape"),
            self.local_name.encode("utf-8", "surrogateescape"),
            self.command_tag,
            b"",  # room for a later field: its absence and its emptiness are the same
        )
        line = b"\t".join(map(tabescape.escape, parts))
        if len(line) > MAX_FIELDS_BYTES or len(self.input) > MAX_INPUT_BYTES:
            raise BadHandover(f"request too large ({len(line)} + {len(self.input)} bytes)")
        return HEAD.pack(MAGIC, len(line), len(self.input)) + line + self.input


def body_size(head: bytes) -> int:
    """How many bytes follow a head of HEAD.size bytes."""
    magic, fields, data = HEAD.unpack(head)
    if magic != MAGIC:
        raise BadHandover("wrong magic")
    if fields > MAX_FIELDS_BYTES or data > MAX_INPUT_BYTES:
        raise BadHandover(f"announced size too large ({fields} + {data} bytes)")
    return int(fields) + int(data)


def decode(message: bytes) -> HandoverRequest:
    """The request of head and body; raises BadHandover for anything that `encode` did not make."""
    if len(message) < HEAD.size or len(message) != HEAD.size + body_size(message[: HEAD.size]):
        raise BadHandover("truncated request")
    fields = HEAD.unpack_from(message)[1]
    line, data = message[HEAD.size : HEAD.size + fields], message[HEAD.size + fields :]
    parts = tabescape.split(line)
    if len(parts) != _FIELDS:
        raise BadHandover(f"{len(parts)} fields instead of {_FIELDS}")
    try:
        cookie = bytes.fromhex(parts[4].decode("ascii"))
        flags = parts[10].decode("ascii")
        request = HandoverRequest(
            _number(parts[0]),
            _number(parts[1]),
            _number(parts[2]),
            _number(parts[3]),
            cookie,
            _number(parts[5]),
            parts[6].decode("ascii"),
            parts[7].decode("ascii"),
            _number(parts[8], 65535),
            _number(parts[9], 65535),
            "s" in flags,
            "t" in flags,
            parts[11].decode("utf-8", "surrogateescape"),
            parts[12].decode("utf-8", "surrogateescape"),
            parts[13],
            "c" in flags,
            data,
        )
    except ValueError as exc:
        raise BadHandover(f"unreadable field: {exc}") from exc
    if len(cookie) != COOKIE_BYTES:
        raise BadHandover("cookie has a wrong size")
    return request


@dataclass(frozen=True, slots=True)
class HandoverReply:
    """A worker's answer: the client is served by `mail_pid` now, or could not be taken."""

    tag: int
    ok: bool
    mail_pid: int

    def encode(self) -> bytes:
        return f"{self.tag}\t{'OK' if self.ok else 'FAIL'}\t{self.mail_pid}\n".encode()


def decode_reply(line: bytes) -> HandoverReply:
    """The answer of one line, with or without its LF; raises BadHandover."""
    parts = line.rstrip(b"\n").split(b"\t")
    if len(parts) != 3 or parts[1] not in (b"OK", b"FAIL"):
        raise BadHandover("unreadable answer")
    try:
        return HandoverReply(_number(parts[0]), parts[1] == b"OK", _number(parts[2]))
    except ValueError as exc:
        raise BadHandover(f"unreadable answer: {exc}") from exc


def _number(text: bytes, highest: int = 2**64 - 1) -> int:
    if not text.isdigit() or len(text) > 20:
        raise ValueError("not a number")
    value = int(text)
    if value > highest:
        raise ValueError("number too large")
    return value
