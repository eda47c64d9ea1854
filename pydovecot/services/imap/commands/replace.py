"""REPLACE and UID REPLACE: APPEND and EXPUNGE in one step. RFC 8508."""

import re
from typing import Final

from pydovecot.model.errors import Code, UserError
from pydovecot.model.numbers import Seq
from pydovecot.model.seqset import SeqSet
from pydovecot.proto.imap.cursor import Cursor, parse_seqset
from pydovecot.proto.imap.syntax import Arg, Atom, BadSyntax
from pydovecot.services.imap.commands.append import (
    Piece,
    appenduid,
    args_of,
    read_head,
    take_mailbox,
    take_message,
)
from pydovecot.services.imap.commands.list import normalized
from pydovecot.services.imap.flags import check_keywords
from pydovecot.services.imap.reply import Conversation, Need, no, ok
from pydovecot.services.imap.session import Session
from pydovecot.services.imap.sync import sync
from pydovecot.storage.api import Column, ExpungedError, View

_ONE: Final = re.compile(rb"[0-9]+|\*")  # RFC 8508 5: a number, no set


def parse(cursor: Cursor) -> Piece:
    """Only reached without any literal, so the message is missing."""
    cursor.required()
    cursor.mailbox()
    cursor.optional_list()
    raise BadSyntax("Invalid arguments" if cursor.more() else "Missing message size")


def run(session: Session, args: Piece) -> Conversation:
    return (yield from _replace(session, args, uid=False))


def run_uid(session: Session, args: Piece) -> Conversation:
    return (yield from _replace(session, args, uid=True))


def _replace(session: Session, args: Piece, *, uid: bool) -> Conversation:
    (number,), name, head_args, literal = yield from take_mailbox(*args, before=1)
    view = session.selected
    seq = _old(session, number, uid=uid)
    if view.readonly:
        raise UserError(Code.CANNOT, "Mailbox is read-only")
    head = read_head(Cursor(head_args))
    check_keywords(head.flags, session.max_keyword_length)
    if literal.size == 0:
        return no("Can't save a zero byte message")
    target = session.mailbox_name(name)
    save = session.store.save(target)
    try:
        # What is no larger than the old message fits wherever that did: an over-full mailbox takes it, too.
        fits = not literal.binary and literal.size <= _size(view, seq)
        save.begin(head.flags, head.received, expected=0 if fits else literal.size, moved=fits)
        yield from take_message(save, literal)
        save.finish()
        text, literal_after = yield Need.PIECE
        if literal_after is not None or args_of(text, None):
            raise BadSyntax("Invalid arguments")
        result = view.replace(seq, save)
    except BaseException:
        save.rollback()
        raise
    session.stats.appended += 1
    session.stats.expunged += 1
    yield from normalized(session, target)
    # RFC 8508 4.3: the new UID before the EXPUNGE.
    yield b"* OK [%b] Replacement Message ready.\r\n" % appenduid(result)
    yield from sync(session, uid=uid)
    return ok("Replace completed")


def _size(view: View, seq: Seq) -> int:
    """Octets of the message that goes; 0 when it is gone already."""
    try:
        ((size,),) = view.rows(SeqSet.of([seq]), (Column.SIZE,))
    except (ExpungedError, ValueError):
        return 0
    assert isinstance(size, int)
    return size


def _old(session: Session, number: Arg, *, uid: bool) -> Seq:
    """The one message that goes. A UID that is not there is no syntax error, RFC 8508 3.2."""
    found = parse_seqset(number) if isinstance(number, Atom) and _ONE.fullmatch(number) else None
    if found is None:
        raise BadSyntax("Invalid uidset" if uid else "Invalid messageset")
    seqs = session.resolve(found, uid=uid)
    if not seqs:
        raise UserError(Code.NONE, "No such message")
    return Seq(seqs.ranges[0][0])
