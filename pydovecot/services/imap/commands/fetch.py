"""FETCH and UID FETCH. RFC 3501 6.4.5; CHANGEDSINCE: RFC 7162 3.1.4.1."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from pydovecot.model.errors import InternalError
from pydovecot.model.numbers import ModSeq
from pydovecot.model.seqset import SeqSet
from pydovecot.proto.imap.cursor import Cursor
from pydovecot.proto.imap.syntax import Arg, Atom, BadSyntax
from pydovecot.services.imap.fetch_items import MODSEQ, UID, Item, parse_items
from pydovecot.services.imap.fetch_render import Plan
from pydovecot.services.imap.reply import Conversation, EndSession, ok
from pydovecot.services.imap.session import Session
from pydovecot.services.imap.sync import sync, tell_modseqs

MAX_MODSEQ: Final = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Args:
    messages: SeqSet
    items: tuple[Item, ...]
    changed_since: ModSeq | None
    uid: bool


def parse(cursor: Cursor) -> Args:
    return _parse(cursor, uid=False)


def parse_uid(cursor: Cursor) -> Args:
    return _parse(cursor, uid=True)


def _parse(cursor: Cursor, *, uid: bool) -> Args:
    messages = cursor.seqset("Invalid uidset" if uid else "Invalid messageset")
    items = parse_items(cursor)
    changed_since: ModSeq | None = None
    if cursor.more():
        changed_since = _modifiers(cursor.list())
    if uid:
        items.insert(0, UID)  # RFC 3501 6.4.8
    if changed_since is not None:
        items.append(MODSEQ)  # RFC 7162 3.1.4.1
    return Args(messages, tuple(items), changed_since, uid)


def _modifiers(args: Sequence[Arg]) -> ModSeq | None:
    cursor = Cursor(args)
    found: ModSeq | None = None
    while cursor.more():
        if cursor.atom("Unknown FETCH modifier").upper() != b"CHANGEDSINCE":
            raise BadSyntax("Unknown FETCH modifier")
        value = cursor.next("Invalid CHANGEDSINCE modseq")
        if not isinstance(value, Atom) or not value.isdigit() or int(value[:20]) > MAX_MODSEQ:
            raise BadSyntax("Invalid CHANGEDSINCE modseq")
        found = ModSeq(int(value))
    return found


def run(session: Session, args: Args) -> Conversation:
    view = session.selected
    seqs = session.resolve(args.messages, uid=args.uid)
    if args.changed_since is not None:
        yield from session.enable_condstore()
        if seqs:
            seqs = SeqSet.of(view.changed_since(args.changed_since, seqs))
    elif MODSEQ in args.items:
        yield from session.enable_condstore()
    plan = Plan(session, args.items)
    if seqs:
        try:
            yield from plan.run(seqs)
        except (InternalError, OSError) as exc:
            if session.settings.imap_fetch_failure == "no-after":
                raise
            raise EndSession("FETCH failed") from exc
    told = SeqSet.of(plan.marked) if session.condstore else SeqSet()
    yield from sync(session, expunges=args.uid, uid=args.uid)
    yield from tell_modseqs(session, told, uid=args.uid)
    if plan.refusal is not None:
        raise plan.refusal
    if plan.failure is not None:
        if session.settings.imap_fetch_failure == "disconnect-after":
            raise EndSession("FETCH failed") from plan.failure
        raise plan.failure
    if plan.expunged:
        return ok("Some messages were already expunged", b"EXPUNGEISSUED")
    return ok("Fetch completed")
