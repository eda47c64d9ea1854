"""The QRESYNC parameter of SELECT: what a returning client knows, and what it missed. RFC 7162 3.2.5."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from pydovecot.model.numbers import ModSeq, Uid
from pydovecot.model.seqset import STAR, SeqSet
from pydovecot.proto.imap.cursor import Cursor, parse_modseq, parse_seqset
from pydovecot.proto.imap.syntax import Arg, Atom, BadSyntax
from pydovecot.services.imap.sync import bulk
from pydovecot.storage.api import Column, View

Match = tuple[SeqSet, SeqSet]  # sequence numbers and the UIDs that they had


@dataclass(frozen=True, slots=True)
class Known:
    """`uids` None: all; `match`: samples of the client's numbering, RFC 7162 3.2.5.2."""

    uidvalidity: int
    modseq: ModSeq
    uids: SeqSet | None = None
    match: Match | None = None


def parse(args: Sequence[Arg]) -> Known:
    """`(uidvalidity modseq [known-uids] [(known-sequences known-uids)])`."""
    cursor = Cursor(args)
    uidvalidity = cursor.atom("Invalid QRESYNC parameters")
    modseq = parse_modseq(cursor.next("Invalid QRESYNC parameters"))
    if not uidvalidity.isdigit() or len(uidvalidity) > 10 or int(uidvalidity) > STAR or modseq is None:
        raise BadSyntax("Invalid QRESYNC parameters")
    uids: SeqSet | None = None
    if isinstance(cursor.peek(), Atom):
        uids = _set(cursor, "Invalid QRESYNC known-uids")
    samples = cursor.optional_list()
    match = None if samples is None else _match(Cursor(samples))
    if cursor.more():
        raise BadSyntax("Invalid QRESYNC parameters")
    return Known(int(uidvalidity), modseq, uids, match)


def _match(cursor: Cursor) -> Match:
    seqs = _set(cursor, "Invalid QRESYNC known-sequence-set")
    uids = _set(cursor, "Invalid QRESYNC known-uid-set")
    if len(seqs) != len(uids):
        raise BadSyntax("Invalid QRESYNC sets")
    if cursor.more():
        raise BadSyntax("Too many parameters to QRESYNC known set")
    return seqs, uids


def _set(cursor: Cursor, wrong: str) -> SeqSet:
    found = parse_seqset(cursor.atom(wrong))
    if found is None or found.has_star:
        raise BadSyntax(wrong)
    return found


def missed(view: View, known: Known) -> Iterator[bytes]:
    """What happened to the messages that the client knows; nothing if its mailbox was another one."""
    if known.uidvalidity != view.uidvalidity or not view.keeps_modseqs:
        return
    # A modseq that was never told here is of a history that is lost: everything is told again.
    since = known.modseq if known.modseq <= view.highest_modseq else ModSeq(0)
    gone = view.vanished_since(since, known.uids, same_to=_same_to(view.uids, known.match))
    if gone:
        yield b"* VANISHED (EARLIER) %b\r\n" % gone.encode()
    seqs = None if known.uids is None else view.seqs_of(known.uids)
    changed = view.changed_since(since, seqs)
    columns = (Column.SEQ, Column.UID, Column.FLAGS, Column.MODSEQ)
    form = b"* %d FETCH (UID %d FLAGS (%b) MODSEQ (%d))\r\n"
    yield from bulk(view.rows(SeqSet.of(changed), columns), form)


def _same_to(uids: Sequence[int], match: Match | None) -> Uid:
    """The last sample at which both number alike: up to there nothing that the client knows is gone."""
    same = 0
    for seq, uid in _ends(*match) if match is not None else ():
        if seq > len(uids) or uids[seq - 1] != uid:
            break
        same = uid
    return Uid(same)


def _ends(seqs: SeqSet, uids: SeqSet) -> Iterator[tuple[int, int]]:
    """The ends of both sets' ranges beside each other, ascending: of long ranges the ends tell enough."""
    places = iter(seqs.ranges)
    low, high = next(places, (0, -1))
    for first, last in uids.ranges:
        while first <= last:
            count = min(last - first, high - low)
            yield low, first
            yield low + count, first + count
            first += count + 1
            low += count + 1
            if low > high:
                low, high = next(places, (0, -1))
