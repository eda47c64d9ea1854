"""SEARCH and UID SEARCH. RFC 3501 6.4.4; RETURN: RFC 4731; MODSEQ: RFC 7162 3.1.5, RFC 4731 3.2."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from pydovecot.mime import charset
from pydovecot.model.errors import Code, UserError
from pydovecot.model.numbers import Seq
from pydovecot.model.search import Key
from pydovecot.model.seqset import SeqSet
from pydovecot.proto.imap.cursor import Cursor
from pydovecot.proto.imap.encode import quoted
from pydovecot.proto.imap.syntax import Arg, Atom, BadSyntax
from pydovecot.services.imap.reply import Conversation, ok
from pydovecot.services.imap.search_keys import Program, parse_keys, resolve_seqs
from pydovecot.services.imap.session import Session
from pydovecot.services.imap.sync import sync
from pydovecot.storage.api import Column

_RETURN: Final = frozenset({b"MIN", b"MAX", b"ALL", b"COUNT"})


@dataclass(frozen=True, slots=True)
class Args:
    key: Key
    returns: frozenset[bytes] | None  # None: the old form of the answer
    modseq: bool
    uid: bool
    tag: bytes


def parse(cursor: Cursor) -> Args:
    return _parse(cursor, uid=False)


def parse_uid(cursor: Cursor) -> Args:
    return _parse(cursor, uid=True)


def _parse(cursor: Cursor, *, uid: bool) -> Args:
    returns: frozenset[bytes] | None = None
    if _is_word(cursor.peek(), b"RETURN"):
        cursor.next()
        options = cursor.optional_list()
        if options is None:
            raise BadSyntax("Unknown argument RETURN")
        returns = _returns(options)
    program = Program()
    if _is_word(cursor.peek(), b"CHARSET"):
        cursor.next()
        program.codec = _codec(cursor.astring("Invalid charset argument", "Invalid charset argument"))
    key = parse_keys(cursor, program)
    return Args(key, returns, program.modseq, uid, cursor.tag)


def _is_word(arg: Arg | None, word: bytes) -> bool:
    return isinstance(arg, Atom) and arg.upper() == word


def _returns(args: Sequence[Arg]) -> frozenset[bytes]:
    words: set[bytes] = set()
    for arg in args:
        if not isinstance(arg, Atom):
            raise BadSyntax("SEARCH return options contain non-atoms")
        if arg.upper() not in _RETURN:
            raise BadSyntax("Unknown SEARCH return option")
        words.add(arg.upper())
    return frozenset(words or {b"ALL"})  # RFC 4731 3.1


def _codec(name: bytes) -> str:
    """Python's codec of a charset name."""
    found = charset.lookup(name)
    if found is None:
        raise UserError(Code.BADCHARSET, "Unknown charset")
    return found


def run(session: Session, args: Args) -> Conversation:
    view = session.selected
    if args.modseq:
        yield from session.enable_condstore()
    found = view.search(resolve_seqs(args.key, len(view.uids)))
    uids = view.uids
    numbers: Sequence[int] = [uids[seq - 1] for seq in found] if args.uid else found
    if args.returns is None:
        yield _plain(session, args, found, numbers)
    else:
        yield b" ".join(_extended(session, args, args.returns, found, numbers)) + b"\r\n"
    yield from sync(session, expunges=args.uid, uid=args.uid)
    return ok("Search completed")


def _plain(session: Session, args: Args, found: Sequence[Seq], numbers: Sequence[int]) -> bytes:
    if not numbers:
        return b"* SEARCH\r\n"
    line = f"* SEARCH {' '.join(map(str, numbers))}".encode()
    if args.modseq:
        line += b" (MODSEQ %d)" % _highest_modseq(session, found)
    return line + b"\r\n"


def _extended(
    session: Session, args: Args, returns: frozenset[bytes], found: Sequence[Seq], numbers: Sequence[int]
) -> Iterator[bytes]:
    yield b"* ESEARCH (TAG %b)" % quoted(args.tag)
    if args.uid:
        yield b"UID"
    if numbers:
        if b"MIN" in returns:
            yield b"MIN %d" % numbers[0]
        if b"MAX" in returns:
            yield b"MAX %d" % numbers[-1]
        if b"ALL" in returns:
            yield b"ALL %b" % SeqSet.of(numbers).encode()
    if b"COUNT" in returns:
        yield b"COUNT %d" % len(numbers)
    if args.modseq and numbers:
        # RFC 4731 3.2: of the messages returned, where only MIN or MAX are.
        told = set(found) if returns & {b"ALL", b"COUNT"} else set()
        if not told:
            told = {found[0]} if b"MIN" in returns else set()
            told |= {found[-1]} if b"MAX" in returns else set()
        yield b"MODSEQ %d" % _highest_modseq(session, sorted(told))


def _highest_modseq(session: Session, seqs: Sequence[Seq]) -> int:
    rows: Iterator[tuple[Any, ...]] = session.selected.rows(SeqSet.of(seqs), [Column.MODSEQ])
    return max((modseq for (modseq,) in rows), default=0)
