"""ANONYMOUS (RFC 4505): no password; the client may leave a trace of itself, such as an address."""

from pydovecot.sasl.mechanism import BecomeAnonymous, Challenge, Conversation, SaslContext, Success


def run(_context: SaslContext, initial: bytes | None) -> Conversation:
    """The conversation; it always succeeds."""
    trace: bytes = (yield Challenge(b"")) if initial is None else initial
    yield BecomeAnonymous(trace.decode("utf-8", "surrogateescape"))
    return Success()
