"""FETCH and UID FETCH. RFC 3501 6.4.5; CHANGEDSINCE: RFC 7162 3.1.4.1; VANISHED: RFC 7162 3.2.6."""

from dataclasses import dataclass

from pydovecot.model.errors import InternalError
from pydovecot.model.numbers import ModSeq
from pydovecot.model.seqset import SeqSet
from pydovecot.proto.imap.cursor import Cursor, parse_modseq
from pydovecot.proto.imap.syntax import BadSyntax
from pydovecot.services.imap.detecting import detect
from pydovecot.services.imap.esearch import highest_modseq
from pydovecot.services.imap.fetch_items import MODSEQ, UID, Item, parse_items
from pydovecot.services.imap.fetch_render import Plan
from pydovecot.services.imap.reply import Conversation, EndSession, ok
from pydovecot.services.imap.session import Session
from pydovecot.services.imap.sync import sync


@dataclass(frozen=True, slots=True)
class Args:
    messages: SeqSet
    items: tuple[Item, ...]
    changed_since: ModSeq | None
    vanished: bool
    uid: bool


def parse(cursor: Cursor) -> Args:
    return _parse(cursor, uid=False)


def parse_uid(cursor: Cursor) -> Args:
    return _parse(cursor, uid=True)


def _parse(cursor: Cursor, *, uid: bool) -> Args:
    messages = cursor.seqset("Invalid uidset" if uid else "Invalid messageset")
    items = parse_items(cursor)
    changed_since, vanished = _modifiers(Cursor(cursor.list() if cursor.more() else ()), uid)
    if uid:
        items.insert(0, UID)  # RFC 3501 6.4.8
    if changed_since is not None:
        items.append(MODSEQ)  # RFC 7162 3.1.4.1
    return Args(messages, tuple(items), changed_since, vanished, uid)


def _modifiers(cursor: Cursor, uid: bool) -> tuple[ModSeq | None, bool]:
    """CHANGEDSINCE and whether VANISHED was there."""
    changed_since: ModSeq | None = None
    vanished = False
    while cursor.more():
        name = cursor.atom("FETCH modifiers contain non-atoms").upper()
        if name == b"CHANGEDSINCE":
            modseq = parse_modseq(cursor.next("Invalid CHANGEDSINCE modseq"))
            if modseq is None:
                raise BadSyntax("Invalid CHANGEDSINCE modseq")
            changed_since = max(modseq, changed_since or modseq)  # more of them must all be true
        elif name == b"VANISHED" and uid:
            vanished = True
        else:
            raise BadSyntax("Unknown FETCH modifier")
    return changed_since, vanished


def run(session: Session, args: Args) -> Conversation:
    view = session.selected
    seqs = session.resolve(args.messages, uid=args.uid)
    if args.changed_since is not None:
        yield from session.enable_condstore()
        if not view.keeps_modseqs:
            raise BadSyntax("FETCH CHANGEDSINCE can't be used with non-permanent modseqs")
        yield _vanished(session, args, args.changed_since)
        if seqs:
            seqs = SeqSet.of(view.changed_since(args.changed_since, seqs))
    elif args.vanished:
        raise BadSyntax("VANISHED used without CHANGEDSINCE" if session.qresync else "QRESYNC not enabled")
    elif MODSEQ in args.items:
        yield from session.enable_condstore()
        if not view.keeps_modseqs:
            raise BadSyntax("FETCH MODSEQ can't be used with non-permanent modseqs")
    if session.qresync and MODSEQ in args.items:
        _note_modseqs(session, seqs)
    plan = Plan(session, args.items)
    if seqs:
        try:
            detect(session, args.items, seqs)
            yield from plan.run(seqs)
        except (InternalError, OSError) as exc:
            if session.settings.imap_fetch_failure == "no-after":
                raise
            raise EndSession("FETCH failed") from exc
    yield from sync(session, expunges=args.uid, uid=args.uid, changed_silently=SeqSet.of(plan.marked))
    if plan.refusal is not None:
        raise plan.refusal
    if plan.failure is not None:
        if session.settings.imap_fetch_failure == "disconnect-after":
            raise EndSession("FETCH failed") from plan.failure
        raise plan.failure
    if plan.expunged:
        return ok("Some messages were already expunged", b"EXPUNGEISSUED")
    return ok("Fetch completed")


def _vanished(session: Session, args: Args, since: ModSeq) -> bytes:
    """The UIDs of the question that were expunged meanwhile. `$` names messages that are there."""
    if not args.vanished:
        return b""
    if not session.qresync:
        raise BadSyntax("QRESYNC not enabled")
    gone = session.selected.vanished_since(since, session.uids(args.messages))
    return b"* VANISHED (EARLIER) %b\r\n" % gone.encode() if gone else b""


def _note_modseqs(session: Session, seqs: SeqSet) -> None:
    """What the client is going to read, if it is more than it knows."""
    news = session.selected.changed_since(ModSeq(session.modseqs.full), seqs) if seqs else ()
    if news:
        session.modseqs.fetch(highest_modseq(session, news))
