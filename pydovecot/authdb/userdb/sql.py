"""userdb sql: uid, gid, home and other fields are columns of a query (features E-36)."""

from collections.abc import Iterator

from pydovecot.authdb import userdb_fields
from pydovecot.authdb.driver import BadArgs, DriverWorld, ListFailed
from pydovecot.authdb.log import DbLog
from pydovecot.authdb.request import AuthRequest
from pydovecot.authdb.result import UserResult
from pydovecot.authdb.sql import SqlFailed, escape, is_text


class SqlUserdb:
    """`args = /etc/dovecot/dovecot-sql.conf.ext`."""

    driver = "sql"
    blocking = True
    checks_passdb = False
    can_list = True

    def __init__(self, args: str, world: DriverWorld) -> None:
        self._database = world.sql.get(args.strip(), lambda reason: BadArgs(f"userdb {reason}"))
        self._query = self._database.settings.user_query
        self.cache_key = self._query

    def lookup(self, request: AuthRequest, log: DbLog) -> UserResult:
        query = request.expand_escaped(self._query, escape)
        if not is_text(query):
            log.unknown_user(request)
            return UserResult.UNKNOWN
        if log.rules.debug:
            log.debug(request, query)
        try:
            rows = self._database.query(query, limit=1)  # Dovecot takes the first row too
        except SqlFailed as exc:
            log.error(request, f"User query failed: {exc}")
            return UserResult.INTERNAL
        if not rows:
            log.unknown_user(request)
            return UserResult.UNKNOWN
        request.userdb_fields()
        for name, value in rows[0]:
            if value is not None:
                userdb_fields.apply(request, name, value, log)
        return UserResult.OK

    def users(self) -> Iterator[str]:
        query = AuthRequest().expand_escaped(self._database.settings.iterate_query, escape)
        try:
            for row in self._database.stream(query):
                name = _name(dict(row))
                if name is not None:
                    yield name
        except SqlFailed as exc:
            raise ListFailed(f"sql(): sql: Iterate query failed: {exc}") from exc


def _name(fields: dict[str, str | None]) -> str | None:
    if fields.get("user") is not None:
        return fields["user"]
    if "user" not in fields and "username" not in fields:
        raise ListFailed("sql(): sql: Iterate query didn't return 'user' field")
    name, domain = fields.get("username"), fields.get("domain")
    return f"{name}@{domain}" if name and domain is not None else name
