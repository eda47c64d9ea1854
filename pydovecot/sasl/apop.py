"""APOP (RFC 1939 7): MD5 of the greeting's timestamp and the password.

The POP3 login process makes the challenge itself, `<pid.cuid.time.random@host>` in hexadecimal, and sends
`challenge NUL user NUL digest` (16 bytes) as the initial response. The numbers bind it to this auth process
and to the connection of that login process.
"""

import hashlib
import hmac
import re
from typing import Final

from pydovecot.sasl.mechanism import (
    Conversation,
    Failure,
    SaslContext,
    SetUser,
    Success,
    WantCredentials,
)

DIGEST_BYTES: Final = 16
_CHALLENGE: Final = re.compile(rb"<([0-9a-fA-F]{1,16})\.([0-9a-fA-F]{1,16})\.([0-9a-fA-F]{1,16})\.")


def run(context: SaslContext, initial: bytes | None) -> Conversation:
    """The conversation: one message, no challenge of ours."""
    if not initial:
        return Failure("no initial response")
    challenge, _, rest = initial.partition(b"\0")
    user, nul, digest = rest.partition(b"\0")
    if not nul or len(digest) != DIGEST_BYTES:
        return Failure("malformed data")
    found = _CHALLENGE.match(challenge)
    if found is None or not _ours(context, *(int(number, 16) for number in found.groups())):
        return Failure("invalid challenge")
    if not (yield SetUser(user.decode("utf-8", "surrogateescape"))):
        return Failure()
    credentials: tuple[str, bytes] | None = yield WantCredentials("PLAIN")
    if credentials is None:
        return Failure()
    expected = hashlib.md5(challenge + credentials[1], usedforsecurity=False).digest()
    if not hmac.compare_digest(expected, digest):
        return Failure("Password mismatch", mismatch=True)
    return Success()


def _ours(context: SaslContext, pid: int, connect_uid: int, timestamp: int) -> bool:
    return (
        pid == context.server_pid and connect_uid == context.connect_uid and timestamp >= context.start_time
    )
