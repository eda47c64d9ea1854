"""EXTERNAL (RFC 4422 A): the client's TLS certificate has said who it is.

The passdbs are asked with an empty password: they say whether that user may log in, and what belongs to it.
"""

from pydovecot.password.secret import Secret
from pydovecot.sasl.mechanism import (
    Challenge,
    Conversation,
    Failure,
    SaslContext,
    SetCertificateUser,
    Success,
    VerifyPlain,
)


def run(_context: SaslContext, initial: bytes | None) -> Conversation:
    """The conversation: one message, the authorization identity or nothing."""
    message: bytes = (yield Challenge(b"")) if initial is None else initial
    authzid = message.partition(b"\0")[0].decode("utf-8", "surrogateescape")
    if not (yield SetCertificateUser(authzid)):
        return Failure()
    return Success() if (yield VerifyPlain(Secret(b""))) else Failure()
