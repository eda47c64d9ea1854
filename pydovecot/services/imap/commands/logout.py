"""LOGOUT. RFC 3501 6.1.3."""

from pydovecot.services.imap.reply import Conversation, ok
from pydovecot.services.imap.session import Session


def run(session: Session, _args: None) -> Conversation:
    session.logged_out = True
    yield b"* BYE Logging out\r\n"
    return ok("Logout completed")
