"""STATUS of a mailbox from its index alone."""

from pydovecot.index.database import Database
from pydovecot.index.mailbox import Header, MailboxIndex
from pydovecot.model.numbers import ModSeq, Uid
from pydovecot.storage.api import Status


def status_of(index: MailboxIndex, database: Database, header: Header, size: int) -> Status:
    """The numbers of `header`, the recent ones counted; `size` in octets is the driver's."""
    return Status(
        messages=header.messages,
        recent=_recent(index, database, header),
        unseen=header.unseen,
        uidnext=Uid(header.uidnext),
        uidvalidity=header.uidvalidity,
        highest_modseq=ModSeq(header.modseq),
        size=size,
        guid=header.guid,
        deleted=header.deleted,
    )


def _recent(index: MailboxIndex, database: Database, header: Header) -> int:
    # Without any session so far all are recent: nobody has to count them.
    if header.first_recent <= 1:
        return header.messages
    if header.first_recent >= header.uidnext:
        return 0
    low = index.key(header.first_recent)
    query = "SELECT count(*) FROM msg WHERE id BETWEEN ? AND ?"
    return int(database.row(query, (low, index.span[1]))[0])
