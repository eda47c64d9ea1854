"""What all connections of an auth process share."""

import hashlib
import hmac
import os
import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Protocol

from pydovecot.authdb import remote
from pydovecot.authdb.database import Database
from pydovecot.authdb.log import DbLog
from pydovecot.authdb.steps import Blocking
from pydovecot.base import tabescape
from pydovecot.event.event import Event
from pydovecot.proto.auth.lines import CLIENT_MAJOR, CLIENT_MINOR, MASTER_MAJOR, MASTER_MINOR
from pydovecot.sasl.mechanism import Mechanism
from pydovecot.services.auth.failures import DelayedFailures, Timers
from pydovecot.services.auth.penalty import Penalties

if TYPE_CHECKING:
    from pydovecot.services.auth.client_session import ClientSession

REQUEST_SECS: Final = 150  # Dovecot: AUTH_REQUEST_TIMEOUT_SECS
MAX_REQUESTS: Final = 10_000  # open ones of one connection: ten times the clients of a login process


_VERSION: Final = b"VERSION\t%d\t%d\n" % (CLIENT_MAJOR, CLIENT_MINOR)
_SECRETS: Final = re.compile(r"(\bresp=|^CONT\t[^\t]*\t|^REQUEST\t\d+\t\d+\t\d+\t)[^\t]*", re.ASCII)


def hide(line: str) -> str:
    """A protocol line for the log: without responses, which hold passwords, and without cookies."""
    return _SECRETS.sub(r"\1<hidden>", line)


class Workers(Protocol):
    """Does blocking steps elsewhere; `callback` gets what the generator is waiting for."""

    def submit(self, step: Blocking, callback: Callable[[Any], None]) -> None: ...


class NoWorkers:
    """For a Database without workers: nothing is ever yielded."""

    def submit(self, step: Blocking, callback: Callable[[Any], None]) -> None:
        callback(remote.failed(step))


@dataclass(frozen=True, slots=True)
class World:
    """Time, randomness and identity of the process."""

    hostname: str
    pid: int = field(default_factory=os.getpid)
    now: Callable[[], float] = time.time
    random: Callable[[int], bytes] = os.urandom
    start_time: int = field(default_factory=lambda: int(time.time()))


class AuthServer:
    """The databases, the mechanisms, the login connections by pid, the queue of failures."""

    def __init__(
        self,
        database: Database,
        mechanisms: list[Mechanism],
        event: Event,
        timers: Timers,
        world: World,
        *,
        workers: Workers | None = None,
        penalties: Penalties | None = None,
    ) -> None:
        self.database, self.event, self.timers, self.world = database, event, timers, world
        self.mechanisms = {mechanism.name: mechanism for mechanism in mechanisms}
        self.workers: Workers = NoWorkers() if workers is None else workers
        self.penalties = Penalties(None, world.now) if penalties is None else penalties
        self.failures = DelayedFailures(database.settings.auth_failure_delay, timers, world.now)
        self.login_sessions: dict[int, ClientSession] = {}
        self.debug = database.rules.debug
        self.debug_passwords = database.rules.debug_passwords
        self.mech_logs = {name: DbLog(event, name.lower(), database.rules) for name in self.mechanisms}
        self.stopping = False
        self.request_log = DbLog(event, "auth", database.rules)
        self._connect_uid = 0
        self._token_secret = world.random(32)
        mech_lines = b"".join(
            tabescape.join_text(["MECH", mechanism.name, *mechanism.properties]) for mechanism in mechanisms
        )
        self._hello_head = _VERSION + mech_lines
        self.master_hello = b"VERSION\t%d\t%d\nSPID\t%d\n" % (MASTER_MAJOR, MASTER_MINOR, world.pid)

    def next_connect_uid(self) -> int:
        """A number for each client connection; APOP challenges name it."""
        self._connect_uid += 1
        return self._connect_uid

    def client_hello(self, connect_uid: int, cookie: bytes, *, token: bool = False) -> bytes:
        """What a client is told at once."""
        head = _VERSION if token else self._hello_head
        numbers = b"SPID\t%d\nCUID\t%d\nCOOKIE\t%s\nDONE\n" % (
            self.world.pid,
            connect_uid,
            cookie.hex().encode(),
        )
        return head + numbers

    def token(self, service: str, session_pid: int, user: str, session: str) -> str:
        """A token that proves later that this user logged in by this session (imap-urlauth)."""
        text = "\0".join((service, str(session_pid), user, session))
        return hmac.new(self._token_secret, text.encode("utf-8", "surrogateescape"), hashlib.sha1).hexdigest()
