"""SEARCH and UID SEARCH. RFC 3501 6.4.4; RETURN: RFC 4731; MODSEQ: RFC 7162 3.1.5, RFC 4731 3.2."""

from collections.abc import Sequence
from dataclasses import dataclass

from pydovecot.model.errors import UserError
from pydovecot.model.numbers import Seq
from pydovecot.model.search import Key
from pydovecot.model.seqset import EMPTY
from pydovecot.proto.imap.cursor import Cursor
from pydovecot.proto.imap.syntax import Arg, Atom
from pydovecot.services.imap.esearch import ALL_OF_THEM, Returns, answer, find, highest_modseq, parse_returns
from pydovecot.services.imap.reply import Conversation, ok
from pydovecot.services.imap.search_keys import has_sequences, keys_in
from pydovecot.services.imap.session import Session
from pydovecot.services.imap.sync import sync


@dataclass(frozen=True, slots=True)
class Args:
    """`refused`: the charset is unknown, which is a failed search and no syntax error."""

    key: Key
    returns: Returns | None  # None: the old form of the answer
    modseq: bool
    uid: bool
    tag: bytes
    refused: UserError | None = None


def parse(cursor: Cursor) -> Args:
    return _parse(cursor, uid=False)


def parse_uid(cursor: Cursor) -> Args:
    return _parse(cursor, uid=True)


def _parse(cursor: Cursor, *, uid: bool) -> Args:
    returns = parse_returns(cursor)
    name = b""
    if _is_word(cursor.peek(), b"CHARSET"):
        cursor.next()
        name = cursor.astring("Invalid charset argument", "Invalid charset argument")
    key, modseq, refused = keys_in(name, cursor)
    return Args(key, returns, modseq, uid, cursor.tag, refused)


def _is_word(arg: Arg | None, word: bytes) -> bool:
    return isinstance(arg, Atom) and arg.upper() == word


def run(session: Session, args: Args) -> Conversation:
    if args.refused is not None:
        if args.returns is not None and args.returns.save:
            session.saved = EMPTY  # RFC 5182 2.1: a search that fails leaves an empty result
        raise args.refused
    if args.modseq:
        yield from session.enable_condstore()
    returns = args.returns
    if returns is None and session.rev2:
        returns = ALL_OF_THEM  # RFC 9051 6.4.4: there is no SEARCH response
    found = find(session, args.key, returns)
    if returns is None:
        yield _plain(session, args, found)
    else:
        line = answer(session, returns, found, tag=args.tag, uid=args.uid, modseq=args.modseq)
        if line:
            yield line
    yield from sync(session, expunges=args.uid and not has_sequences(args.key), uid=args.uid)
    return ok("Search completed")


def _plain(session: Session, args: Args, found: Sequence[Seq]) -> bytes:
    if not found:
        return b"* SEARCH\r\n"
    uids = session.selected.uids
    numbers: Sequence[int] = [uids[seq - 1] for seq in found] if args.uid else found
    line = f"* SEARCH {' '.join(map(str, numbers))}".encode()
    if args.modseq:
        line += b" (MODSEQ %d)" % highest_modseq(session, found)
    return line + b"\r\n"
