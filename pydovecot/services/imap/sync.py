"""Telling the client what changed in the selected mailbox, at the points where the protocol allows it.

RFC 3501 7.4.1: no EXPUNGE during FETCH, STORE and SEARCH (their UID forms are free of that), and none without
a command. The order is Dovecot's: flags, then expunges from the last to the first, then EXISTS and RECENT.
"""

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Final

from pydovecot.model.numbers import Seq
from pydovecot.model.seqset import EMPTY, SeqSet
from pydovecot.services.imap.flags import flags_line, permanent_flags_line
from pydovecot.services.imap.session import Session
from pydovecot.storage.api import Changes, Column, View

ROWS_A_CHUNK: Final = 1000  # about 50 kB of FLAGS responses: few system calls, little to hold

# (with UID, with CONDSTORE) -> columns and the form of one response
_FORMS: Final[dict[tuple[bool, bool], tuple[tuple[Column, ...], bytes]]] = {
    (False, False): ((Column.SEQ, Column.FLAGS), b"* %d FETCH (FLAGS (%b))\r\n"),
    (True, False): ((Column.SEQ, Column.UID, Column.FLAGS), b"* %d FETCH (UID %d FLAGS (%b))\r\n"),
    (False, True): (
        (Column.SEQ, Column.MODSEQ, Column.FLAGS),
        b"* %d FETCH (MODSEQ (%d) FLAGS (%b))\r\n",
    ),
    (True, True): (
        (Column.SEQ, Column.UID, Column.MODSEQ, Column.FLAGS),
        b"* %d FETCH (UID %d MODSEQ (%d) FLAGS (%b))\r\n",
    ),
}


def sync(
    session: Session,
    *,
    expunges: bool = True,
    uid: bool = False,
    asked: bool = False,
    changed_silently: SeqSet = EMPTY,
) -> Iterator[bytes]:
    """Take in all changes and tell them.

    `uid`: FETCH responses carry UID, RFC 3501 6.4.8. `asked`: the command asks for news (NOOP, CHECK, IDLE);
    with imap_client_workarounds = delay-newmail only these tell of new messages. `changed_silently`: UIDs of
    what this command changed without telling its flags (STORE .SILENT, FETCH BODY[]): the client learns the
    new modseqs, RFC 7162 3.1.3.
    With QRESYNC and IMAP4rev2 they always carry UID (RFC 7162 3.2.10, RFC 9051 E.21); with the former
    VANISHED stands for EXPUNGE (RFC 7162 3.2.6).
    """
    view = session.view
    if view is None:
        return
    changes = session.modseqs.last = view.sync(expunges=expunges)
    if changes.new_keywords:
        yield flags_line(view) + permanent_flags_line(view)
    if changes.changed:
        yield from _flags(session, view, changes, uid)
    if changed_silently and session.condstore:
        yield from _modseqs(session, view, changes, changed_silently, uid)
    if changes.expunged:
        yield _vanished(changes) if session.qresync else _expunges(changes.expunged)
    yield from _counts(session, view, changes, asked)


def _counts(session: Session, view: View, changes: Changes, asked: bool) -> Iterator[bytes]:
    if session.held_counts and asked:
        session.held_counts = False
        yield counts(session, view)
        return
    exists, recent = changes.exists, changes.recent
    if exists is not None and not asked and session.workaround("delay-newmail"):
        session.held_counts = True
        return
    if exists is not None:
        yield b"* %d EXISTS\r\n" % exists
    if recent is not None:
        yield b"* %d RECENT\r\n" % recent


def counts(session: Session, view: View) -> bytes:
    """EXISTS, and RECENT for clients that know it."""
    if session.rev2:
        return b"* %d EXISTS\r\n" % len(view.uids)
    return b"* %d EXISTS\r\n* %d RECENT\r\n" % (len(view.uids), view.recent)


def _flags(session: Session, view: View, changes: Changes, uid: bool) -> Iterator[bytes]:
    columns, form = _FORMS[uid or session.tells_uids, session.tells_modseqs]
    rows = view.rows(SeqSet.of(changes.changed), columns)
    if changes.expunged:
        rows = _renumber(rows, changes.expunged)
    if Column.MODSEQ in columns and session.qresync:
        rows = _noted(session, rows, columns.index(Column.MODSEQ))
    yield from bulk(rows, form)


def _modseqs(session: Session, view: View, changes: Changes, uids: SeqSet, uid: bool) -> Iterator[bytes]:
    seqs = view.seqs_of(uids)
    if changes.changed:
        told = set(changes.changed)
        seqs = SeqSet.of(seq for seq in seqs if seq not in told)
    if not seqs:
        return
    columns: tuple[Column, ...] = (Column.SEQ, Column.MODSEQ)
    form = b"* %d FETCH (MODSEQ (%d))\r\n"
    if uid or session.tells_uids:
        columns = (Column.SEQ, Column.UID, Column.MODSEQ)
        form = b"* %d FETCH (UID %d MODSEQ (%d))\r\n"
    rows = view.rows(seqs, columns)
    if changes.expunged:
        rows = _renumber(rows, changes.expunged)
    yield from bulk(_noted(session, rows, len(columns) - 1), form)


def _noted(
    session: Session, rows: Iterator[tuple[object, ...]], place: int
) -> Iterator[tuple[object, ...]]:
    """The rows; the client knows their modseqs then."""
    for row in rows:
        modseq = row[place]
        assert isinstance(modseq, int)
        session.modseqs.fetch(modseq)
        yield row


def _vanished(changes: Changes) -> bytes:
    return b"* VANISHED %b\r\n" % SeqSet.of(changes.expunged_uids).encode()


def highest(session: Session) -> bytes:
    """`* OK [HIGHESTMODSEQ n]` if one is due after a sync without a tagged answer: IDLE."""
    modseq = session.modseqs.due() if session.qresync else 0
    return b"* OK [HIGHESTMODSEQ %d] Highest\r\n" % modseq if modseq else b""


def bulk(rows: Iterator[tuple[object, ...]], form: bytes) -> Iterator[bytes]:
    """Each row by `form`, many rows a chunk."""
    render = form.__mod__
    while chunk := b"".join(map(render, islice(rows, ROWS_A_CHUNK))):
        yield chunk


def _renumber(rows: Iterator[tuple[object, ...]], expunged: Sequence[Seq]) -> Iterator[tuple[object, ...]]:
    """Rows have the numbers after the expunge; the client, told of it later, still has those before."""
    gone = 0
    for row in rows:
        seq = row[0]
        assert isinstance(seq, int)
        while gone < len(expunged) and expunged[gone] <= seq + gone:
            gone += 1
        yield (seq + gone, *row[1:])


def _expunges(expunged: Sequence[Seq]) -> bytes:
    return b"".join(map(b"* %d EXPUNGE\r\n".__mod__, reversed(expunged)))


def uids_of(view: View, seqs: SeqSet) -> SeqSet:
    """The same messages by UID, which a sync does not move."""
    uids = view.uids
    return SeqSet.of(uid for low, high in seqs.ranges for uid in uids[low - 1 : high])
