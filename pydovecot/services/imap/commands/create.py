"""CREATE. RFC 3501 6.3.3: a name that ends with the separator makes only the node. MAILBOXID: RFC 8474 4.1."""

from pydovecot.proto.imap.cursor import Cursor
from pydovecot.services.imap import mailboxes
from pydovecot.services.imap.reply import Conversation, ok
from pydovecot.services.imap.session import Session


def parse(cursor: Cursor) -> str:
    return mailboxes.decode(cursor.required())


def run(session: Session, name: str) -> Conversation:
    guid = session.store.create(name)
    yield from ()
    return ok("Create completed", b"MAILBOXID (%b)" % mailboxes.object_id(guid) if guid else b"")
