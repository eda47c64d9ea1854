"""What the login core asks of its surroundings: the process in real life, a few lines in a test."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from pydovecot.login.handover import HandoverReply
from pydovecot.proto.auth.client import Mechanism, Reply


class AuthRequest(Protocol):
    """One authentication in flight."""

    @property
    def id(self) -> int: ...

    def proceed(self, data: bytes) -> None: ...

    def cancel(self) -> None: ...


@dataclass(frozen=True, slots=True)
class TlsState:
    """What is known of a client's TLS, for the log, for auth and for the settings."""

    handshaked: bool = False
    error: str = ""
    protocol: str = ""
    cipher: str = ""
    bits: int = 0
    server_name: str = ""  # SNI
    certificate: str = "none"  # none, valid, invalid
    certificate_name: str = ""

    @property
    def security(self) -> str:
        """%k: "TLSv1.3 with cipher X (256/256 bits)"."""
        if not self.handshaked:
            return ""
        return f"{self.protocol} with cipher {self.cipher} ({self.bits}/{self.bits} bits)"


NO_TLS = TlsState()


@dataclass(frozen=True, slots=True)
class Given:
    """What a login core gives away with its client: the facts of a handover that only it knows."""

    auth_id: int
    secured: bool
    tls: bool
    session: str
    command_tag: bytes
    send_capability: bool
    input: bytes


class Host(Protocol):
    """One client's surroundings. `send` never blocks; `close` flushes what was sent, then closes."""

    @property
    def auth_ready(self) -> bool: ...

    @property
    def mechanisms(self) -> Mapping[str, Mechanism]: ...

    @property
    def auth_identity(self) -> tuple[int, int]:
        """Pid of the auth process and its number for our connection: parts of an APOP challenge."""
        ...

    @property
    def tls_available(self) -> bool:
        """A certificate is configured and loaded."""
        ...

    @property
    def tls_state(self) -> TlsState: ...

    def now(self) -> float: ...

    def send(self, data: bytes) -> None: ...

    def start_tls(self) -> None:
        """Speak TLS from now on, after what was sent."""
        ...

    def close(self) -> None: ...

    def authenticate(
        self,
        mechanism: str,
        fields: Mapping[str, str | None],
        initial: bytes | None,
        on_reply: Callable[[Reply], None],
    ) -> AuthRequest: ...

    def count_sessions(self, user: str, remote_ip: str, callback: Callable[[int], None]) -> None:
        """Ask anvil how many sessions this user has from this address."""
        ...

    def hand_over(self, given: Given, callback: Callable[[HandoverReply | None], None]) -> None:
        """Give the client to a mail worker; None: no worker could be reached."""
        ...

    def released(self) -> None:
        """The core is done with this client: it is logged in, or gone."""
        ...
