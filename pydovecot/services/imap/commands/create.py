"""CREATE. RFC 3501 6.3.3: a separator at the end makes only the node; RFC 9051 6.3.4 (LIST), RFC 8474 4.1."""

from pydovecot.proto.imap.cursor import Cursor
from pydovecot.services.imap import mailboxes
from pydovecot.services.imap.commands.list import normalized
from pydovecot.services.imap.reply import Conversation, ok
from pydovecot.services.imap.session import Session


def parse(cursor: Cursor) -> bytes:
    return cursor.required()


def run(session: Session, wire: bytes) -> Conversation:
    name = session.new_mailbox_name(wire)
    guid = session.store.create(name)
    yield from normalized(session, name)
    return ok("Create completed", b"MAILBOXID (%b)" % mailboxes.object_id(guid) if guid else b"")
