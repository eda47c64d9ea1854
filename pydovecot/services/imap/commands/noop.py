"""NOOP. RFC 3501 6.1.2."""

from pydovecot.services.imap.reply import Conversation, ok
from pydovecot.services.imap.session import Session
from pydovecot.services.imap.sync import sync


def run(session: Session, _args: None) -> Conversation:
    yield from sync(session, asked=True)
    return ok("NOOP completed")
