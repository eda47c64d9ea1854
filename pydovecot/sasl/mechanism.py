"""What a SASL mechanism is: a generator that talks to the client and asks the server for what it needs.

    def run(context, initial):
        data = yield Challenge(b"Username:")          # bytes of the client
        if not (yield SetUser(name)):                 # False: the server has logged why
            return Failure()
        ok = yield VerifyPlain(Secret(password))
        return Success() if ok else Failure()

No socket, clock or log inside: the same code runs in tests and in the auth process.
"""

from collections.abc import Callable, Generator
from dataclasses import dataclass
from enum import Enum
from typing import Any

from pydovecot.password.secret import Secret


@dataclass(frozen=True, slots=True)
class Challenge:
    """Send this to the client; the answer comes back as bytes."""

    data: bytes


@dataclass(frozen=True, slots=True)
class SetUser:
    """The client says who it is; `authzid` is whom it wants to be, "" for itself. Gives True if accepted."""

    user: str
    authzid: str = ""


@dataclass(frozen=True, slots=True)
class SetCertificateUser:
    """The client is whom its TLS certificate names; `authzid` as in SetUser. Gives True if accepted."""

    authzid: str = ""


@dataclass(frozen=True, slots=True)
class VerifyPlain:
    """Ask the passdbs about a password. Gives True if it is right."""

    password: Secret


@dataclass(frozen=True, slots=True)
class WantCredentials:
    """Ask the passdbs for the stored password. Gives (scheme or "PLAIN", raw bytes), or None."""

    scheme: str


@dataclass(frozen=True, slots=True)
class BecomeAnonymous:
    """Log in as auth_anonymous_username; `trace` is what the client told about itself."""

    trace: str


Step = Challenge | SetUser | SetCertificateUser | VerifyPlain | WantCredentials | BecomeAnonymous


@dataclass(frozen=True, slots=True)
class Success:
    """Authenticated; `data` is sent along (SCRAM's server signature)."""

    data: bytes = b""


@dataclass(frozen=True, slots=True)
class Failure:
    """Not authenticated; `log` says why unless the server knows already. `mismatch`: a wrong password."""

    log: str = ""
    mismatch: bool = False


@dataclass(frozen=True, slots=True)
class SaslContext:
    """What the server tells a mechanism about itself."""

    hostname: str
    server_pid: int
    connect_uid: int  # of the auth connection: APOP challenges name it
    start_time: int  # of this auth process
    now: Callable[[], float]
    random: Callable[[int], bytes]
    realms: tuple[str, ...] = ()  # auth_realms


Outcome = Success | Failure
Conversation = Generator[Step, Any, Outcome]
Run = Callable[[SaslContext, bytes | None], Conversation]


class Need(Enum):
    """What at least one passdb must be able to do."""

    NOTHING = "nothing"
    VERIFY = "verify"
    LOOKUP = "lookup"


@dataclass(frozen=True, slots=True)
class Mechanism:
    """One row of the registry. `properties` are the words of its MECH line, in order."""

    name: str
    properties: tuple[str, ...]
    need: Need
    run: Run
