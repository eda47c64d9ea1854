"""passdb static: the same answer for everybody, made of `args` (features E-34)."""

from pydovecot.authdb import extra
from pydovecot.authdb.driver import DriverWorld
from pydovecot.authdb.log import DbLog
from pydovecot.authdb.request import AuthRequest
from pydovecot.authdb.result import Result
from pydovecot.password import schemes
from pydovecot.password.secret import Secret


class StaticPassdb:
    """`args = password=secret`, `nopassword=y`, and any extra fields; values may hold % variables."""

    driver = "static"
    blocking = False
    can_lookup = True
    default_scheme = "PLAIN"

    def __init__(self, args: str, _world: DriverWorld) -> None:
        fields = extra.split_words(args)
        self._open = any(name == "nopassword" for name, _value in fields)
        # What mechanisms get that need a password, where any is right.
        self._proof = next((value for name, value in fields if name == "password"), "")
        self._fields = [(name, value) for name, value in fields if name != "password" or not self._open]
        self.cache_key = ""  # quicker than a cache

    def lookup(self, request: AuthRequest, log: DbLog) -> Result:
        log.debug(request, "lookup")
        for name, value in self._fields:
            extra.apply(
                request,
                name,
                request.expand(value),
                self.default_scheme,
                log,
            )
        if self._open or (request.stored is None and "proxy" in request.extra):
            text = request.expand(self._proof).encode("utf-8", "surrogateescape")
            request.stored = schemes.parse(text, self.default_scheme)
        if request.stored is None and "nopassword" not in request.extra:
            log.info(request, "No password returned (and no nopassword)")
            return Result.MISMATCH
        return Result.OK

    def verify(self, request: AuthRequest, password: Secret, log: DbLog) -> Result:
        raise NotImplementedError
