"""The contract of passdb and userdb drivers, and what they are given."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Protocol

from pydovecot.authdb.log import DbLog
from pydovecot.authdb.passwd_file import PasswdFiles
from pydovecot.authdb.request import AuthRequest
from pydovecot.authdb.result import Result, UserResult
from pydovecot.authdb.sql import SqlDatabases
from pydovecot.password.secret import Secret


class BadArgs(Exception):
    """The `args` of a passdb or userdb cannot be used; the text is for the administrator."""


class ListFailed(Exception):
    """The users cannot be listed now; the text is for the log."""


@dataclass(frozen=True, slots=True)
class DriverWorld:
    """What drivers of one process share. `dry`: only whether their args are good is asked."""

    files: PasswdFiles
    valid_uids: Callable[[int], bool] = lambda uid: uid != 0  # for listings
    sql: SqlDatabases = field(default_factory=SqlDatabases)
    dry: bool = False


class Passdb(Protocol):
    """Finds stored passwords, or verifies given ones.

    `blocking`: may wait for the network or a slow library, so it runs in an auth-worker. `cache_key`: a
    template of what the answer depends on, "" if it may not be cached. `can_lookup`: `lookup` works (PAM only
    verifies).
    """

    driver: str
    blocking: bool
    cache_key: str
    default_scheme: str
    can_lookup: bool

    def lookup(self, request: AuthRequest, log: DbLog) -> Result:
        """Set `request.stored` and extra fields; OK, UNKNOWN or INTERNAL."""
        ...

    def verify(self, request: AuthRequest, password: Secret, log: DbLog) -> Result:
        """Only for drivers that cannot look up: whether this is the user's password."""
        ...


class Userdb(Protocol):
    """Finds what a user is on this system.

    `checks_passdb`: for lookups without a login the passdbs are asked whether the user exists.
    `can_list`: all its users can be told.
    """

    driver: str
    blocking: bool
    cache_key: str
    checks_passdb: bool
    can_list: bool

    def lookup(self, request: AuthRequest, log: DbLog) -> UserResult:
        """Add to `request.userdb`."""
        ...

    def users(self) -> Iterator[str]:
        """All user names; none from a driver that cannot list. Raises ListFailed, also on the way."""
        ...
