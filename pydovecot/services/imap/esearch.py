"""RETURN (...) and the ESEARCH answer, for SEARCH and SORT. RFC 4731, RFC 5182 (SAVE), RFC 5267 (PARTIAL).

A result is sequence numbers in the order of the command: ascending for SEARCH, sorted for SORT, so that MIN
is the first and MAX the last of it. CONTEXT is taken as the hint that it is; RELEVANCY gives each message the
same score, for nothing here searches by likeness.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from pydovecot.model.numbers import Seq
from pydovecot.model.search import Key
from pydovecot.model.seqset import SeqSet
from pydovecot.proto.imap.cursor import Cursor
from pydovecot.proto.imap.encode import quoted
from pydovecot.proto.imap.syntax import Atom, BadSyntax
from pydovecot.services.imap.search_keys import Selected, resolve
from pydovecot.services.imap.session import Session
from pydovecot.storage.api import Column

RETURN: Final = frozenset({b"MIN", b"MAX", b"ALL", b"COUNT", b"SAVE", b"CONTEXT", b"RELEVANCY", b"PARTIAL"})
_UINT32: Final = 1 << 32  # Dovecot counts PARTIAL's numbers in so many bits
_MAX_DIGITS: Final = 20


@dataclass(frozen=True, slots=True)
class Returns:
    """What RETURN asks for; `partial` are the first and the last place, from 1."""

    words: frozenset[bytes]
    partial: tuple[int, int] | None = None

    @property
    def save(self) -> bool:
        """The result becomes `$`."""
        return b"SAVE" in self.words

    @property
    def only_ends(self) -> bool:
        """Nothing but single messages of the result is wanted, not all of it."""
        ends = self.words & {b"MIN", b"MAX"} or self.partial is not None
        return bool(ends) and b"ALL" not in self.words


ALL_OF_THEM: Final = Returns(frozenset({b"ALL"}))  # RFC 4731 3.1: what no options mean


def parse_returns(cursor: Cursor) -> Returns | None:
    """`RETURN (options)` if it comes next; without a list the word is left to the grammar of the command."""
    word = cursor.peek()
    if not isinstance(word, Atom) or word.upper() != b"RETURN" or not isinstance(cursor.peek(1), list):
        return None
    cursor.next()
    return _options(Cursor(cursor.list()))


def _options(cursor: Cursor) -> Returns:
    words: set[bytes] = set()
    partial: tuple[int, int] | None = None
    while cursor.more():
        name = cursor.atom("SEARCH return options contain non-atoms").upper()
        if name not in RETURN:
            raise BadSyntax("Unknown SEARCH return option")
        if name == b"PARTIAL":
            if partial is not None:
                raise BadSyntax("PARTIAL can be used only once")
            partial = _partial(cursor.atom("PARTIAL range missing"))
        elif name != b"CONTEXT":
            words.add(name)
    if partial is not None and b"ALL" in words:
        raise BadSyntax("PARTIAL conflicts with ALL")
    if not words and partial is None:
        words.add(b"ALL")  # RFC 4731 3.1
    return Returns(frozenset(words), partial)


def _partial(text: bytes) -> tuple[int, int]:
    low, colon, high = text.partition(b":")
    numbers = [int(part) % _UINT32 for part in (low, high) if part.isdigit() and len(part) <= _MAX_DIGITS]
    if not colon or len(numbers) != 2 or 0 in numbers:
        raise BadSyntax("PARTIAL range broken")
    return min(numbers), max(numbers)


def find(session: Session, key: Key, returns: Returns | None = None) -> Sequence[Seq]:
    """The messages that match, ascending. `$` in the key is the last saved result.

    What SAVE had saved is forgotten first, so that a search that fails leaves nothing (RFC 5182 2.1).
    """
    view = session.selected
    separator = next((space.separator for space in session.store.namespaces), ".")
    key = resolve(key, Selected(len(view.uids), session.saved, separator))
    if returns is not None and returns.save:
        session.saved = SeqSet()
    return view.search(key)


def answer(
    session: Session, returns: Returns, result: Sequence[Seq], *, tag: bytes, uid: bool, modseq: bool
) -> bytes:
    """The ESEARCH line, or nothing where only SAVE was asked for; SAVE is done here.

    `modseq`: a MODSEQ key was in the search, the highest of what is returned is told (RFC 4731 3.2).
    """
    chosen = _chosen(returns, result) if returns.only_ends else result
    if returns.save:
        whole = b"COUNT" in returns.words or not returns.only_ends
        session.saved = _uids(session, result if whole else chosen)
    told = returns.words - {b"SAVE"} or returns.partial is not None
    highest = highest_modseq(session, chosen if returns.only_ends else result) if modseq and result else 0
    if not told and not highest:
        return b""
    return b" ".join(_words(session, returns, result, chosen, tag, uid, highest)) + b"\r\n"


def _words(
    session: Session,
    returns: Returns,
    result: Sequence[Seq],
    chosen: Sequence[Seq],
    tag: bytes,
    uid: bool,
    highest: int,
) -> Iterator[bytes]:
    uids = session.selected.uids
    numbers: Sequence[int] = [uids[seq - 1] for seq in result] if uid else result
    yield b"* ESEARCH (TAG %b)" % quoted(tag)
    if uid:
        yield b"UID"
    if numbers:
        if b"MIN" in returns.words:
            yield b"MIN %d" % numbers[0]
        if b"MAX" in returns.words:
            yield b"MAX %d" % numbers[-1]
        if b"ALL" in returns.words:
            yield b"ALL %b" % in_order(numbers)
    if b"RELEVANCY" in returns.words:
        yield b"RELEVANCY (%b)" % b" ".join([b"1"] * len(chosen))
    if returns.partial is not None:
        first, last = returns.partial
        part = numbers[first - 1 : last]
        yield b"PARTIAL (%d:%d %b)" % (first, last, in_order(part) if part else b"NIL")
    if b"COUNT" in returns.words:
        yield b"COUNT %d" % len(numbers)
    if highest:
        yield b"MODSEQ %d" % highest


def _chosen(returns: Returns, result: Sequence[Seq]) -> list[Seq]:
    """MIN, MAX and PARTIAL of the result, each once."""
    found: list[Seq] = []
    if b"MIN" in returns.words:
        found += result[:1]
    if b"MAX" in returns.words:
        found += result[-1:]
    if returns.partial is not None:
        first, last = returns.partial
        found += result[first - 1 : last]
    elif b"COUNT" in returns.words:
        return list(result)
    return sorted(set(found))


def _uids(session: Session, seqs: Sequence[Seq]) -> SeqSet:
    uids = session.selected.uids
    return SeqSet.of(sorted([uids[seq - 1] for seq in seqs]))


def highest_modseq(session: Session, seqs: Sequence[Seq]) -> int:
    """The highest modseq of these messages."""
    rows: Iterator[tuple[Any, ...]] = session.selected.rows(SeqSet.of(sorted(seqs)), [Column.MODSEQ])
    return max((modseq for (modseq,) in rows), default=0)


def in_order(numbers: Sequence[int]) -> bytes:
    """Numbers as ranges without sorting them: 3,1,2 is `3,1:2`."""
    parts: list[bytes] = []
    low = high = numbers[0]
    for number in numbers[1:]:
        if number == high + 1:
            high = number
            continue
        parts.append(b"%d" % low if low == high else b"%d:%d" % (low, high))
        low = high = number
    parts.append(b"%d" % low if low == high else b"%d:%d" % (low, high))
    return b",".join(parts)
