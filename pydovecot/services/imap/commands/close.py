r"""CLOSE and UNSELECT: with and without removing \Deleted messages. RFC 3501 6.4.2, RFC 3691."""

from pydovecot.services.imap.commands.expunge import count_expunged
from pydovecot.services.imap.reply import Conversation, ok
from pydovecot.services.imap.session import Session


def run(session: Session, _args: None) -> Conversation:
    view = session.selected
    try:
        if not view.readonly:
            view.expunge()
            count_expunged(session, view.sync())
    finally:
        session.close_view()
    yield from ()
    return ok("Close completed")


def unselect(session: Session, _args: None) -> Conversation:
    session.close_view()
    yield from ()
    return ok("Unselect completed")
