"""RPOP (RFC 1081): an id in place of a password, by which one host's mail programs are known to another.

No SASL name: POP3 has the command RPOP for it. The POP3 login process sends `user NUL id` as the initial
response of this private mechanism. Which id is right, the passdbs know: their field `rpop_id`, else the
password.
"""

from pydovecot.password.secret import Secret
from pydovecot.sasl.mechanism import Conversation, Failure, SaslContext, SetUser, Success, VerifyPlain


def run(_context: SaslContext, initial: bytes | None) -> Conversation:
    """The conversation: one message, no challenge of ours."""
    user, nul, identity = (initial or b"").partition(b"\0")
    if not nul or not identity or b"\0" in identity:
        return Failure("malformed data")
    if not (yield SetUser(user.decode("utf-8", "surrogateescape"))):
        return Failure()
    return Success() if (yield VerifyPlain(Secret(identity))) else Failure()
