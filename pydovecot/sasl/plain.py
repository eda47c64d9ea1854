"""PLAIN (RFC 4616): `authzid NUL authcid NUL password`."""

from pydovecot.password.secret import Secret
from pydovecot.sasl.mechanism import (
    Challenge,
    Conversation,
    Failure,
    SaslContext,
    SetUser,
    Success,
    VerifyPlain,
)


def run(_context: SaslContext, initial: bytes | None) -> Conversation:
    """The conversation: one message."""
    message: bytes = (yield Challenge(b"")) if initial is None else initial
    parts = message.split(b"\0")
    if len(parts) != 3:
        return Failure("invalid input")
    authzid, authcid, password = parts
    if not (yield SetUser(_text(authcid), _text(authzid))):
        return Failure()
    return Success() if (yield VerifyPlain(Secret(password))) else Failure()


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "surrogateescape")
