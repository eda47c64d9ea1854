"""STATUS. RFC 3501 6.3.10; RFC 7162 3.1.7, RFC 8438 (SIZE), RFC 8474 4.3; X-SIZE, X-GUID are Dovecot's."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from pydovecot.proto.imap.cursor import Cursor
from pydovecot.proto.imap.encode import astring
from pydovecot.proto.imap.syntax import MISSING_ARGUMENTS, Arg, Atom, BadSyntax
from pydovecot.services.imap import mailboxes
from pydovecot.services.imap.reply import Conversation, ok
from pydovecot.services.imap.session import Session
from pydovecot.storage.api import Status

# In the order of the answer, whatever the order of the question.
ITEMS: Final[dict[bytes, Callable[[Status], bytes]]] = {
    b"MESSAGES": lambda s: b"%d" % s.messages,
    b"RECENT": lambda s: b"%d" % s.recent,
    b"UIDNEXT": lambda s: b"%d" % s.uidnext,
    b"UIDVALIDITY": lambda s: b"%d" % s.uidvalidity,
    b"UNSEEN": lambda s: b"%d" % s.unseen,
    b"DELETED": lambda s: b"%d" % s.deleted,  # RFC 9051 6.3.11
    b"HIGHESTMODSEQ": lambda s: b"%d" % s.highest_modseq,
    b"SIZE": lambda s: b"%d" % s.size,
    b"X-SIZE": lambda s: b"%d" % s.size,
    b"X-GUID": lambda s: s.guid.encode(),
    b"MAILBOXID": lambda s: b"(%b)" % mailboxes.object_id(s.guid),
}


@dataclass(frozen=True, slots=True)
class Args:
    name: bytes  # as the client wrote it: it comes back so
    mailbox: str
    items: frozenset[bytes]


def parse(cursor: Cursor) -> Args:
    wire = cursor.required()
    if not cursor.more():
        raise BadSyntax(MISSING_ARGUMENTS)
    return Args(wire, cursor.to_name(wire), parse_items(cursor.list()))


def parse_items(args: Sequence[Arg]) -> frozenset[bytes]:
    """The list of items, here and in LIST RETURN (STATUS ...)."""
    if not args:
        raise BadSyntax("Empty status list")
    items: set[bytes] = set()
    for arg in args:
        if not isinstance(arg, Atom):
            raise BadSyntax("Status list contains non-atoms")
        if arg.upper() not in ITEMS:
            raise BadSyntax(f"Invalid status item {arg.decode('latin-1').upper()}")
        items.add(arg.upper())
    return frozenset(items)


def run(session: Session, args: Args) -> Conversation:
    check(session, args.items)
    if b"HIGHESTMODSEQ" in args.items:
        yield from session.enable_condstore()
    view = session.view
    selected = view is not None and view.name == args.mailbox
    name = session.encode_mailbox(args.name.decode()) if session.rev2 else astring(args.name)
    yield line(session, name, args.mailbox, args.items)
    if selected:
        return ok("Status on selected mailbox completed", b"CLIENTBUG")
    return ok("Status completed")


def check(session: Session, items: frozenset[bytes]) -> None:
    """Refuse what only IMAP4rev2 has."""
    if b"DELETED" in items and not session.rev2:
        raise BadSyntax("Invalid status item DELETED")


def line(session: Session, name: bytes, mailbox: str, items: frozenset[bytes]) -> bytes:
    """The untagged STATUS of one mailbox; `name` as an astring."""
    found = session.store.status(mailbox, size=bool(items & {b"SIZE", b"X-SIZE"}))
    view = session.view
    if view is not None and view.name == mailbox and not view.readonly:
        found = replace(found, recent=found.recent + view.recent)  # those that are Recent in this session
    words = b" ".join(b"%b %b" % (item, ITEMS[item](found)) for item in ITEMS if item in items)
    return b"* STATUS %b (%b)\r\n" % (name, words)
