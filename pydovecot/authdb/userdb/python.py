"""userdb python: a function of the administrator's gives uid, gid, home and other fields (features E-42)."""

from collections.abc import Iterator

from pydovecot.authdb import pythondb, userdb_fields
from pydovecot.authdb.driver import DriverWorld
from pydovecot.authdb.log import DbLog
from pydovecot.authdb.request import AuthRequest
from pydovecot.authdb.result import UserResult


class PythonUserdb:
    """`args = module:function [cache_key=%u] [blocking=no]`; `function.users()` lists, where it exists."""

    driver = "python"
    checks_passdb = False

    def __init__(self, args: str, world: DriverWorld) -> None:
        self._lookup = pythondb.Lookup("userdb", args, world)
        self.blocking, self.cache_key = self._lookup.blocking, self._lookup.cache_key
        self.can_list = self._lookup.can_list

    def lookup(self, request: AuthRequest, log: DbLog) -> UserResult:
        found, fields = self._lookup.ask(request, log)
        if found is UserResult.OK:
            request.userdb_fields()
            for name, value in fields:
                userdb_fields.apply(request, name, value, log)
        return found

    def users(self) -> Iterator[str]:
        return iter(self._lookup.users())
