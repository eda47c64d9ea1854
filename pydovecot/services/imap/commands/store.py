"""STORE and UID STORE. RFC 3501 6.4.6; UNCHANGEDSINCE: RFC 7162 3.1.3."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from pydovecot.model.flags import Flag, FlagSet, StoreOp
from pydovecot.model.numbers import ModSeq
from pydovecot.model.seqset import SeqSet
from pydovecot.proto.imap.cursor import Cursor, parse_modseq
from pydovecot.proto.imap.syntax import Arg, BadSyntax
from pydovecot.services.imap.flags import check_keywords, parse_flags
from pydovecot.services.imap.reply import Conversation, Tagged, no, ok
from pydovecot.services.imap.session import Session
from pydovecot.services.imap.sync import sync, uids_of
from pydovecot.storage.api import StoreResult

_OPS: Final[dict[bytes, StoreOp]] = {op.value.encode(): op for op in StoreOp}


@dataclass(frozen=True, slots=True)
class Args:
    messages: SeqSet
    op: StoreOp
    silent: bool
    flags: FlagSet
    unchanged_since: ModSeq | None
    uid: bool


def parse(cursor: Cursor) -> Args:
    return _parse(cursor, uid=False)


def parse_uid(cursor: Cursor) -> Args:
    return _parse(cursor, uid=True)


def _parse(cursor: Cursor, *, uid: bool) -> Args:
    messages = cursor.seqset("Invalid uidset" if uid else "Invalid messageset")
    modifiers = cursor.optional_list()
    unchanged_since = None if modifiers is None else _modifiers(modifiers)
    name = cursor.atom().upper()
    silent = name.endswith(b".SILENT")
    op = _OPS.get(name.removesuffix(b".SILENT"))
    if op is None:
        raise BadSyntax("Invalid arguments")
    flags = cursor.optional_list()
    return Args(
        messages, op, silent, parse_flags(cursor.rest() if flags is None else flags), unchanged_since, uid
    )


def _modifiers(args: Sequence[Arg]) -> ModSeq | None:
    cursor = Cursor(args)
    found: ModSeq | None = None
    while cursor.more():
        name = cursor.atom("Invalid STORE modifiers").upper()
        if name != b"UNCHANGEDSINCE":
            raise BadSyntax("Unknown STORE modifier")
        found = parse_modseq(cursor.next("Invalid STORE modifiers"))
        if found is None:
            raise BadSyntax("Invalid modseq")
    return found


def run(session: Session, args: Args) -> Conversation:
    view = session.selected
    if args.unchanged_since is not None:
        yield from session.enable_condstore()
        if not view.keeps_modseqs:
            raise BadSyntax("STORE UNCHANGEDSINCE can't be used with non-permanent modseqs")
    seqs = session.resolve(args.messages, uid=args.uid)
    if view.readonly:
        if args.unchanged_since is not None:
            return no("CONDSTORE failed: Mailbox is read-only")
        return ok("Store ignored with read-only mailbox")
    done = StoreResult(SeqSet())
    if seqs:
        check_keywords(args.flags, session.max_keyword_length)
        done = view.store(seqs, args.op, args.flags, unchanged_since=args.unchanged_since, silent=args.silent)
        if args.flags.system & Flag.DELETED and args.op is not StoreOp.REMOVE:
            session.stats.deleted += len(done.changed)
    silent = uids_of(view, done.changed) if args.silent and session.condstore else SeqSet()
    yield from sync(session, expunges=args.uid, uid=args.uid, changed_silently=silent)
    return _tagged(session, args, done)


def _tagged(session: Session, args: Args, done: StoreResult) -> Tagged:
    if not done.modified:
        return ok("Store completed")
    numbers = SeqSet.of(done.modified)
    if not args.uid:
        numbers = session.selected.seqs_of(numbers)
    return ok("Conditional store failed", b"MODIFIED %b" % numbers.encode())
