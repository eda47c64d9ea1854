"""CHECK. RFC 3501 6.4.1: what the storage has put off is done, and news are told."""

from pydovecot.services.imap.reply import Conversation, ok
from pydovecot.services.imap.session import Session
from pydovecot.services.imap.sync import sync


def run(session: Session, _args: None) -> Conversation:
    session.selected.checkpoint()
    yield from sync(session, asked=True)
    return ok("Check completed")
