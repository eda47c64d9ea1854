"""RENAME. RFC 3501 6.3.5, RFC 9051 6.3.6 (LIST)."""

from dataclasses import dataclass

from pydovecot.proto.imap.cursor import Cursor
from pydovecot.services.imap import mailboxes
from pydovecot.services.imap.commands.list import name_line
from pydovecot.services.imap.reply import Conversation, ok
from pydovecot.services.imap.session import Session


@dataclass(frozen=True, slots=True)
class Args:
    old: str
    new: str


def parse(cursor: Cursor) -> Args:
    (old_wire, new_wire) = cursor.required(), cursor.required()
    return Args(cursor.to_name(old_wire), cursor.to_name(new_wire))


def run(session: Session, args: Args) -> Conversation:
    session.store.rename(args.old, args.new)
    if session.rev2 and args.old != "INBOX":  # RFC 9051 6.3.6: that one is still there
        yield name_line(session, str(args.new), mailboxes.given_name(args.old) or args.old)
    return ok("Rename completed")
