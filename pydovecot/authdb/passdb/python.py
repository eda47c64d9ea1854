"""passdb python: a function of the administrator's finds the stored password (features E-42)."""

from pydovecot.authdb import extra, pythondb
from pydovecot.authdb.driver import BadArgs, DriverWorld
from pydovecot.authdb.log import DbLog
from pydovecot.authdb.request import AuthRequest
from pydovecot.authdb.result import Result
from pydovecot.password.secret import Secret


class PythonPassdb:
    """`args = module:function [cache_key=%u] [blocking=no]`."""

    driver = "python"
    default_scheme = "PLAIN"
    can_lookup = True

    def __init__(self, args: str, world: DriverWorld) -> None:
        try:
            self._args = pythondb.parse_args(args)
            self._function = pythondb.load(self._args, dry=world.dry)
        except pythondb.BadFunction as exc:
            raise BadArgs(f"passdb {exc}") from exc
        self.blocking, self.cache_key = self._args.blocking, self._args.cache_key

    def lookup(self, request: AuthRequest, log: DbLog) -> Result:
        try:
            fields = pythondb.call(self._function, request)
        except pythondb.CallFailed as exc:
            log.error(request, f"{self._args.function} failed: {exc}")
            return Result.INTERNAL
        if fields is None:
            log.unknown_user(request)
            return Result.UNKNOWN
        extra.apply_all(request, fields, self.default_scheme, log)
        if request.stored is None and "nopassword" not in request.extra:
            log.info(request, "No password returned (and no nopassword)")
            return Result.MISMATCH
        return Result.OK

    def verify(self, request: AuthRequest, password: Secret, log: DbLog) -> Result:
        raise NotImplementedError
