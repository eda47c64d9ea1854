"""passdb static: the same answer for everybody, made of `args` (features E-34)."""

from pydovecot.authdb import extra
from pydovecot.authdb.driver import DriverWorld
from pydovecot.authdb.log import DbLog
from pydovecot.authdb.request import AuthRequest
from pydovecot.authdb.result import Result
from pydovecot.password.schemes import Stored
from pydovecot.password.secret import Secret


class StaticPassdb:
    """`args = password=secret`, `nopassword=y`, and any extra fields; values may hold % variables."""

    driver = "static"
    blocking = False
    can_lookup = True
    default_scheme = "PLAIN"

    def __init__(self, args: str, _world: DriverWorld) -> None:
        fields = extra.split_words(args)
        if any(name == "nopassword" for name, _value in fields):
            fields = [(name, value) for name, value in fields if name != "password"]
        self._fields = fields
        self.cache_key = ""  # quicker than a cache

    def lookup(self, request: AuthRequest, log: DbLog) -> Result:
        for name, value in self._fields:
            extra.apply(
                request,
                name,
                request.expand(value),
                self.default_scheme,
                log,
            )
        if request.stored is None and "nopassword" not in request.extra:
            if "proxy" not in request.extra:
                log.info(request, "No password returned (and no nopassword)")
            request.stored = Stored("PLAIN", "", b"") if "proxy" in request.extra else None
        return Result.OK

    def verify(self, request: AuthRequest, password: Secret, log: DbLog) -> Result:
        raise NotImplementedError
