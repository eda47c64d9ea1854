"""The lines that answer clients (features E.4). Field order is Dovecot's."""

import base64

from pydovecot.authdb.request import AuthRequest
from pydovecot.authdb.result import Result
from pydovecot.base import tabescape

_CODES = {Result.DISABLED: "user_disabled", Result.EXPIRED: "pass_expired"}


def _keyed(name: str, value: str) -> str:
    return f"\t{name}={tabescape.escape_text(value)}"


def _identity(request: AuthRequest) -> str:
    """What the client should know about names besides `user`."""
    text = ""
    original = request.original_user
    if original is not None and original != request.user and "original_user" not in request.extra:
        text += _keyed("original_user", original)
    if request.master_user is not None and "auth_user" not in request.extra:
        text += _keyed("auth_user", request.master_user)
    return text


def ok(number: int, request: AuthRequest, final: bytes, *, anonymous: bool) -> str:
    """OK: authenticated. `final` is a mechanism's last data."""
    request.extra.booleanize("nologin")
    request.extra.booleanize("proxy")
    text = f"OK\t{number}" + _keyed("user", request.user or "") + request.extra.wire() + _identity(request)
    if anonymous:
        text += "\tanonymous"
    if final:
        text += _keyed("resp", base64.b64encode(final).decode())
    return text + "\n"


def cont(number: int, data: bytes) -> str:
    """CONT: a challenge."""
    return f"CONT\t{number}\t{base64.b64encode(data).decode()}\n"


def fail(number: int, request: AuthRequest, result: Result) -> str:
    """FAIL after an authentication. A client learns the reason only where the passdb gives one."""
    request.extra.remove("nologin")
    text = f"FAIL\t{number}"
    if request.user is not None:
        text += _keyed("user", request.user)
    elif request.original_user is not None:
        text += _keyed("user", request.original_user)
    code = ""
    if result is Result.INTERNAL:
        code = "temp_fail"
    elif request.master_user is not None:
        code = "authz_fail"  # the password was right, but that user may not be entered
    else:
        code = _CODES.get(result, "")
    if code:
        text += f"\tcode={code}"
    return text + request.extra.wire() + _identity(request) + "\n"


def fail_reason(number: int, reason: str, code: str = "") -> str:
    """FAIL of a request that broke the protocol."""
    return f"FAIL\t{number}" + (f"\tcode={code}" if code else "") + _keyed("reason", reason) + "\n"
