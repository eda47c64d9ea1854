"""userdb passwd: the system's users by getpwnam(3) (features E-31)."""

import pwd
from collections.abc import Iterator

from pydovecot.authdb import extra, userdb_fields
from pydovecot.authdb.driver import DriverWorld
from pydovecot.authdb.log import DbLog
from pydovecot.authdb.request import AuthRequest
from pydovecot.authdb.result import UserResult


class PasswdUserdb:
    """`args = blocking=no` asks in the auth process itself; other words are fields that override."""

    driver = "passwd"
    cache_key = "%u"
    checks_passdb = False
    can_list = True

    def __init__(self, args: str, world: DriverWorld) -> None:
        words = args.split()
        self.blocking = "blocking=no" not in words
        self._fields = extra.split_words(" ".join(word for word in words if not word.startswith("blocking=")))
        self._valid_uids = world.valid_uids

    def lookup(self, request: AuthRequest, log: DbLog) -> UserResult:
        try:
            entry = pwd.getpwnam(request.user or "")
        except (KeyError, ValueError):
            log.unknown_user(request)
            return UserResult.UNKNOWN
        except OSError as exc:
            log.error(request, f"getpwnam() failed: {exc.strerror}")
            return UserResult.INTERNAL
        request.user = entry.pw_name
        fields = request.userdb_fields()
        fields.add("system_groups_user", entry.pw_name)
        fields.add("uid", str(entry.pw_uid))
        fields.add("gid", str(entry.pw_gid))
        fields.add("home", entry.pw_dir)
        for name, value in self._fields:
            userdb_fields.apply(request, name, request.expand(value), log)
        return UserResult.OK

    def users(self) -> Iterator[str]:
        return (entry.pw_name for entry in pwd.getpwall() if self._valid_uids(entry.pw_uid))
