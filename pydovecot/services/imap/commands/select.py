"""SELECT and EXAMINE. RFC 3501 6.3.1, RFC 9051 6.3.2 (LIST); CONDSTORE, QRESYNC: RFC 7162 3.1.8, 3.2.5."""

from dataclasses import dataclass

from pydovecot.proto.imap.cursor import Cursor
from pydovecot.proto.imap.syntax import BadSyntax
from pydovecot.services.imap import mailboxes, qresync
from pydovecot.services.imap.commands.list import name_line
from pydovecot.services.imap.flags import flags_line, permanent_flags_line
from pydovecot.services.imap.reply import Conversation, ok
from pydovecot.services.imap.session import Session
from pydovecot.services.imap.sync import counts
from pydovecot.storage.api import View


@dataclass(frozen=True, slots=True)
class Args:
    mailbox: str
    known: qresync.Known | None


def parse(cursor: Cursor) -> Cursor:
    """Read later: SELECT ends the selected state whatever its arguments are worth, as in Dovecot."""
    return cursor


def _args(cursor: Cursor, session: Session) -> Args:
    name = cursor.astring()
    known: qresync.Known | None = None
    params = Cursor(cursor.optional_list() or ())
    while params.more():
        param = params.atom("SELECT options contain non-atoms").upper()
        if param == b"CONDSTORE":
            session.condstore = True  # even if the mailbox cannot be opened: RFC 7162 3.1
        elif param == b"QRESYNC":
            if not session.qresync:
                raise BadSyntax("QRESYNC not enabled")
            known = qresync.parse(params.list("QRESYNC parameters missing"))
        else:
            raise BadSyntax("Unknown FETCH modifier")
    return Args(session.mailbox_name(name), known)


def run(session: Session, cursor: Cursor) -> Conversation:
    return (yield from _open(session, cursor, readonly=False))


def examine(session: Session, cursor: Cursor) -> Conversation:
    return (yield from _open(session, cursor, readonly=True))


def _open(session: Session, cursor: Cursor, *, readonly: bool) -> Conversation:
    if session.close_view():
        yield b"* OK [CLOSED] Previous mailbox closed.\r\n"
    args = _args(cursor, session)
    view = session.store.open(args.mailbox, readonly=readonly, keep_recent=readonly)
    session.view = view
    session.modseqs.begin(view.highest_modseq, view.keeps_modseqs)
    if session.rev2:
        view.hide_recent()
    yield _state(session, view)
    if session.rev2:
        yield name_line(session, view.name, mailboxes.given_name(args.mailbox))
    if args.known is not None:
        yield from qresync.missed(view, args.known)
    if view.readonly:
        return ok("Examine completed" if readonly else "Select completed", b"READ-ONLY")
    return ok("Select completed", b"READ-WRITE")


def _state(session: Session, view: View) -> bytes:
    lines = [flags_line(view), permanent_flags_line(view), counts(session, view)]
    unseen = None if session.rev2 else view.first_unseen()
    if unseen is not None:
        lines.append(b"* OK [UNSEEN %d] First unseen.\r\n" % unseen)
    lines.append(
        b"* OK [UIDVALIDITY %d] UIDs valid\r\n"
        b"* OK [UIDNEXT %d] Predicted next UID\r\n" % (view.uidvalidity, view.uidnext)
    )
    if view.keeps_modseqs:
        lines.append(b"* OK [HIGHESTMODSEQ %d] Highest\r\n" % view.highest_modseq)
    else:
        lines.append(b"* OK [NOMODSEQ] No permanent modsequences\r\n")  # RFC 7162 3.1.2.2
    lines.append(b"* OK [MAILBOXID (%b)] Unique mailbox id\r\n" % mailboxes.object_id(view.guid))
    return b"".join(lines)
