"""userdb prefetch: what the passdb gave as userdb_ fields (features E-35)."""

from collections.abc import Iterator

from pydovecot.authdb.driver import DriverWorld
from pydovecot.authdb.log import DbLog
from pydovecot.authdb.request import AuthRequest
from pydovecot.authdb.result import UserResult


class PrefetchUserdb:
    """Takes no arguments. Lookups without a login have nothing prefetched: another userdb must follow."""

    driver = "prefetch"
    blocking = False
    cache_key = ""
    checks_passdb = False
    can_list = False

    def __init__(self, _args: str, _world: DriverWorld) -> None:
        pass

    def lookup(self, request: AuthRequest, log: DbLog) -> UserResult:
        if request.userdb_prefetched:
            log.debug(request, "success")
            return UserResult.OK
        if log.alone:
            log.error(request, "userdb lookup not possible with only userdb prefetch")
            return UserResult.INTERNAL
        log.debug(request, "passdb didn't return userdb entries, trying the next userdb")
        return UserResult.UNKNOWN

    def users(self) -> Iterator[str]:
        return iter(())
