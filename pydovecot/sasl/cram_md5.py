"""CRAM-MD5 (RFC 2195): HMAC-MD5 of a challenge, keyed with the password."""

import hmac

from pydovecot.password import cram
from pydovecot.password.scheme import BadHash
from pydovecot.sasl.mechanism import (
    Challenge,
    Conversation,
    Failure,
    SaslContext,
    SetUser,
    Success,
    WantCredentials,
)

RANDOM_DIGITS = 16


def run(context: SaslContext, _initial: bytes | None) -> Conversation:
    # An initial response has no place in this mechanism and is ignored, as Dovecot does.
    """The conversation: our challenge, the client's answer."""
    digits = int.from_bytes(context.random(8), "big") % 10**RANDOM_DIGITS
    challenge = f"<{digits:0{RANDOM_DIGITS}}.{int(context.now())}@{context.hostname}>".encode()
    answer: bytes = yield Challenge(challenge)
    # RFC 2195 2: user name, space, hexadecimal digest; the name may hold spaces itself.
    user, space, digest = answer.rpartition(b" ")
    if not space:
        return Failure("missing digest")
    if not (yield SetUser(user.decode("utf-8", "surrogateescape"))):
        return Failure()
    found: tuple[str, bytes] | None = yield WantCredentials("CRAM-MD5")
    if found is None:
        return Failure()
    scheme, raw = found
    try:
        expected = hmac.digest(raw, challenge, "md5") if scheme == "PLAIN" else cram.hmac_of(raw, challenge)
    except BadHash:
        return Failure("passdb credentials' length is invalid")
    if not hmac.compare_digest(expected.hex().encode(), digest):
        return Failure("Password mismatch", mismatch=True)
    return Success()
