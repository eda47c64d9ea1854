"""LOGIN: user name and password one after the other (draft-murchison-sasl-login-00)."""

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
    """The conversation: two prompts."""
    name: bytes = (yield Challenge(b"Username:")) if initial is None else initial
    name = name.partition(b"\0")[0]
    if not (yield SetUser(name.decode("utf-8", "surrogateescape"))):
        return Failure()
    password: bytes = yield Challenge(b"Password:")
    return Success() if (yield VerifyPlain(Secret(password))) else Failure()
