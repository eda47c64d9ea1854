"""userdb python: a function of the administrator's gives uid, gid, home and other fields (features E-42)."""

from collections.abc import Iterator

from pydovecot.authdb import pythondb, userdb_fields
from pydovecot.authdb.driver import BadArgs, DriverWorld, ListFailed
from pydovecot.authdb.log import DbLog
from pydovecot.authdb.request import AuthRequest
from pydovecot.authdb.result import UserResult


class PythonUserdb:
    """`args = module:function [cache_key=%u] [blocking=no]`; `function.users()` lists, where it exists."""

    driver = "python"
    checks_passdb = False

    def __init__(self, args: str, world: DriverWorld) -> None:
        try:
            self._args = pythondb.parse_args(args)
            self._function = pythondb.load(self._args, dry=world.dry)
        except pythondb.BadFunction as exc:
            raise BadArgs(f"userdb {exc}") from exc
        self.blocking, self.cache_key = self._args.blocking, self._args.cache_key

    def lookup(self, request: AuthRequest, log: DbLog) -> UserResult:
        try:
            fields = pythondb.call(self._function, request)
        except pythondb.CallFailed as exc:
            log.error(request, f"{self._args.function} failed: {exc}")
            return UserResult.INTERNAL
        if fields is None:
            log.unknown_user(request)
            return UserResult.UNKNOWN
        request.userdb_fields()
        for name, value in fields:
            userdb_fields.apply(request, name, value, log)
        return UserResult.OK

    def users(self) -> Iterator[str] | None:
        listing = getattr(self._function, "users", None)
        if listing is None:
            return None
        try:
            return iter(pythondb.names(listing))
        except pythondb.CallFailed as exc:
            raise ListFailed(f"python: {self._args.function}.users failed: {exc}") from exc
