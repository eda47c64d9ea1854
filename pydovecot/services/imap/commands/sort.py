"""SORT and UID SORT. RFC 5256 BASE.6.4.SORT; DISPLAYFROM, DISPLAYTO: RFC 5957; RETURN: RFC 5267 3."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from pydovecot.model.errors import UserError
from pydovecot.model.numbers import Seq
from pydovecot.model.search import Key
from pydovecot.model.seqset import EMPTY
from pydovecot.model.sort import SortBy, SortKey
from pydovecot.proto.imap.cursor import Cursor
from pydovecot.proto.imap.syntax import Arg, BadSyntax
from pydovecot.services.imap.esearch import Returns, answer, find, highest_modseq, parse_returns
from pydovecot.services.imap.reply import Conversation, ok
from pydovecot.services.imap.search_keys import has_sequences, keys_in
from pydovecot.services.imap.session import Session
from pydovecot.services.imap.sync import sync

KEYS: Final = {key.name.encode(): key for key in SortKey} | {b"X-SCORE": SortKey.RELEVANCY}


@dataclass(frozen=True, slots=True)
class Args:
    """`refused`: the charset is unknown, see search.Args."""

    order: tuple[SortBy, ...]
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
    order = _order(cursor.list("Invalid sort argument"))
    name = cursor.astring("Invalid charset argument", "Invalid charset argument")
    key, modseq, refused = keys_in(name, cursor)
    return Args(order, key, returns, modseq, uid, cursor.tag, refused)


def _order(args: Sequence[Arg]) -> tuple[SortBy, ...]:
    """The criteria. A key is left out where it was there already; a REVERSE before it goes to the next."""
    if not args:
        raise BadSyntax("Empty sort program")
    found: dict[SortKey, bool] = {}
    reverse = last_is_reverse = False
    for arg in args:
        if isinstance(arg, list):
            if last_is_reverse:
                break
            raise BadSyntax("Invalid sort list argument")
        word = arg.upper()
        last_is_reverse = word == b"REVERSE"
        if last_is_reverse:
            reverse = not reverse
            continue
        key = KEYS.get(word)
        if key is None:
            raise BadSyntax(f"Unknown sort argument: {arg.decode('latin-1')}")
        if key not in found:
            found[key] = reverse
            reverse = False
    if last_is_reverse:
        raise BadSyntax("Sort list ends with REVERSE")
    return tuple(SortBy(key, backwards) for key, backwards in found.items())


def run(session: Session, args: Args) -> Conversation:
    if args.refused is not None:
        if args.returns is not None and args.returns.save:
            session.saved = EMPTY  # RFC 5182 2.1
        raise args.refused
    if args.modseq:
        yield from session.enable_condstore()
    found = session.selected.sort(args.order, find(session, args.key, args.returns))
    if args.returns is None:
        yield _plain(session, args, found)
    elif line := answer(session, args.returns, found, tag=args.tag, uid=args.uid, modseq=args.modseq):
        yield line
    yield from sync(session, expunges=args.uid and not has_sequences(args.key), uid=args.uid)
    return ok("Sort completed")


def _plain(session: Session, args: Args, found: Sequence[Seq]) -> bytes:
    uids = session.selected.uids
    numbers = tuple([uids[seq - 1] for seq in found] if args.uid else found)
    line = b"* SORT" + b" %d" * len(numbers) % numbers
    if args.modseq and found:
        line += b" (MODSEQ %d)" % highest_modseq(session, found)
    return line + b"\r\n"
