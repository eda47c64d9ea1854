"""SUBSCRIBE and UNSUBSCRIBE. RFC 3501 6.3.6, 6.3.7."""

from pydovecot.proto.imap.cursor import Cursor
from pydovecot.services.imap.reply import Conversation, ok
from pydovecot.services.imap.session import Session


def parse(cursor: Cursor) -> str:
    return cursor.mailbox()


def run(session: Session, name: str) -> Conversation:
    session.store.subscribe(_strip(session, name))
    yield from ()
    return ok("Subscribe completed")


def unsubscribe(session: Session, name: str) -> Conversation:
    session.store.unsubscribe(_strip(session, name))
    yield from ()
    return ok("Unsubscribe completed")


def _strip(session: Session, name: str) -> str:
    """imap_client_workarounds = tb-extra-mailbox-sep: some clients add a separator at the end."""
    if len(name) > 1 and session.workaround("tb-extra-mailbox-sep"):
        separators = {ns.separator for ns in session.store.namespaces}
        if name[-1] in separators:
            return name[:-1]
    return name
