"""CHECK. RFC 3501 6.4.1: every change is durable when it is answered, so only news are left to tell."""

from pydovecot.services.imap.reply import Conversation, ok
from pydovecot.services.imap.session import Session
from pydovecot.services.imap.sync import sync


def run(session: Session, _args: None) -> Conversation:
    yield from sync(session, asked=True)
    return ok("Check completed")
