"""userdb static: uid, gid, home and any field, the same for everybody (features E-34)."""

from collections.abc import Iterator

from pydovecot.authdb import extra, userdb_fields
from pydovecot.authdb.driver import BadArgs, DriverWorld
from pydovecot.authdb.log import DbLog
from pydovecot.authdb.request import AuthRequest
from pydovecot.authdb.result import UserResult


class StaticUserdb:
    """`args = uid=vmail gid=vmail home=/srv/mail/%d/%n [allow_all_users=yes]`."""

    driver = "static"
    blocking = False
    cache_key = ""
    can_list = False

    def __init__(self, args: str, _world: DriverWorld) -> None:
        fields = extra.split_words(args)
        bad = userdb_fields.bad_id(fields)
        if bad:
            raise BadArgs(f"static userdb: {bad}")
        self.checks_passdb = ("allow_all_users", "yes") not in fields
        self._fields = [(name, value) for name, value in fields if name != "allow_all_users"]

    def lookup(self, request: AuthRequest, log: DbLog) -> UserResult:
        request.userdb_fields()
        for name, value in self._fields:
            userdb_fields.apply(request, name, request.expand(value), log)
        return UserResult.OK

    def users(self) -> Iterator[str]:
        return iter(())
