"""DELETE. RFC 3501 6.3.4."""

from pydovecot.proto.imap.cursor import Cursor
from pydovecot.services.imap import mailboxes
from pydovecot.services.imap.reply import Conversation, ok
from pydovecot.services.imap.session import Session


def parse(cursor: Cursor) -> str:
    return mailboxes.decode(cursor.required())


def run(session: Session, name: str) -> Conversation:
    selected = session.view is not None and session.view.name == name
    session.store.delete(name)
    if selected:
        session.close_view()
        session.farewell = "Selected mailbox was deleted, have to disconnect."
    yield from ()
    return ok("Delete completed")
