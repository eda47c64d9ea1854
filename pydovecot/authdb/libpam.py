"""libpam: one authentication with a conversation that answers from what we know.

Our own binding instead of python-pam: that one cannot set PAM_RHOST and PAM_TTY before pam_authenticate,
which pam_access, pam_faillock and fail2ban's filter need, and looks for the library by starting ldconfig.
"""

import contextlib
import ctypes
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

SUCCESS: Final = 0
AUTH_ERR: Final = 7
USER_UNKNOWN: Final = 10
NEW_AUTHTOK_REQD: Final = 12
ACCT_EXPIRED: Final = 13
CONV_ERR: Final = 19
_BUF_ERR: Final = 5
_TTY, _RHOST, _CONV_ECHO_OFF, _CONV_ECHO_ON, _CONV_ERROR, _CONV_INFO = 3, 4, 1, 2, 3, 4
_RUSER: Final = 8
_ESTABLISH_CRED: Final = 2
_DELETE_CRED: Final = 4
_FOLDERS: Final = ("/etc/pam.d", "/usr/lib/pam.d", "/usr/share/pam.d")
MAX_MESSAGES: Final = 32  # of libpam itself: PAM_MAX_NUM_MSG


class _Message(ctypes.Structure):
    _fields_ = (("style", ctypes.c_int), ("text", ctypes.c_char_p))


class _Response(ctypes.Structure):
    _fields_ = (("text", ctypes.c_void_p), ("code", ctypes.c_int))


_CONVERSE: Final = ctypes.CFUNCTYPE(
    ctypes.c_int,
    ctypes.c_int,
    ctypes.POINTER(ctypes.POINTER(_Message)),
    ctypes.POINTER(ctypes.POINTER(_Response)),
    ctypes.c_void_p,
)


class _Conv(ctypes.Structure):
    _fields_ = (("converse", _CONVERSE), ("data", ctypes.c_void_p))


@dataclass(frozen=True, slots=True)
class PamRequest:
    """What libpam is told."""

    service: str
    user: str
    password: bytes
    rhost: str = ""
    session: bool = False
    setcred: bool = False


@dataclass(slots=True)
class PamAnswer:
    """What came out: `step` is the function that failed, "" after success."""

    code: int
    step: str = ""
    text: str = ""  # pam_strerror
    messages: list[str] = field(default_factory=list)
    user: str = ""  # modules may change it


class PamMissing(Exception):
    """There is no libpam on this system."""


def _load() -> tuple[Any, Any] | None:
    try:
        pam, libc = ctypes.CDLL("libpam.so.0"), ctypes.CDLL(None)
    except OSError:
        return None
    handle = ctypes.c_void_p
    pam.pam_start.argtypes = [ctypes.c_char_p, ctypes.c_char_p, ctypes.POINTER(_Conv), ctypes.POINTER(handle)]
    for name in ("pam_authenticate", "pam_acct_mgmt", "pam_setcred", "pam_open_session", "pam_close_session"):
        getattr(pam, name).argtypes = [handle, ctypes.c_int]
    pam.pam_end.argtypes = [handle, ctypes.c_int]
    pam.pam_set_item.argtypes = [handle, ctypes.c_int, ctypes.c_char_p]
    pam.pam_get_item.argtypes = [handle, ctypes.c_int, ctypes.POINTER(ctypes.c_char_p)]
    pam.pam_strerror.argtypes = [handle, ctypes.c_int]
    pam.pam_strerror.restype = ctypes.c_char_p
    libc.calloc.restype = ctypes.c_void_p
    libc.calloc.argtypes = [ctypes.c_size_t, ctypes.c_size_t]
    libc.strdup.restype = ctypes.c_void_p
    libc.strdup.argtypes = [ctypes.c_char_p]
    return pam, libc


# Loaded with the module: the worker may run where libraries cannot be found later.
_LIBS: Final = _load()


def available() -> bool:
    """Whether this system has PAM."""
    return _LIBS is not None


def service_exists(service: str) -> bool:
    """Whether PAM has been told about this service; without, its "other" policy refuses everybody."""
    names = [os.path.join(folder, service) for folder in _FOLDERS]
    return any(map(os.path.exists, names)) or not os.path.isdir(_FOLDERS[0])


def authenticate(request: PamRequest) -> PamAnswer:
    """Run the PAM stack for one user. Blocks as long as its modules do. Raises PamMissing."""
    if _LIBS is None:
        raise PamMissing("libpam.so.0 cannot be loaded")
    pam, libc = _LIBS
    user = request.user.encode("utf-8", "surrogateescape")
    answer = PamAnswer(SUCCESS, user=request.user)
    if b"\0" in user + request.password:
        return PamAnswer(AUTH_ERR, "pam_authenticate", "NUL in user or password")
    conv = _Conv(_conversation(libc, user, request.password, answer.messages), None)
    handle = ctypes.c_void_p()
    code = pam.pam_start(request.service.encode(), user, ctypes.byref(conv), ctypes.byref(handle))
    if code != SUCCESS:
        return PamAnswer(code, "pam_start", "")
    try:
        pam.pam_set_item(handle, _RUSER, user)
        if request.rhost:
            pam.pam_set_item(handle, _RHOST, request.rhost.encode())
        pam.pam_set_item(handle, _TTY, b"dovecot")  # pam_access wants one
        for step, flags, wanted in _steps(request):
            code = getattr(pam, step)(handle, flags)
            if code != SUCCESS and wanted:
                answer.code, answer.step = code, step
                answer.text = (pam.pam_strerror(handle, code) or b"").decode("utf-8", "replace")
                return answer
        answer.user = _user_now(pam, handle) or request.user
        return answer
    finally:
        pam.pam_end(handle, code)


def _steps(request: PamRequest) -> Iterator[tuple[str, int, bool]]:
    """Function, flags, and whether its failure counts."""
    yield "pam_authenticate", 0, True
    if request.setcred:
        yield "pam_setcred", _ESTABLISH_CRED, True
    yield "pam_acct_mgmt", 0, True
    if request.session:
        yield "pam_open_session", 0, True
        yield "pam_close_session", 0, True
    if request.setcred:
        yield "pam_setcred", _DELETE_CRED, False


def _user_now(pam: Any, handle: ctypes.c_void_p) -> str:
    item = ctypes.c_char_p()
    if pam.pam_get_item(handle, 2, ctypes.byref(item)) != SUCCESS or item.value is None:
        return ""
    return item.value.decode("utf-8", "surrogateescape")


def _conversation(libc: Any, user: bytes, password: bytes, messages: list[str]) -> Any:
    """The callback: user name where input is shown, password where it is not; messages are collected."""

    def converse(count: int, asked: Any, answers: Any, _data: Any) -> int:
        if not 0 < count <= MAX_MESSAGES:
            return CONV_ERR
        block = libc.calloc(count, ctypes.sizeof(_Response))
        if not block:
            return _BUF_ERR
        replies = ctypes.cast(block, ctypes.POINTER(_Response))
        for index in range(count):
            message = asked[index].contents
            if message.style == _CONV_ECHO_OFF:
                replies[index].text = libc.strdup(password)
            elif message.style == _CONV_ECHO_ON:
                replies[index].text = libc.strdup(user)
            elif message.style in (_CONV_ERROR, _CONV_INFO):
                with contextlib.suppress(AttributeError):  # NULL
                    messages.append(message.text.decode("utf-8", "replace"))
            else:
                return CONV_ERR
        answers[0] = replies
        return SUCCESS

    return _CONVERSE(converse)
