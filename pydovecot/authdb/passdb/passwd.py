"""passdb passwd: the system's users by getpwnam(3) (features E-31)."""

import pwd

from pydovecot.authdb import extra
from pydovecot.authdb.driver import DriverWorld
from pydovecot.authdb.log import DbLog
from pydovecot.authdb.request import AuthRequest
from pydovecot.authdb.result import Result
from pydovecot.password import schemes
from pydovecot.password.secret import Secret


class PasswdPassdb:
    """`args = blocking=no` asks in the auth process itself. Systems with shadow passwords need PAM."""

    driver = "passwd"
    can_lookup = True
    default_scheme = "CRYPT"
    cache_key = "%u"

    def __init__(self, args: str, _world: DriverWorld) -> None:
        words = args.split()
        self.blocking = "blocking=no" not in words
        self._fields = extra.split_words(" ".join(word for word in words if not word.startswith("blocking=")))

    def lookup(self, request: AuthRequest, log: DbLog) -> Result:
        try:
            entry = pwd.getpwnam(request.user or "")
        except (KeyError, ValueError):
            log.unknown_user(request)
            return Result.UNKNOWN
        except OSError as exc:
            log.error(request, f"getpwnam() failed: {exc.strerror}")
            return Result.INTERNAL
        if not entry.pw_passwd or entry.pw_passwd[0] in "*!":
            log.info(request, f"invalid password field '{entry.pw_passwd}'")
            return Result.DISABLED
        extra.apply(request, "user", entry.pw_name, self.default_scheme, log)
        request.stored = schemes.parse(entry.pw_passwd.encode(), self.default_scheme)
        for name, value in self._fields:
            extra.apply(
                request,
                name,
                request.expand(value),
                self.default_scheme,
                log,
            )
        return Result.OK

    def verify(self, request: AuthRequest, password: Secret, log: DbLog) -> Result:
        raise NotImplementedError
