"""THREAD and UID THREAD. RFC 5256 BASE.6.4.THREAD."""

from dataclasses import dataclass
from typing import Final

from pydovecot.model.search import Key
from pydovecot.model.sort import ThreadKind
from pydovecot.proto.imap.cursor import Cursor
from pydovecot.proto.imap.syntax import BadSyntax
from pydovecot.services.imap.esearch import find
from pydovecot.services.imap.reply import Conversation, ok
from pydovecot.services.imap.search_keys import keys_in
from pydovecot.services.imap.session import Session
from pydovecot.services.imap.sync import sync

KINDS: Final = {kind.name.encode(): kind for kind in ThreadKind}


@dataclass(frozen=True, slots=True)
class Args:
    kind: ThreadKind
    key: Key
    uid: bool


def parse(cursor: Cursor) -> Args:
    return _parse(cursor, uid=False)


def parse_uid(cursor: Cursor) -> Args:
    return _parse(cursor, uid=True)


def _parse(cursor: Cursor, *, uid: bool) -> Args:
    name = cursor.astring("Invalid arguments", "Invalid arguments")
    charset = cursor.astring("Invalid arguments", "Invalid arguments")
    kind = KINDS.get(name.upper())
    if kind is None:
        raise BadSyntax("Unknown thread algorithm")
    key, _, refused = keys_in(charset, cursor)
    if refused is not None:
        raise refused
    return Args(kind, key, uid)


def run(session: Session, args: Args) -> Conversation:
    found = find(session, args.key)
    yield b"* THREAD %b\r\n" % session.selected.thread(args.kind, found, uid=args.uid)
    yield from sync(session, expunges=args.uid, uid=args.uid)
    return ok("Thread completed")
