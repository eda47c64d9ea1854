"""Login transcripts in memory: the login core with an auth process and a mail worker of a few lines.

Any user has the password "wonder"; "nologin" may not log in. Answers come in a later turn, as from sockets.
"""

import base64
import itertools
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from pydovecot.event.event import Event
from pydovecot.event.sinks import ListSink
from pydovecot.login.client import LoginClient
from pydovecot.login.handover import HandoverReply
from pydovecot.login.host import NO_TLS, Given, TlsState
from pydovecot.login.peer import Peer
from pydovecot.proto.auth.client import Mechanism, Reply, Status
from pydovecot.services.imap_login.client import ImapLoginClient
from pydovecot.services.pop3_login.client import Pop3LoginClient
from pydovecot.settings.memory import MemoryView
from tests.support.memory import Cut
from tests.support.serverconf import PASSWORD
from tests.support.transcript import Transcript

PROPERTIES = {
    "PLAIN": {"plaintext"},
    "LOGIN": {"plaintext"},
    "CRAM-MD5": {"dictionary", "active"},
    "APOP": {"private", "dictionary", "active"},
    "RPOP": {"private", "plaintext"},
    "ANONYMOUS": {"anonymous"},
}
LOCAL = "127.0.0.1"
REMOTE = "127.0.0.2"
MAIL_PID = 4711


class FakeRequest:
    """One authentication of the fake auth process."""

    def __init__(self, host: "MemoryHost", mechanism: str, on_reply: Callable[[Reply], None]) -> None:
        self.host, self.mechanism, self.on_reply = host, mechanism, on_reply
        self.id = host.next_id()
        self.answers: list[bytes] = []
        self.cancelled = False

    def proceed(self, data: bytes) -> None:
        self.answers.append(data)
        self.host.later(self.advance)

    def cancel(self) -> None:
        self.cancelled = True

    def advance(self) -> None:
        """Ask on, or decide."""
        if self.cancelled:
            return
        given = self.answers
        if self.mechanism == "PLAIN":
            self._decide(given[0].split(b"\0")[1:] if given else None, b"")
        elif self.mechanism == "RPOP":
            self._decide(given[0].split(b"\0"), b"")
        elif self.mechanism == "LOGIN":
            prompt = b"Password:" if given else b"Username:"
            self._decide(given if len(given) == 2 else None, prompt)
        else:
            self._decide([b"", b""] if given else None, b"<1.2@example.com>")

    def _decide(self, credentials: list[bytes] | None, challenge: bytes) -> None:
        if credentials is None:
            self.on_reply(Reply(self.id, Status.CONT, challenge))
            return
        user = credentials[0].decode("utf-8", "replace") if credentials else ""
        fields = {"user": user} if user else {}
        if len(credentials) != 2 or credentials[1] != PASSWORD.encode():
            self.on_reply(Reply(self.id, Status.FAIL, fields=fields))
        elif user == "nologin":
            self.on_reply(Reply(self.id, Status.OK, fields={**fields, "nologin": ""}))
        else:
            self.on_reply(Reply(self.id, Status.OK, fields=fields))


class MemoryHost:
    """`login.host.Host` without sockets."""

    def __init__(self, mechanisms: str) -> None:
        self.auth_ready = True
        self.mechanisms: Mapping[str, Mechanism] = {
            name: Mechanism(name, frozenset(PROPERTIES[name])) for name in mechanisms.upper().split()
        }
        self.auth_identity = (77, 1)
        self.tls_available = True
        self.tls_state: TlsState = NO_TLS
        self.time = 1_700_000_000.0
        self.output = bytearray()
        self.closed = self.done = False
        self.given: Given | None = None
        self.sessions = 0
        self.handover_reply: HandoverReply | None = HandoverReply(1, True, MAIL_PID)
        self.auth_fields: Mapping[str, str | None] = {}
        self.turns: deque[Callable[[], None]] = deque()
        self.client: LoginClient
        self._id = 0

    def next_id(self) -> int:
        self._id += 1
        return self._id

    def later(self, call: Callable[[], None]) -> None:
        self.turns.append(call)

    def settle(self) -> None:
        """Let everything happen that is due."""
        while self.turns:
            self.turns.popleft()()

    def now(self) -> float:
        return self.time

    def send(self, data: bytes) -> None:
        if not self.closed:
            self.output += data

    def start_tls(self) -> None:
        self.later(self._tls_begins)

    def _tls_begins(self) -> None:
        self.tls_state = TlsState(handshaked=True, protocol="TLSv1.3", cipher="X", bits=256)
        self.client.starttls_done()

    def close(self) -> None:
        self.closed = True

    def authenticate(
        self,
        mechanism: str,
        fields: Mapping[str, str | None],
        initial: bytes | None,
        on_reply: Callable[[Reply], None],
    ) -> FakeRequest:
        self.auth_fields = fields
        request = FakeRequest(self, mechanism, on_reply)
        if initial is not None:
            request.answers.append(initial)
        self.later(request.advance)
        return request

    def count_sessions(self, user: str, remote_ip: str, callback: Callable[[int], None]) -> None:
        callback(self.sessions)

    def hand_over(self, given: Given, callback: Callable[[HandoverReply | None], None]) -> None:
        self.given = given
        self.later(lambda: callback(self.handover_reply))
        self.later(self._worker_speaks)

    def _worker_speaks(self) -> None:
        if self.given is None or self.closed:
            return
        if self.client.service == "pop3":
            self.output += b"+OK Logged in.\r\n"
        elif self.given.send_capability:
            self.output += self.given.command_tag + b" OK [CAPABILITY IMAP4rev1] Logged in\r\n"
        else:
            self.output += b"* CAPABILITY IMAP4rev1\r\n" + self.given.command_tag + b" OK Logged in\r\n"

    def released(self) -> None:
        self.done = True


def login_client(
    protocol: str, settings: Mapping[str, str] | None = None, *, remote: str = LOCAL, tls: bool = False
) -> tuple[LoginClient, MemoryHost, ListSink]:
    """A client with its host and its log, not greeted yet."""
    texts = {"ssl_cert": "x", "ssl_key": "x", "login_greeting": "Hello.", **(settings or {})}
    rpop = " rpop" if texts.get("pop3_rpop") == "yes" else ""
    host = MemoryHost(texts.get("auth_mechanisms", "plain login cram-md5 apop") + rpop)
    kind: Any = {"imap": ImapLoginClient, "pop3": Pop3LoginClient}[protocol]
    sink = ListSink()
    view = MemoryView({name: text for name, text in texts.items() if name != "auth_mechanisms"})
    who = Peer(LOCAL, 143, remote, 43210, protocol)
    host.client = kind(host, who, view, Event(sink), tls=tls)
    return host.client, host, sink


class LoginMemoryConnection:
    """Feeds the core, cut in some way, and keeps what it says."""

    def __init__(self, client: LoginClient, host: MemoryHost, cut: Cut) -> None:
        self._client, self._host, self._cut = client, host, cut
        client.auth_ready()

    def send(self, data: bytes) -> None:
        for piece in self._cut(data):
            if self._client.closed:
                return
            self._client.feed(piece)
            self._host.settle()

    def receive(self) -> bytes:
        if self._host.output:
            out = bytes(self._host.output)
            self._host.output.clear()
            return out
        if self._host.closed:
            return b""
        raise TimeoutError

    def close(self) -> None:
        self._client.lost()


class LoginMemoryHarness:
    """One login transcript for one way of cutting. Files named *.remote.* come from another address."""

    label = "memory"
    user = "alice"

    def __init__(self, transcript: Transcript, cut: Cut) -> None:
        self._transcript, self._cut = transcript, cut
        self.settings = {"disable_plaintext_auth": "no"}
        depth = 0
        for line in transcript.settings:
            name, equals, value = line.partition("=")
            if equals and not depth:
                self.settings[name.strip()] = value.strip()
            depth += line.count("{") - line.count("}")

    def open(self, conn: int) -> LoginMemoryConnection:
        """A new client."""
        del conn
        remote = REMOTE if ".remote." in self._transcript.path.name else LOCAL
        client, host, _sink = login_client(self._transcript.protocol, self.settings, remote=remote)
        return LoginMemoryConnection(client, host, self._cut)

    def close(self) -> None:
        """Nothing to clean."""


def cuts_of(data: bytes, at: Iterable[int]) -> list[bytes]:
    """`data` in pieces that end at the given places."""
    edges = [0, *sorted({place % (len(data) + 1) for place in at}), len(data)]
    return [data[a:b] for a, b in itertools.pairwise(edges) if a < b]


def base64_plain(user: bytes, password: bytes) -> bytes:
    """The initial response of PLAIN."""
    return base64.b64encode(b"\0" + user + b"\0" + password)
