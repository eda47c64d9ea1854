"""passdb python: a function of the administrator's finds the stored password (features E-42)."""

from pydovecot.authdb import extra, pythondb
from pydovecot.authdb.driver import DriverWorld
from pydovecot.authdb.log import DbLog
from pydovecot.authdb.request import AuthRequest
from pydovecot.authdb.result import Result, UserResult
from pydovecot.password.secret import Secret


class PythonPassdb:
    """`args = module:function [cache_key=%u] [blocking=no]`."""

    driver = "python"
    default_scheme = "PLAIN"
    can_lookup = True

    def __init__(self, args: str, world: DriverWorld) -> None:
        self._lookup = pythondb.Lookup("passdb", args, world)
        self.blocking, self.cache_key = self._lookup.blocking, self._lookup.cache_key

    def lookup(self, request: AuthRequest, log: DbLog) -> Result:
        found, fields = self._lookup.ask(request, log)
        if found is not UserResult.OK:
            return Result(found.value)
        extra.apply_all(request, fields, self.default_scheme, log)
        if request.stored is None and "nopassword" not in request.extra:
            log.info(request, "No password returned (and no nopassword)")
            return Result.MISMATCH
        return Result.OK

    def verify(self, request: AuthRequest, password: Secret, log: DbLog) -> Result:
        raise NotImplementedError
