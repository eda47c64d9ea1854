"""CAPABILITY. RFC 3501 6.1.1."""

from pydovecot.services.imap.reply import Conversation, ok
from pydovecot.services.imap.session import Session


def run(session: Session, _args: None) -> Conversation:
    yield b"* CAPABILITY %b\r\n" % session.capabilities
    return ok("Capability completed")
