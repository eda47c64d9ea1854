r"""LSUB. RFC 3501 6.3.9: subscribed names; with `%` also their parents, as \Noselect."""

from dataclasses import dataclass
from typing import Final

from pydovecot.proto.imap.cursor import Cursor
from pydovecot.proto.imap.encode import quoted
from pydovecot.proto.imap.syntax import BadSyntax
from pydovecot.services.imap.commands.list import full_patterns
from pydovecot.services.imap.reply import Conversation, ok
from pydovecot.services.imap.session import Session
from pydovecot.storage.api import ListEntry, ListOptions


@dataclass(frozen=True, slots=True)
class Args:
    reference: bytes
    patterns: tuple[bytes, ...]


_OPTIONS: Final = ListOptions(
    subscribed=True, recursive_match=True, want_children=False, want_subscribed=True
)


def parse(cursor: Cursor) -> Args:
    reference = cursor.astring("Invalid reference", "Invalid reference")
    several = cursor.optional_list()
    if several is not None:
        return Args(reference, ())  # Dovecot takes a list and finds nothing
    pattern = cursor.astring("Invalid pattern", "Invalid pattern")
    if cursor.more():
        raise BadSyntax("Extra arguments")
    return Args(reference, (pattern,))


def run(session: Session, args: Args) -> Conversation:
    patterns = list(full_patterns(session, args.reference, args.patterns))
    if patterns:
        options = ListOptions(
            subscribed=True, recursive_match=True, want_children=False, want_subscribed=True
        )
        for entry in session.store.list(patterns, options):
            yield b"* LSUB (%b) %b %b\r\n" % (
                _flags(session, entry),
                quoted(entry.separator.encode()),
                session.encode_mailbox(entry.name),
            )
    return ok("Lsub completed")


def _flags(session: Session, entry: ListEntry) -> bytes:
    if not entry.subscribed:
        return b"\\Noselect"
    if session.workaround("tb-lsub-flags") and not (entry.exists and entry.selectable):
        return b"\\Noselect"  # Thunderbird selects everything that lacks it
    return " ".join(entry.special_use).encode()  # as Dovecot; RFC 6154 2 allows it
