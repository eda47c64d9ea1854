"""DELETE. RFC 3501 6.3.4, RFC 9051 6.3.5 (LIST)."""

from pydovecot.proto.imap.cursor import Cursor
from pydovecot.services.imap import mailboxes
from pydovecot.services.imap.commands.list import gone_line
from pydovecot.services.imap.reply import Conversation, ok
from pydovecot.services.imap.session import Session


def parse(cursor: Cursor) -> str:
    return cursor.mailbox()


def run(session: Session, name: str) -> Conversation:
    selected = session.view is not None and session.view.name == name
    session.store.delete(name)
    if selected:
        session.close_view()
        session.farewell = "Selected mailbox was deleted, have to disconnect."
    given = mailboxes.given_name(name)
    if given is not None:
        yield gone_line(session, str(name), given)
    return ok("Delete completed")
