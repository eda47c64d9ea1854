"""passdb sql: the password and extra fields are columns of a query (features E-36)."""

from pydovecot.authdb import extra
from pydovecot.authdb.driver import BadArgs, DriverWorld
from pydovecot.authdb.log import DbLog
from pydovecot.authdb.request import AuthRequest
from pydovecot.authdb.result import Result
from pydovecot.authdb.sql import SqlFailed, escape, is_text
from pydovecot.password.secret import Secret


class SqlPassdb:
    """`args = /etc/dovecot/dovecot-sql.conf.ext`."""

    driver = "sql"
    blocking = True  # SQLite waits for the disk, and for whoever writes
    can_lookup = True

    def __init__(self, args: str, world: DriverWorld) -> None:
        self._database = world.sql.get(args.strip(), lambda reason: BadArgs(f"passdb {reason}"))
        settings = self._database.settings
        self._query = settings.password_query
        self.default_scheme = settings.default_pass_scheme
        self.cache_key = self._query

    def lookup(self, request: AuthRequest, log: DbLog) -> Result:
        query = request.expand_escaped(self._query, escape)
        if not is_text(query):
            log.unknown_user(request)
            return Result.UNKNOWN
        if log.rules.debug:
            shown = request.expand_escaped(self._query, escape, hide_password=True)
            log.debug(request, f"query: {shown}")
        try:
            rows = self._database.query(query, limit=2)
        except SqlFailed as exc:
            log.error(request, f"Password query failed: {exc}")
            return Result.INTERNAL
        if not rows:
            log.unknown_user(request)
            return Result.UNKNOWN
        names = {name for name, _ in rows[0]}
        if not names & {"password", "password_noscheme"}:
            log.error(request, "Password query must return a field named 'password'")
            return Result.INTERNAL
        if len(rows) > 1:
            log.error(request, "Password query returned multiple matches")
            return Result.INTERNAL
        for name, value in rows[0]:
            if value is not None:
                extra.apply(request, name, value, self.default_scheme, log)
        if request.stored is None and "nopassword" not in request.extra:
            log.info(request, "No password returned (and no nopassword)")
            return Result.MISMATCH
        return Result.OK

    def verify(self, request: AuthRequest, password: Secret, log: DbLog) -> Result:
        raise NotImplementedError
