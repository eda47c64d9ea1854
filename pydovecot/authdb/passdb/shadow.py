"""passdb shadow: the system's shadow passwords by getspnam(3) (features E-32)."""

import ctypes
from typing import Any, Final

from pydovecot.authdb import extra
from pydovecot.authdb.driver import DriverWorld
from pydovecot.authdb.log import DbLog
from pydovecot.authdb.request import AuthRequest
from pydovecot.authdb.result import Result
from pydovecot.password import schemes
from pydovecot.password.secret import Secret


class _Spwd(ctypes.Structure):
    """struct spwd, as far as it is read. The standard library lost its `spwd` in Python 3.13."""

    _fields_ = (("sp_namp", ctypes.c_char_p), ("sp_pwdp", ctypes.c_char_p))


def _load() -> Any:
    try:
        getspnam = ctypes.CDLL(None).getspnam
    except (OSError, AttributeError):
        return None  # a system without shadow passwords
    getspnam.restype = ctypes.POINTER(_Spwd)
    getspnam.argtypes = [ctypes.c_char_p]
    return getspnam


_getspnam: Final = _load()


class ShadowPassdb:
    """`args = blocking=no` asks in the auth process itself, which then must be able to read /etc/shadow."""

    driver = "shadow"
    can_lookup = True
    default_scheme = "CRYPT"
    cache_key = "%u"

    def __init__(self, args: str, _world: DriverWorld) -> None:
        self.blocking = "blocking=no" not in args.split()

    def lookup(self, request: AuthRequest, log: DbLog) -> Result:
        user = (request.user or "").encode("utf-8", "surrogateescape")
        entry = None if _getspnam is None or b"\0" in user else _getspnam(user)
        if not entry:
            log.unknown_user(request)
            return Result.UNKNOWN
        name, password = entry.contents.sp_namp or b"", entry.contents.sp_pwdp or b""
        if not password or password[:1] in b"*!":
            log.info(request, "invalid password field")
            return Result.DISABLED
        text = name.decode("utf-8", "surrogateescape")
        extra.apply(request, "user", text, self.default_scheme, log)
        request.stored = schemes.parse(password, self.default_scheme)
        return Result.OK

    def verify(self, request: AuthRequest, password: Secret, log: DbLog) -> Result:
        raise NotImplementedError
