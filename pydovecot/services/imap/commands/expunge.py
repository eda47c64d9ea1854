r"""EXPUNGE and UID EXPUNGE. RFC 3501 6.4.3, RFC 4315 2.1."""

from pydovecot.model.seqset import SeqSet
from pydovecot.proto.imap.cursor import Cursor
from pydovecot.proto.imap.syntax import MISSING_ARGUMENTS
from pydovecot.services.imap.reply import Conversation, ok
from pydovecot.services.imap.session import Session
from pydovecot.services.imap.sync import sync
from pydovecot.storage.api import Changes


def parse_uid(cursor: Cursor) -> SeqSet | None:
    return cursor.seqset("Invalid uidset", MISSING_ARGUMENTS)


def run(session: Session, uids: SeqSet | None) -> Conversation:
    view = session.selected
    if not view.readonly:
        before = len(view.uids)
        view.expunge(None if uids is None else session.uids(uids))
        yield from sync(session, uid=uids is not None)
        session.stats.expunged += max(0, before - len(view.uids))
    else:
        yield from sync(session, uid=uids is not None)
    return ok("Expunge completed")


def count_expunged(session: Session, changes: Changes) -> None:
    """For the statistics at logout."""
    session.stats.expunged += len(changes.expunged)
