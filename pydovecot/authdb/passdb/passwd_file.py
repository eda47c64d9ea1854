"""passdb passwd-file: passwords and extra fields in a file like /etc/passwd (features E-33)."""

from pydovecot.authdb import extra
from pydovecot.authdb.driver import BadArgs, DriverWorld
from pydovecot.authdb.log import DbLog
from pydovecot.authdb.passwd_file import FileFailed, FileMissing, parse_args
from pydovecot.authdb.request import AuthRequest
from pydovecot.authdb.result import Result
from pydovecot.password import schemes
from pydovecot.password.secret import Secret


def _refuse(text: str) -> None:
    raise BadArgs(f"passdb {text}")


class PasswdFilePassdb:
    """`args = scheme=CRYPT username_format=%u /path/%d/passwd`."""

    driver = "passwd-file"
    blocking = False
    can_lookup = True

    def __init__(self, args: str, world: DriverWorld) -> None:
        self._args = parse_args(args, _refuse)
        self._files = world.files
        self.default_scheme = self._args.scheme
        self.cache_key = ""  # the file is in memory, and a change counts at once

    def lookup(self, request: AuthRequest, log: DbLog) -> Result:
        name = request.expand(self._args.username_format)
        path = request.expand_path(self._args.path)
        if log.rules.debug:
            log.debug(request, f"lookup: user={name} file={path}")
        try:
            user = self._files.get(path).find(name)
        except FileMissing as exc:
            if "%" not in self._args.path:
                log.error(request, str(exc))
                return Result.INTERNAL
            log.info(request, f"missing passwd file: {path}")  # of a domain that we do not have
            return Result.UNKNOWN
        except FileFailed as exc:
            log.error(request, str(exc))
            return Result.INTERNAL
        if user is None:
            log.unknown_user(request)
            return Result.UNKNOWN
        raw = user.password.encode("utf-8", "surrogateescape")
        request.stored = schemes.parse(raw, self.default_scheme)
        for word in user.extra:
            field, _, value = word.partition("=")
            if value and "%" in value:
                value = request.expand(value)
            extra.apply(request, field, value, self.default_scheme, log)
        return Result.OK

    def verify(self, request: AuthRequest, password: Secret, log: DbLog) -> Result:
        raise NotImplementedError
