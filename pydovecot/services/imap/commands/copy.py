"""COPY, MOVE and their UID forms. RFC 3501 6.4.7, RFC 6851, RFC 4315 3."""

from dataclasses import dataclass

from pydovecot.model.seqset import SeqSet
from pydovecot.proto.imap.cursor import Cursor
from pydovecot.proto.imap.syntax import MISSING_ARGUMENTS
from pydovecot.services.imap.reply import Conversation, no, ok
from pydovecot.services.imap.session import Session
from pydovecot.services.imap.sync import sync
from pydovecot.storage.api import CopyResult


@dataclass(frozen=True, slots=True)
class Args:
    messages: SeqSet
    target: str
    uid: bool
    move: bool


def parse(cursor: Cursor) -> Args:
    return _parse(cursor, uid=False, move=False)


def parse_uid(cursor: Cursor) -> Args:
    return _parse(cursor, uid=True, move=False)


def parse_move(cursor: Cursor) -> Args:
    return _parse(cursor, uid=False, move=True)


def parse_uid_move(cursor: Cursor) -> Args:
    return _parse(cursor, uid=True, move=True)


def _parse(cursor: Cursor, *, uid: bool, move: bool) -> Args:
    messages = cursor.seqset("Invalid uidset" if uid else "Invalid messageset", MISSING_ARGUMENTS)
    return Args(messages, cursor.mailbox(), uid, move)


def run(session: Session, args: Args) -> Conversation:
    view = session.selected
    seqs = session.resolve(args.messages, uid=args.uid)
    if not seqs:
        yield from sync(session, uid=args.uid)
        return ok("No messages found")
    done = view.move(seqs, args.target) if args.move else view.copy(seqs, args.target)
    if args.target in session.trash:
        session.stats.trashed += len(done.target)
    code = _copyuid(done)
    if args.move and code:
        # RFC 6851 4.3: the UIDs before the EXPUNGEs, or the client could not follow.
        yield b"* OK [%b] Moved UIDs.\r\n" % code
        code = b""
    yield from sync(session, uid=args.uid)
    if done.gone:
        return no("Some of the requested messages no longer exist", b"EXPUNGEISSUED")
    return ok("Move completed" if args.move else "Copy completed", code)


def _copyuid(done: CopyResult) -> bytes:
    """Nothing copied has no code. Both sets in ascending order pair up by position. RFC 4315 3."""
    if not done.target:
        return b""
    source, target = SeqSet.of(done.source), SeqSet.of(done.target)
    return b"COPYUID %d %b %b" % (done.uidvalidity, source.encode(), target.encode())
