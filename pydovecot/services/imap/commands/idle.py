"""IDLE. RFC 2177."""

from pydovecot.services.imap.reply import Conversation, Need, bad, ok
from pydovecot.services.imap.session import Session
from pydovecot.services.imap.sync import sync


def run(session: Session, _args: None) -> Conversation:
    if session.view is not None:
        session.view.watch()  # before the look below, or a change between both would not wake us
    yield b"+ idling\r\n"
    yield from sync(session, asked=True)
    while True:
        line = yield Need.WAKEUP
        if line is None:
            yield from sync(session, asked=True)
        elif line.upper() == b"DONE":
            yield from sync(session, asked=True)
            return ok("Idle completed")
        else:
            return bad("Expected DONE")
