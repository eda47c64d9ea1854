"""How authentications and connections end before there is a session, and the words that are said then.

The texts are Dovecot's to the letter: clients show them, and some programs look for them.
"""

import os
import time
from collections.abc import Mapping
from enum import Enum
from typing import Final

from pydovecot.proto.auth.client import Reply

PLAINTEXT_DISABLED: Final = "Plaintext authentication disallowed on non-secure (SSL/TLS) connections."
PLAINTEXT_EXPOSED: Final = (
    "Plaintext authentication not allowed without SSL/TLS, but your client did it anyway. "
    "If anyone was listening, the password was exposed."
)
PLAINTEXT_MECHANISM: Final = "Plaintext authentication disabled."
TLS_FIRST: Final = "Authentication not allowed until SSL/TLS is enabled."
UNSUPPORTED: Final = "Unsupported authentication mechanism."
AUTH_FAILED: Final = "Authentication failed."
AUTH_TEMP_FAILED: Final = "Temporary authentication failure."
AUTH_WAITING: Final = "Waiting for authentication process to respond.."
AUTH_ABORTED: Final = "Authentication aborted by client."
OTHER_SERVER: Final = "Try this server instead."
BAD_CERTIFICATE: Final = "Unable to validate certificate"
NO_NAME: Final = "Missing username in certificate"
NO_LOGIN: Final = "Login disabled for this user"
LOGIN_FAILURE: Final = "Internal login failure. Refer to server log for more information."
MAX_SESSIONS: Final = "Maximum number of connections from user+IP exceeded (mail_max_userip_connections=%d)"


class Result(Enum):
    """How an authentication ended, other than with a session; each protocol has a code for it."""

    FAILED = "failed"
    REASON = "reason"  # failed, with a text for the user
    TEMPORARY = "temporary"
    NOT_AUTHORIZED = "not authorized"
    LOGIN_DISABLED = "login disabled"
    PASSWORD_EXPIRED = "password expired"
    TLS_REQUIRED = "tls required"
    BAD_MECHANISM = "bad mechanism"
    BAD_BASE64 = "bad base64"
    BAD_RESPONSE = "bad response"
    ABORTED = "aborted"
    TOO_MANY = "too many sessions"
    REFERRAL = "referral"  # the user's mail is on another server


class Bye(Enum):
    """Why the server closes a connection."""

    TIMEOUT = "timeout"
    FULL = "full"
    SHUTDOWN = "shutdown"
    INTERNAL = "internal"


# FAIL code=... of the auth process -> result, and the text when it gives none.
_FAIL_CODES: Final[Mapping[str, tuple[Result, str]]] = {
    "authz_fail": (Result.NOT_AUTHORIZED, "Authorization failed"),
    "user_disabled": (Result.LOGIN_DISABLED, NO_LOGIN),
    "pass_expired": (Result.PASSWORD_EXPIRED, "Password expired."),
    "invalid_base64": (Result.BAD_BASE64, "Invalid base64 data"),
    "login_disabled": (Result.LOGIN_DISABLED, NO_LOGIN),
    "mech_invalid": (Result.BAD_MECHANISM, UNSUPPORTED),
    "mech_ssl_required": (Result.TLS_REQUIRED, PLAINTEXT_MECHANISM),
    "anonymous_denied": (Result.FAILED, "Anonymous login denied"),
}


def of_failure(reply: Reply, now: float) -> tuple[Result, str]:
    """What a FAIL of the auth process means, and what to tell the client."""
    if reply.temporary:
        return Result.TEMPORARY, reply.reason or temporary_failure(now)
    if reply.code == "user_disabled" and not reply.reason:
        return Result.FAILED, AUTH_FAILED  # who is locked out is not told to strangers
    if reply.code in _FAIL_CODES:
        result, text = _FAIL_CODES[reply.code]
        return result, reply.reason or text
    if reply.reason:
        return Result.REASON, reply.reason
    return Result.FAILED, AUTH_FAILED


def temporary_failure(now: float) -> str:
    """Host and time, so that a user's report can be found in the log."""
    stamp = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(now))
    return f"{AUTH_TEMP_FAILED} [{os.uname().nodename}:{stamp}]"
