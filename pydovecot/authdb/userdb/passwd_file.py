"""userdb passwd-file: uid, gid, home and userdb_ fields of a file's lines (features E-33)."""

from collections.abc import Iterator

from pydovecot.authdb import userdb_fields
from pydovecot.authdb.driver import BadArgs, DriverWorld, ListFailed
from pydovecot.authdb.log import DbLog
from pydovecot.authdb.passwd_file import FileFailed, FileMissing, parse_args
from pydovecot.authdb.request import AuthRequest
from pydovecot.authdb.result import UserResult


def _refuse(text: str) -> None:
    raise BadArgs(f"userdb {text}")


class PasswdFileUserdb:
    """`args = username_format=%u /path/%d/passwd`."""

    driver = "passwd-file"
    blocking = False
    checks_passdb = False
    can_list = True

    def __init__(self, args: str, world: DriverWorld) -> None:
        self._args = parse_args(args, _refuse)
        self._files = world.files
        self.cache_key = ""  # the file is in memory, and a change counts at once
        if "%" not in self._args.path:
            self._files.get(self._args.path, userdb=True)

    def lookup(self, request: AuthRequest, log: DbLog) -> UserResult:
        name = request.expand(self._args.username_format)
        path = request.expand_path(self._args.path)
        if log.rules.debug:
            log.debug(request, f"lookup: user={name} file={path}")
        try:
            user = self._files.get(path, userdb=True).find(name)
        except FileMissing as exc:
            if "%" not in self._args.path:
                log.error(request, str(exc))
                return UserResult.INTERNAL
            log.info(request, f"missing passwd file: {path}")  # of a domain that we do not have
            return UserResult.UNKNOWN
        except FileFailed as exc:
            log.error(request, str(exc))
            return UserResult.INTERNAL
        if user is None:
            log.unknown_user(request)
            return UserResult.UNKNOWN
        if not user.in_userdb:
            log.debug(request, "is missing userdb info")
            return UserResult.UNKNOWN
        request.userdb_fields()
        for field, value in (("uid", user.uid), ("gid", user.gid), ("home", user.home)):
            if value:
                userdb_fields.apply(request, field, value, log)
        for word in user.extra:
            if word.startswith("userdb_"):
                field, _, value = word[len("userdb_") :].partition("=")
                userdb_fields.apply(request, field, request.expand(value), log)
        return UserResult.OK

    def users(self) -> Iterator[str]:
        if "%" in self._args.path:
            raise ListFailed(
                "passwd-file(): passwd-file: User iteration isn't currently supported with %variable paths"
            )
        try:
            return self._files.get(self._args.path, userdb=True).users()
        except FileFailed as exc:
            raise ListFailed(f"passwd-file: {exc}") from exc
