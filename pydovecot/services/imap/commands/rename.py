"""RENAME. RFC 3501 6.3.5."""

from dataclasses import dataclass

from pydovecot.proto.imap.cursor import Cursor
from pydovecot.services.imap import mailboxes
from pydovecot.services.imap.reply import Conversation, ok
from pydovecot.services.imap.session import Session


@dataclass(frozen=True, slots=True)
class Args:
    old: str
    new: str


def parse(cursor: Cursor) -> Args:
    old, new = cursor.required(), cursor.required()
    return Args(mailboxes.decode(old), mailboxes.decode(new))


def run(session: Session, args: Args) -> Conversation:
    session.store.rename(args.old, args.new)
    yield from ()
    return ok("Rename completed")
